//! Tests on real Kafka: Apache Kafka is fetched through Maven and started by the tests
//! themselves (Java 17 or newer), or `KAFKA_BOOTSTRAP` names a running one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connector;
mod correlate;
mod deliver;
mod esme;
// Not every test needs every part of it.
#[allow(dead_code, unused_imports)]
mod harness;
mod harness_itself;
mod kafka;
#[path = "../pages/mod.rs"]
mod pages;
mod peers;
