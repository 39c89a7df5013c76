//! deliver_sm and data_sm from the SMSC into Kafka.
