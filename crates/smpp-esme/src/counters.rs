//! What a bind counts.

plain_telemetry::counters! {
    /// Totals of one bind since it was made, over all its sessions.
    pub struct Counts, counted by pub(crate) Counters {
        /// Sessions that were bound.
        sessions,
        /// Attempts that failed, and sessions that ended other than by our wish.
        failures,
        /// Sessions that were no success: they ended soon after the bind, or answered no message.
        short_lived,
        /// Sessions given up because the SMSC kept the link alive and answered no message.
        deaf,
        /// Sessions given up because an enquire_link was not answered, nor anything else heard.
        silent,
        /// Sessions with another host that were left for the first one.
        returns,
        /// Times that the first host was there and the session went on, because something stayed unanswered.
        returns_given_up,
        /// Times that the first host did not bind, or not for long, after a session was left for it.
        returns_failed,
        /// Octets read.
        octets_in,
        /// Octets written.
        octets_out,
        /// PDUs read.
        pdus_in,
        /// Requests of which at least the first octet was written.
        sent,
        /// Requests that were answered in time.
        answered,
        /// Requests of the application whose response timer ran out. An enquire_link is none of
        /// them: see `silent`.
        timeouts,
        /// Answers that came after the response timer.
        late,
        /// Requests without answer when their session ended.
        in_doubt,
        /// Answers to nothing that was asked, or of another kind, which were ignored.
        unmatched,
        /// deliver_sm and data_sm that were let in.
        inbound,
        /// deliver_sm and data_sm that came while the session was being ended, and got no answer.
        inbound_left,
        /// Requests of the SMSC answered with generic_nack.
        refused_commands,
    }
}
