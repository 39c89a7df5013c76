//! What follows from a change of the state: collected under the lock, done when it is free.

use std::sync::Arc;

use smpp_esme::{Answer, Doubt};
use smpp_protocol::Status;
use tracing::debug;

use crate::kafka::Partition;
use crate::kafka::notices::TopicTakesResults;
use crate::submit::message::outgoing::RecordContext;
use crate::submit::notices::{CannotBePutBack, LostAndBack, LostAndBackInDoubt};
use crate::submit::results::events::AccountRef;
use crate::submit::state::groups::GroupId;
use crate::submit::state::pending::{PendingResult, Sent};
use crate::submit::state::retry::Verdict;

/// What is to be done.
#[derive(Debug)]
pub(in crate::submit) enum Effect {
    /// The partition's first commit is made: it is fetched from this offset on. Done before the
    /// lock is free, because whether a record was fetched for the present start is asked under it.
    Fetch(Partition, i64),
    /// There is room for more of the partition. Done before the lock is free, too.
    Resume(Partition),
    /// The first partition of the group is open: its binds may begin.
    Open(GroupId),
    /// The group may have more to send: its binds look.
    Wake(GroupId),
    /// The answer is not the result: it is published beside the transactions.
    PublishLate(Box<Sent>, Answer),
    /// These results found no transaction, and their partition is not ours: what they say of
    /// answers is published beside the transactions.
    PublishOrphans(Vec<PendingResult>),
    /// A message that the bind had is in doubt, and is sent again or reported.
    Doubt {
        account: Arc<AccountRef>,
        bind: Arc<str>,
        partition: Partition,
        doubt: Doubt,
        resent: bool,
    },
    /// The operator is told.
    Say(News),
}

/// What an operator or a developer is told of a change.
#[derive(Debug)]
pub(in crate::submit) enum News {
    /// The SMSC did not take a message for now.
    NotAccepted(Arc<RecordContext>, Status, Verdict),
    /// A message that was to be put back onto its topic waits here.
    WaitsHere(Arc<RecordContext>),
    /// A partition that was lost is back, and nobody had it meanwhile.
    Back {
        partition: Partition,
        in_doubt: usize,
        results: usize,
    },
    /// A topic that had refused results takes them again.
    TakenAgain { topic: Arc<str>, partitions: String },
}

impl News {
    pub fn say(self) {
        match self {
            News::NotAccepted(context, status, verdict) => {
                debug!(log_id = context.log_id, %status, ?verdict, "not accepted for now");
            }
            News::WaitsHere(context) => CannotBePutBack {
                log_id: &context.log_id,
                topic: &context.topic,
            }
            .emit(),
            News::Back {
                partition,
                in_doubt: 0,
                results,
            } => {
                LostAndBack {
                    partition: &partition,
                    results,
                }
                .emit();
            }
            News::Back {
                partition,
                in_doubt,
                results,
            } => LostAndBackInDoubt {
                partition: &partition,
                in_doubt,
                results,
            }
            .emit(),
            News::TakenAgain { topic, partitions } => {
                TopicTakesResults {
                    topic: &topic,
                    partitions: &partitions,
                }
                .emit();
            }
        }
    }
}

/// The effects of one change: those in the list, in order, and then the flags. Most changes have
/// no more than flags.
#[derive(Debug, Default)]
pub(in crate::submit) struct Effects {
    /// Something is to be committed.
    pub commit: bool,
    /// All that happened to a bind at this moment is told: what is in doubt is said.
    pub all_told: bool,
    /// A transaction has ended: whoever waits for that looks again.
    pub settled: bool,
    list: Vec<Effect>,
}

impl Effects {
    /// Something is to be committed.
    pub fn commit(&mut self) {
        self.commit = true;
    }

    /// This is to be done.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// The answer is published beside the transactions.
    pub fn publish_late(&mut self, sent: Sent, answer: Answer) {
        self.push(Effect::PublishLate(Box::new(sent), answer));
    }

    /// What results of partitions that are not ours say is published beside the transactions.
    pub fn publish_orphans(&mut self, results: Vec<PendingResult>) {
        if !results.is_empty() {
            self.push(Effect::PublishOrphans(results));
        }
    }

    /// What is to be done before the lock is free.
    pub fn for_the_poller(&self) -> impl Iterator<Item = &Effect> {
        let theirs = |effect: &&Effect| matches!(effect, Effect::Fetch(..) | Effect::Resume(_));
        self.list.iter().filter(theirs)
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::vec::IntoIter<Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
