//! Messages in doubt, said to the operator: each time at once, then as a count.
//!
//! What becomes of each is decided and published elsewhere; here they are counted, bind by bind,
//! between the moments at which a session has told all that there was to tell. So a session that
//! is lost with a hundred messages unanswered makes one line, not a hundred.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::kafka::Partition;
use crate::kafka::group::names;
use crate::repeated::Line;
use crate::submit::notices::InDoubt;
use smpp_esme::Doubt;

/// So many partitions are named in a line at most.
const NAMED: usize = 5;

/// See the [module](self).
#[derive(Default)]
pub(in crate::submit) struct Doubts {
    by_bind: Mutex<HashMap<Arc<str>, Bind>>,
    /// Whether something was noted and not said.
    pending: AtomicBool,
}

struct Bind {
    line: Line<Tally>,
    /// Noted, and the line is not told of it yet.
    unsaid: Option<Tally>,
}

/// Messages in doubt, and what becomes of them.
#[derive(Debug, PartialEq, Eq)]
struct Tally {
    /// Why the latest of them is in doubt.
    why: Doubt,
    resent: u64,
    reported: u64,
    partitions: BTreeSet<Partition>,
}

impl Doubts {
    /// A message that the bind had is in doubt, and is sent again or reported.
    pub fn note(&self, bind: &Arc<str>, partition: &Partition, doubt: Doubt, resent: bool) {
        let mut by_bind = self.by_bind.lock();
        let noted = by_bind
            .entry(bind.clone())
            .or_insert_with(|| Bind::new(bind.clone()));
        let tally = noted.unsaid.get_or_insert_with(|| Tally::new(doubt));
        tally.note(partition, doubt, resent);
        self.pending.store(true, Ordering::Release);
    }

    /// All that happened at this moment is noted. Cheap if that is nothing.
    pub fn say(&self) {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut due = Vec::new();
        for bind in self.by_bind.lock().values_mut() {
            if let Some(tally) = bind.unsaid.take() {
                due.push((bind.line.clone(), tally));
            }
        }
        for (line, tally) in due {
            line.note_many(tally.count(), tally);
        }
    }
}

impl Bind {
    fn new(name: Arc<str>) -> Self {
        let line = Line::summed(Tally::add, move |times, tally: Tally| {
            InDoubt {
                words: &words(&tally),
                bind: &name,
                in_doubt: times.count,
                resent: tally.resent,
                reported: tally.reported,
                within: times.within,
                partitions: &tally.names(),
            }
            .emit();
        });
        Bind { line, unsaid: None }
    }
}

impl Tally {
    fn new(why: Doubt) -> Self {
        Tally {
            why,
            resent: 0,
            reported: 0,
            partitions: BTreeSet::new(),
        }
    }

    fn note(&mut self, partition: &Partition, why: Doubt, resent: bool) {
        self.why = why;
        if resent {
            self.resent += 1;
        } else {
            self.reported += 1;
        }
        if !self.partitions.contains(partition) {
            self.partitions.insert(partition.clone());
        }
    }

    /// Adds what was noted later.
    fn add(&mut self, later: Tally) {
        self.why = later.why;
        self.resent += later.resent;
        self.reported += later.reported;
        self.partitions.extend(later.partitions);
    }

    fn count(&self) -> u64 {
        self.resent + self.reported
    }

