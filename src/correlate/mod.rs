//! Deliveries joined with correlation: receipts and inbound messages.
