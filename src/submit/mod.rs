//! Outbound record to submit_sm to result.