    fn names(&self) -> String {
        let names = names(self.partitions.iter().take(NAMED));
        match self.partitions.len().saturating_sub(NAMED) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

/// Why messages are in doubt, what becomes of them, and what can be done.
fn words(tally: &Tally) -> String {
    let (why, remedy) = match tally.why {
        Doubt::Timeout => (
            "the SMSC did not answer within timers.response",
            "if it is slow, raise timers.response; an answer that still comes is published",
        ),
        Doubt::ConnectionLost => (
            "the session was lost before the SMSC answered",
            "the line of the session's end says how; the SMSC's own log says what it took",
        ),
        Doubt::Closed => (
            "the bind was closed before the SMSC answered",
            "a longer submit.revoke_drain waits longer for answers",
        ),
        Doubt::LeaseOver => (
            "the lease was over before the SMSC answered",
            "the line of the session's end says why no commit to Kafka renewed it",
        ),
        Doubt::Inactive => (
            "no message went either way within timers.inactivity before the SMSC answered",
            "ask the SMSC's operator why it does not answer; if it is slow, raise timers.inactivity",
        ),
        Doubt::Deaf => (
            "the SMSC answers no message, so the session was given up",
            "ask its operator whether what takes messages is down and whether this account may send",
        ),
        Doubt::GivenUp => (
            "the partition was given up before the SMSC answered",
            "a longer submit.revoke_drain waits longer for answers",
        ),
    };
    let outcome = match (tally.resent, tally.reported) {
        (_, 0) => "they are sent again, and their results say possible_duplicate",
        (0, _) => "they are reported as OUTCOME_UNKNOWN",
        _ => {
            "some are sent again, and their results say possible_duplicate; the others are reported as OUTCOME_UNKNOWN"
        }
    };
    format!(
        "messages are in doubt, the SMSC may have taken them: {why}; {outcome} (submit.in_doubt, or in_doubt in a record, decides that); {remedy}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "sms.outbound".into(),
            partition: number,
        }
    }

    /// So many messages of the partition in doubt.
    fn tally(why: Doubt, resent: u64, reported: u64, number: i32) -> Tally {
        Tally {
            why,
            resent,
            reported,
            partitions: [partition(number)].into(),
        }
    }

    #[test]
    fn what_is_noted_at_one_moment_is_told_to_the_line_at_once() {
        let doubts = Doubts::default();
        let bind: Arc<str> = "acme-0.0".into();
        for number in 0..100 {
            doubts.note(&bind, &partition(0), Doubt::ConnectionLost, number < 60);
        }
        let unsaid = tally(Doubt::ConnectionLost, 60, 40, 0);
        assert_eq!(unsaid.count(), 100);
        assert_eq!(doubts.by_bind.lock()[&bind].unsaid, Some(unsaid));
        doubts.say();
        assert_eq!(doubts.by_bind.lock()[&bind].unsaid, None);
    }

    #[test]
    fn a_later_line_says_what_became_of_all_that_it_counts() {
        let mut counted = tally(Doubt::ConnectionLost, 60, 40, 0);
        counted.add(tally(Doubt::Timeout, 1, 2, 1));
        let (count, names) = (counted.count(), counted.names());
        assert_eq!((counted.why, counted.resent), (Doubt::Timeout, 61));
        assert_eq!((count, &*names), (103, "sms.outbound-0, sms.outbound-1"));
    }

    #[test]
    fn a_longer_drain_is_advised_only_where_a_drain_was_too_short() {
        for (doubt, remedy) in [
            (Doubt::Timeout, "raise timers.response"),
            (Doubt::ConnectionLost, "session's end says how"),
            (Doubt::Closed, "submit.revoke_drain"),
            (Doubt::GivenUp, "submit.revoke_drain"),
            (Doubt::LeaseOver, "session's end says why"),
            (Doubt::Inactive, "raise timers.inactivity"),
            (Doubt::Deaf, "ask its operator"),
        ] {
            let line = words(&Tally::new(doubt));
            assert!(line.contains(remedy), "{line}");
            let drained = matches!(doubt, Doubt::Closed | Doubt::GivenUp);
            assert_eq!(line.contains("revoke_drain"), drained, "{line}");
        }
    }

    #[test]
    fn a_line_says_what_becomes_of_them_and_names_few_partitions() {
        let mut tally = tally(Doubt::Timeout, 1, 0, 0);
        assert!(words(&tally).contains("they are sent again"));
        tally.reported = 1;
        assert!(words(&tally).contains("the others are reported"));
        tally.resent = 0;
        assert!(words(&tally).contains("they are reported"));
        tally.partitions = (0..7).map(partition).collect();
        assert!(
            tally.names().ends_with("sms.outbound-4 and 2 more"),
            "{}",
            tally.names()
        );
    }
}
