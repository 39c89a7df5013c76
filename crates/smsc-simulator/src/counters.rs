//! Counts of what a simulator has done.

plain_telemetry::counters! {
    /// What a simulator has done since its start.
    pub struct Counts, counted by pub(crate) Counters {
        /// Binds granted.
        binds,
        /// submit_sm (and data_sm) accepted.
        accepted,
        /// submit_sm answered with ESME_RTHROTTLED, or because of a limit with another status.
        throttled,
        /// submit_sm refused for another reason.
        refused,
        /// submit_sm neither accepted nor answered.
        ignored,
        /// Receipts written to a session, repeats included.
        receipts_sent,
        /// Receipts acknowledged with ESME_ROK.
        receipts,
        /// Inbound messages written to a session, repeats included.
        inbound_sent,
        /// Inbound messages acknowledged with ESME_ROK.
        inbound,
        /// deliver_sm answered with an error.
        deliveries_refused,
        /// Those of them that are inbound messages, and no receipts.
        inbound_refused,
        /// deliver_sm not answered in time.
        unanswered,
        /// Those of them that are inbound messages, and no receipts.
        inbound_unanswered,
        /// deliver_sm refused or not answered in time, and never offered again.
        lost,
        /// Those of them that are inbound messages, and no receipts.
        inbound_lost,
    }
}
