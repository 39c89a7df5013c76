//! Under which membership of its group a process commits.
//!
//! Offsets that are sent to a transaction carry *group metadata*: member id and generation (with
//! KIP-848: epoch). The coordinator refuses those of another generation, which is what fences a
//! process that does not know yet that the group has moved on. But for the sake of old clients it
//! takes offsets with *no* member id and generation -1 from anybody, also while another member
//! holds the partition, and offsets with generation -1 from anybody while the group is empty.
//! librdkafka hands out such metadata for a client that is no member, and its content cannot be
//! looked at. So what matters is when it is taken, and this module decides that.
//!
//! # When
//!
//! Metadata counts only between a callback that says that there is an assignment and the one
//! that says that it was lost. Which of them came last is noted here by the polling thread
//! ([`Standing::called`]), before the owner of the partitions hears of it. Nothing is noted
//! before the first callback, so a client that never joined commits nothing.
//!
//! *Classic protocol.* The metadata is taken inside the callback and not again until the next
//! one. That is often enough: a generation begins with a SyncGroup, and with cooperative
//! assignors each SyncGroup makes a callback, be it with no partition at all. And what is taken
//! there is a member's: SyncGroup had succeeded, so the generation was 0 or more, and while the
//! callback waits to be served, librdkafka sets it to -1 only when a heartbeat is answered with
//! ILLEGAL_GENERATION. A coordinator says that to a member it knows in another generation, which
//! for a dynamic member cannot be: the group goes on to its next generation with those only who
//! have joined it, and this client joins when the callback has returned. Whoever did not join is
//! forgotten and told UNKNOWN_MEMBER_ID, which empties the member id and leaves the generation:
//! metadata that is refused. A static member is known further, but its metadata carries its
//! instance id, with which it is always checked. (Metadata taken at any time is another matter:
//! between a JoinGroup and its SyncGroup both errors can follow each other without a callback.)
//!
//! *KIP-848.* The epoch moves on without a callback, and metadata with an old one is refused
//! (STALE_MEMBER_EPOCH), so it is taken anew for each transaction. It is never a non-member's:
//! the client names itself with a UUID from its creation on and keeps it, and a client that is
//! thrown out falls back to epoch 0, which commits nothing. But it may be *too new*: thrown out
//! and let in again, a client has a valid epoch before the callback that takes its old
//! partitions away is served. librdkafka notes the loss before it asks to be let in again, and
//! forgets it when that callback returns. So the loss is asked for *after* the metadata is taken:
//! if there is none, the metadata is from before the loss, or from after the callback; and in the
//! latter case the number of callbacks has changed.
//!
//! # Under the lock
//!
//! Taking metadata asks librdkafka's main thread and waits for it, so it is done before the lock
//! over the assignment is taken ([`Group::membership`](super::Group::membership)). Under the lock
//! only the number of callbacks is compared
//! ([`Group::is_current`](super::Group::is_current)): if there was none in between, the
//! metadata belongs to the assignment as the owner knows it, or to one before it, never to a later
//! one.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::ConsumerGroupMetadata;

/// The membership of a group at some moment: see the [module](self).
#[derive(Clone)]
pub struct Membership {
    /// How many callbacks there had been.
    pub(super) callbacks: u64,
    /// What offsets are committed under.
    pub(super) metadata: Arc<ConsumerGroupMetadata>,
}

impl Membership {
    /// What offsets are committed under.
    pub fn metadata(&self) -> Arc<ConsumerGroupMetadata> {
        self.metadata.clone()
    }
}

/// How the process stands with its group: the last callback, and how many there were.
pub(super) struct Standing<M>(Mutex<LastCallback<M>>);

struct LastCallback<M> {
    /// How many there were. Both change together: metadata belongs to one number.
    callbacks: u64,
    /// What the last one left to commit under; none from a loss to the next assignment.
    metadata: Option<Arc<M>>,
}

impl<M> Default for Standing<M> {
    fn default() -> Self {
        Standing(Mutex::new(LastCallback {
            callbacks: 0,
            metadata: None,
        }))
    }
}

impl<M> Standing<M> {
    /// A callback is about to be told to the owner of the partitions, and this is the metadata
    /// of the moment; none when the assignment is lost.
    pub fn called(&self, metadata: Option<M>) {
        let mut last = self.0.lock();
        last.callbacks += 1;
        last.metadata = metadata.map(Arc::new);
    }

    /// The number of callbacks, and the metadata of the last one; none without an assignment.
    pub fn get(&self) -> Option<(u64, Arc<M>)> {
        let last = self.0.lock();
        Some((last.callbacks, last.metadata.clone()?))
    }

    /// Whether there was no callback since there were so many.
    pub fn is_at(&self, callbacks: u64) -> bool {
        self.0.lock().callbacks == callbacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_never_called_back_is_no_member() {
        let standing = Standing::<&str>::default();
        assert_eq!(standing.get(), None);
    }

    #[test]
    fn an_assignment_counts_until_it_is_lost() {
        let standing = Standing::default();
        standing.called(Some("generation 1"));
        let (first, metadata) = standing.get().unwrap();
        assert_eq!(*metadata, "generation 1");
        assert!(standing.is_at(first));
        standing.called(None);
        assert_eq!(standing.get(), None);
        assert!(!standing.is_at(first), "what was taken before it is void");
        standing.called(Some("generation 7"));
        assert_eq!(*standing.get().unwrap().1, "generation 7");
        assert!(!standing.is_at(first));
    }
}
