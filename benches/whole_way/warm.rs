//! A broker that has compiled what it runs often.
//!
//! In its first minutes Java's compiler takes up to half of a core, and what is not compiled yet takes the
//! broker several times as long: a rate, a latency or a cost that is measured then says how long the broker has
//! run. So what is measured is done before, and does not count, until the compiler is nearly idle.

use std::path::Path;
use std::time::{Duration, Instant};

use super::harness::kafka_pid;
use super::{Counter, Feed, PATIENCE, Scene, setting, stop};

/// Messages at a time.
const BURST: usize = 200_000;

/// Of a core: when the compiler takes less, what runs often is compiled.
const IDLE: f64 = 0.07;

/// Does this until the broker has compiled what it needs for it, for `BENCH_WARM_UP` (180) seconds at most.
pub fn warm_up(mut step: impl FnMut()) {
    let end = Instant::now() + Duration::from_secs(setting("BENCH_WARM_UP", 180));
    while Instant::now() < end {
        let (since, before) = (Instant::now(), compiler_time());
        step();
        let compiled = compiler_time().saturating_sub(before).as_secs_f64();
        let share = compiled / since.elapsed().as_secs_f64();
        let percent = share * 100.0;
        eprintln!("warming up: the broker compiles for {percent:.0} % of a core");
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

/// Processor time of Java's compiler in the broker so far.
fn compiler_time() -> Duration {
    let threads = kafka_pid().map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")));
    let threads = threads.into_iter().flatten().flatten().flatten();
    threads
        .filter_map(|thread| compiled_by(&thread.path()))
        .sum()
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
