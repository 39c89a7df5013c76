//! What the benchmarks of the whole way share: Kafka and the simulator, records in, committed
//! events out, and what that costs.

// Not everything that tests need is needed here.
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/harness/mod.rs"]
pub mod harness;
pub mod outside;
mod scene;
pub mod work;

pub use scene::{Scene, stop};

use std::time::Duration;

/// How long all messages may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().expect("a number"))
}

/// Messages a second; 0 if they did not all come.
pub fn rate(messages: usize, elapsed: Option<Duration>) -> f64 {
    elapsed.map_or(0.0, |e| messages as f64 / e.as_secs_f64())
}
