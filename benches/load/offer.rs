//! Messages offered at a rate, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::kind::Kind;
use serde_json::Value;

use crate::PATIENCE;
use crate::watch::{Watch, log_id};
use crate::whole_way::harness::http;
use crate::whole_way::outside::now_micros;
use crate::whole_way::{Appended, Appender, Feed, Latencies, Member, Scene, Work, setting, work};

/// How often it is looked at what waits.
const LOOK: Duration = Duration::from_millis(200);

/// What is offered, and what runs meanwhile.
pub struct Bench<'a> {
    scene: &'a Scene,
    members: &'a [Member],
    watch: &'a Watch,
    codec: Codec,
    time: Duration,
    normal: Arc<Appended>,
    urgent: Arc<Appended>,
}

/// What a load gives.
pub struct Offered {
    /// In percent of the capacity.
    pub percent: u64,
    /// Normal messages offered a second.
    pub per_second: u64,
    /// Results of both seen a second, while messages were offered.
    pub results: f64,
    /// Of normal messages.
    pub normal: Latencies,
    /// Of urgent ones.
    pub urgent: Latencies,
    /// Of normal messages.
    pub waiting: Waiting,
    /// While messages were offered.
    pub work: work::Load,
}

/// Normal messages that wait.
#[derive(Default)]
pub struct Waiting {
    looks: u64,
    /// Given to the producer, and not in Kafka yet.
    pub producer_most: u64,
    /// In Kafka and not read by the connector.
    pub kafka_most: u64,
    kafka_sum: u64,
    /// Read and without a result.
    pub read_most: u64,
    read_sum: u64,
    /// Of these, those that a bind has.
    pub in_flight_most: u64,
}

impl Waiting {
    fn look(&mut self, appended: &Appended, status: &Value, topic: &str) {
        let sum = |field: &str| -> u64 {
            let esmes = status["esmes"].as_array().into_iter().flatten();
            let partitions = esmes.filter_map(|esme| esme["partitions"].as_array());
            let normal = partitions.flatten().filter(|p| p["topic"] == topic);
            normal.filter_map(|p| p[field].as_u64()).sum()
        };
        // Offsets of this topic count its records: nobody writes to it in transactions.
        let kafka = appended.delivered().saturating_sub(sum("position"));
        let read = sum("unfinished");
        let producer = appended.sent().saturating_sub(appended.delivered());
        self.looks += 1;
        self.producer_most = self.producer_most.max(producer);
        self.kafka_most = self.kafka_most.max(kafka);
        self.kafka_sum += kafka;
        self.read_most = self.read_most.max(read);
        self.read_sum += read;
        self.in_flight_most = self.in_flight_most.max(sum("in_flight"));
    }
}

impl Offered {
    /// How long a message waits where so many are on the average (Little's law).
    fn time(&self, sum: u64) -> Duration {
        let average = sum as f64 / self.waiting.looks.max(1) as f64;
        Duration::from_secs_f64(average / self.results.max(1.0))
    }

    /// Until it is read.
    pub fn in_kafka(&self) -> Duration {
        self.time(self.waiting.kafka_sum)
    }

    /// From there until its result is committed.
    pub fn in_connector(&self) -> Duration {
        self.time(self.waiting.read_sum)
    }
}

