//! The whole way, seen from outside: real Kafka, the simulator and the connector each in a process of
//! its own. What benchmarks of it share.

// No benchmark needs all of it.
#![allow(dead_code, unused_imports)]

#[path = "../../tests/it/harness/mod.rs"]
pub mod harness;
pub mod outside;
pub mod pipe;
mod scene;
pub mod work;

use std::time::Duration;

pub use outside::{Feed, Latencies, Quantiles, count, feed, latencies};
pub use scene::Scene;
pub use work::Work;

use harness::Connector;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A number of the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().expect("a number"))
}

/// Whether cargo asks a benchmark for its tests, of which there are none: `cargo test --benches`.
pub fn asked_for_tests() -> bool {
    std::env::args().any(|a| a == "--list" || a == "--test")
}

/// Messages a second; 0 if not all came.
pub fn rate(messages: usize, elapsed: Option<Duration>) -> f64 {
    elapsed.map_or(0.0, |e| messages as f64 / e.as_secs_f64())
}

/// Ends a connector as an operator does.
pub fn stop(mut connector: Connector) {
    connector.signal(nix::sys::signal::Signal::SIGTERM);
    let status = connector.wait(Duration::from_secs(30));
    assert!(status.success(), "{}", connector.log());
}
