//! A broker that has compiled what it runs often.
//!
//! In its first minutes Java's compiler takes up to half of a core, and what is not compiled yet takes the
//! broker several times as long: a rate, a latency or a cost that is measured then says how long the broker has
//! run. So what is measured is done before, and does not count, until the compiler is nearly idle.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::harness::{kafka_pid, kafka_to_measure};
use super::work::processor_time;
use super::{Counter, Feed, PATIENCE, Scene, broker_properties, setting, stop};

/// Messages at a time.
const BURST: usize = 200_000;

/// Of the broker's processor time: when the compiler takes less, what runs often is compiled. With a tenth a message
/// still took the broker half as much again in the first rounds that counted.
const IDLE: f64 = 0.05;

/// Does this until the broker has compiled what it needs for it. No step begins after `BENCH_WARM_UP` (300) seconds;
/// with 0 there is none. Of a broker that was not started here it is not known: then it is done once.
pub fn warm_up(mut step: impl FnMut()) {
    // The one that is measured, not the one that tests are content with.
    kafka_to_measure(&broker_properties());
    let end = Instant::now() + Duration::from_secs(setting("BENCH_WARM_UP", 300));
    while Instant::now() < end {
        let before = Compiled::so_far();
        step();
        let Some(share) = before.share_since() else {
            eprintln!("warming up: what the broker compiles is not known");
            break;
        };
        let percent = share * 100.0;
        eprintln!("warming up: compiling is {percent:.0} % of the broker's time");
        if share < IDLE {
            break;
        }
    }
}

/// Lets messages go the whole way until the broker has compiled what it needs for them.
pub fn warm_up_with_messages(partitions: i32) {
    let scene = Scene::new(partitions);
    let connector = scene.connector();
    let mut receipts = Counter::of(&scene.kafka, &scene.topic("receipts"));
    let mut messages = 0;
    warm_up(|| {
        scene.feed(Feed::AtOnce(BURST));
        messages += BURST;
        let all = receipts.until(messages, PATIENCE);
        assert!(
            all.is_some(),
            "not all receipts of {messages} messages came"
        );
    });
    stop(connector);
    scene.remove();
}

/// Processor time of the broker that is measured.
struct Compiled {
    /// All of it.
    broker: Duration,
    /// Of each thread of the compiler. Java ends those that it does not need.
    threads: HashMap<OsString, Duration>,
}

impl Compiled {
    fn so_far() -> Compiled {
        let pid = kafka_pid();
        let threads = pid.map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")));
        let threads = threads.into_iter().flatten().flatten().flatten();
        let compilers = threads.filter_map(|thread| {
            let used = compiled_by(&thread.path())?;
            Some((thread.file_name(), used))
        });
        Compiled {
            broker: pid.map_or(Duration::ZERO, processor_time),
            threads: compilers.collect(),
        }
    }

    /// Which part of the broker's time since then the compiler took, if that is known.
    fn share_since(&self) -> Option<f64> {
        let now = Compiled::so_far();
        let since = |(thread, used): (&OsString, &Duration)| {
            used.saturating_sub(self.threads.get(thread).copied().unwrap_or_default())
        };
        let compiled: Duration = now.threads.iter().map(since).sum();
        let broker = now.broker.saturating_sub(self.broker);
        let is_known = !now.threads.is_empty() && !broker.is_zero();
        is_known.then(|| compiled.as_secs_f64() / broker.as_secs_f64())
    }
}

/// What this thread has used if it compiles; none, too, if it has ended.
fn compiled_by(thread: &Path) -> Option<Duration> {
    let read = |file| std::fs::read_to_string(thread.join(file)).ok();
    let name = read("comm")?;
    let compiles = name.starts_with("C1 Comp") || name.starts_with("C2 Comp");
    // The first number: nanoseconds on a processor.
    let used = compiles.then(|| read("schedstat")).flatten()?;
    let nanos = used.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