impl<'a> Bench<'a> {
    /// Offers for so long at a time.
    pub fn new(
        scene: &'a Scene,
        members: &'a [Member],
        watch: &'a Watch,
        time: Duration,
    ) -> Bench<'a> {
        Bench {
            scene,
            members,
            watch,
            codec: scene.codec("outbound", Kind::OUTBOUND),
            time,
            normal: Arc::default(),
            urgent: Arc::default(),
        }
    }

    /// A few through all partitions of both topics.
    pub fn warm_up(&self) {
        let n = self.scene.partitions as usize * 50;
        self.append(false, Feed::AtOnce(n));
        self.append(true, Feed::AtOnce(n));
        self.drain();
    }

    /// Messages with receipts a second while more than that are offered.
    pub fn capacity(&self) -> f64 {
        let n = setting("BENCH_MESSAGES", 40_000);
        let (began, before) = (Instant::now(), self.watch.receipts());
        self.append(false, Feed::AtOnce(n as usize));
        self.drain();
        let mut about = (self.watch.receipts() - before) as f64 / began.elapsed().as_secs_f64();
        loop {
            let offered = about * 1.5;
            eprintln!("{offered:.0} messages a second");
            let capacity = self.sustained(offered as u64);
            self.drain();
            // Else it was not known how many more there might have been.
            if capacity < offered * 0.9 {
                return capacity;
            }
            about = capacity;
        }
    }

    /// Messages with receipts a second while so many are offered.
    fn sustained(&self, per_second: u64) -> f64 {
        let how = Feed::Paced {
            n: (per_second * self.time.as_secs()) as usize,
            per_second,
        };
        std::thread::scope(|scope| {
            let feeding = scope.spawn(|| self.append(false, how));
            // The first receipts come later than the first results.
            std::thread::sleep(self.time * 3 / 10);
            let (began, before) = (Instant::now(), self.watch.receipts());
            feeding.join().expect("all are appended");
            (self.watch.receipts() - before) as f64 / began.elapsed().as_secs_f64()
        })
    }

    /// Offers so many normal and so many urgent messages a second.
    pub fn offer(&self, percent: u64, per_second: u64, urgent: u64) -> Offered {
        let seconds = self.time.as_secs();
        let paced = |per_second| Feed::Paced {
            n: (per_second * seconds) as usize,
            per_second,
        };
        self.watch.forget();
        let (began, before) = (Instant::now(), self.watch.results());
        let work = Work::of_all(self.members);
        let over = AtomicBool::new(false);
        let (waiting, results, work) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| self.look(&over));
            let normal = scope.spawn(|| self.append(false, paced(per_second)));
            self.append(true, paced(urgent));
            normal.join().expect("all are appended");
            let results = (self.watch.results() - before) as f64 / began.elapsed().as_secs_f64();
            over.store(true, Ordering::Relaxed);
            let waiting = looking.join().expect("what waits");
            (waiting, results, work.until_now().load())
        });
        self.drain();
        let (normal, urgent) = self.watch.latencies();
        Offered {
            percent,
            per_second,
            results,
            normal,
            urgent,
            waiting,
            work,
        }
    }

    fn append(&self, urgent: bool, how: Feed) {
        let (stem, appended) = if urgent {
            ("urgent", &self.urgent)
        } else {
            ("outbound", &self.normal)
        };
        let appender = Appender {
            kafka: &self.scene.kafka,
            topic: &self.scene.topic(stem),
            partitions: self.scene.partitions,
            // One a millisecond is more than enough, where there are many.
            linger: if urgent { "0" } else { "5" },
        };
        let text = "0123456789abcdef".repeat(10);
        appender.append(how, appended, |number| {
            let log_id = log_id(urgent, now_micros(), number);
            let message = format!(
                r#"{{"log_id":"{log_id}","source":"12345","destination":"+41791234567","short_message":"{text}","registered_delivery":1}}"#
            );
            self.codec.from_json(message.as_bytes()).expect("a message")
        });
    }

    fn look(&self, over: &AtomicBool) -> Waiting {
        let topic = self.scene.topic("outbound");
        let mut waiting = Waiting::default();
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            for member in self.members {
                let status = http::status(member.http).expect("a status");
                waiting.look(&self.normal, &status, &topic);
            }
        }
        waiting
    }

    /// Waits until everything has its result and its receipt.
    fn drain(&self) {
        let all = self.normal.delivered() + self.urgent.delivered();
        let began = Instant::now();
        while self.watch.results() < all || self.watch.receipts() < all {
            let (results, receipts) = (self.watch.results(), self.watch.receipts());
            assert!(
                began.elapsed() < PATIENCE,
                "of {all} messages {results} have a result and {receipts} a receipt"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
