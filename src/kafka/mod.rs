//! Polling, partition progress, transactions and topics.
