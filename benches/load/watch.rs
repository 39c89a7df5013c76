//! What comes out, watched for as long as the benchmark runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::kind::Kind;
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;

use crate::whole_way::outside::{now_micros, reader};
use crate::whole_way::{Latencies, Quantiles, Scene};

/// To know when a message was handed to its session its result has to be read, which costs more than
/// seeing that it is there: of so many normal ones, one is read.
const ONE_OF: u64 = 16;

/// A log id, which is the key of the result: so most results need not be read.
pub fn log_id(urgent: bool, given: u64, number: usize) -> String {
    let kind = if urgent { 'u' } else { 'n' };
    format!("{kind}.{given}.{number}")
}

/// Microseconds since they were given to the client that appends, of results seen.
#[derive(Default)]
struct Seen {
    socket: Vec<u64>,
    result: Vec<u64>,
}

impl Seen {
    fn latencies(self) -> Latencies {
        Latencies {
            socket: Quantiles::of(self.socket),
            result: Quantiles::of(self.result),
        }
    }
}

/// See the [module](self).
pub struct Watch {
    normal: Mutex<Seen>,
    urgent: Mutex<Seen>,
    results: AtomicU64,
    receipts: AtomicU64,
    over: AtomicBool,
}

impl Watch {
    /// Watches while `bench` runs.
    pub fn over<T>(scene: &Scene, bench: impl FnOnce(&Watch) -> T) -> T {
        let watch = Watch {
            normal: Mutex::default(),
            urgent: Mutex::default(),
            results: AtomicU64::new(0),
            receipts: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let codec = scene.codec("responses", &[Kind::SubmitSmResp]);
        let of = |stem| reader(&scene.kafka, &scene.topic(stem), Offset::Beginning);
        let (responses, receipts) = (of("responses"), of("receipts"));
        std::thread::scope(|scope| {
            scope.spawn(|| watch.each(&responses, |message| watch.result(&codec, message)));
            scope.spawn(|| {
                watch.each(&receipts, |_| {
                    watch.receipts.fetch_add(1, Ordering::Relaxed);
                });
            });
            // Also if it panics: otherwise nobody would end.
            let _over = Over(&watch.over);
            bench(&watch)
        })
    }

    fn each(&self, consumer: &BaseConsumer, take: impl Fn(&BorrowedMessage<'_>)) {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
                take(&message);
            }
        }
    }

    fn result(&self, codec: &Codec, message: &BorrowedMessage<'_>) {
        let now = now_micros();
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
        let mut parts = key.expect("a log id").split('.');
        let urgent = parts.next() == Some("u");
        let given: u64 = parts.next().unwrap().parse().expect("microseconds");
        let number: u64 = parts.next().unwrap().parse().expect("a number");
        let socket = (urgent || number.is_multiple_of(ONE_OF)).then(|| {
            let event = codec.shown(message.payload().unwrap()).unwrap();
            let sent: jiff::Timestamp = event["submitted_at"].as_str().unwrap().parse().unwrap();
            (sent.as_microsecond() as u64).saturating_sub(given)
        });
        let mut seen = lock(if urgent { &self.urgent } else { &self.normal });
        seen.socket.extend(socket);
        seen.result.push(now - given);
        drop(seen);
        self.results.fetch_add(1, Ordering::Relaxed);
    }

    /// Results seen so far.
    pub fn results(&self) -> u64 {
        self.results.load(Ordering::Relaxed)
    }

    /// Receipts seen so far.
    pub fn receipts(&self) -> u64 {
        self.receipts.load(Ordering::Relaxed)
    }

    /// Forgets how long messages took so far.
    pub fn forget(&self) {
        for seen in [&self.normal, &self.urgent] {
            *lock(seen) = Seen::default();
        }
    }

    /// How long normal and urgent messages took since then; some of each were seen.
    pub fn latencies(&self) -> (Latencies, Latencies) {
        let taken = |seen: &Mutex<Seen>| std::mem::take(&mut *lock(seen)).latencies();
        (taken(&self.normal), taken(&self.urgent))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap()
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
