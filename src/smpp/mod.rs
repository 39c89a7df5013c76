//! The protocol as pure data: no I/O, no Kafka.
