//! What a bind counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident: $meaning:literal;)*) => {
        /// Totals of one bind since it was made, over all its sessions.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            $(
                #[doc = $meaning]
                pub fn $name(&self) -> u64 {
                    self.$name.0.load(Ordering::Relaxed)
                }
            )*
        }
    };
}

counters! {
    sessions: "Sessions that were bound.";
    failures: "Attempts that failed, and sessions that ended other than by our wish.";
    short_lived: "Sessions that were no success: they ended soon after the bind, or answered no message.";
    deaf: "Sessions given up because the SMSC kept the link alive and answered no message.";
    returns: "Sessions with another host that were left for the first one.";
    returns_given_up: "Times that the first host was there and the session went on, because something stayed unanswered.";
    returns_failed: "Times that the first host did not bind, or not for long, after a session was left for it.";
    octets_in: "Octets read.";
    octets_out: "Octets written.";
    pdus_in: "PDUs read.";
    sent: "Requests of which at least the first octet was written.";
    answered: "Requests that were answered in time.";
    timeouts: "Requests whose response timer ran out.";
    late: "Answers that came after the response timer.";
    in_doubt: "Requests without answer when their session ended.";
    unmatched: "Answers to nothing that was asked, or of another kind, which were ignored.";
    inbound: "deliver_sm and data_sm that were let in.";
    inbound_left: "deliver_sm and data_sm that came while the session was being ended, and got no answer.";
    refused_commands: "Requests of the SMSC answered with generic_nack.";
}

/// One total. Only the session's task adds to it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: usize) {
        if count > 0 {
            self.0.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
