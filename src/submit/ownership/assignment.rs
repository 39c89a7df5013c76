//! What happens when partitions come and go.
//!
//! A partition comes: it is taken over on a thread of its own (that may have to wait for a
//! dead predecessor), enters the pipeline, makes its first commit, and only then its binds are
//! opened and its records fetched.
//!
//! A partition goes, inside the rebalance callback, so that Kafka gives it to nobody before
//! we are done: nothing more is picked; its binds are frozen, drained for at most
//! `revoke_drain` and unbound; what is in doubt is committed exactly; it leaves the pipeline;
//! the account's rate is lower. Only then the callback returns. A partition that is *lost*
//! (we have been thrown out) has another owner already: its binds are cut, nothing is
//! committed, and answers that still come are published as late.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle as Runtime;
use tracing::debug;

use crate::codes::{self, ErrorCode};
use crate::kafka::ErrorClass;
use crate::kafka::end;
use crate::kafka::notices::NoThread;
use crate::kafka::poll::{self, Assignments, Flow};
use crate::kafka::start::{Reading, Start, Stop};
use crate::kafka::{For, Group, Partition, Pause, Waiting, ear};
use crate::repeated::Line;
use crate::submit::notices::{
    GivenUp, InternalPartitionsChanged, LastCommitFailed, PositionOutsideLog, TopicCreatedAnew,
    WaitForBind,
};
use crate::threads;
use smpp_esme::{Lease, State};

use crate::submit::binds::account::{Account, Binds};
use crate::submit::binds::group::BindGroup;
use crate::submit::message::intake::{self, NotYet};
use crate::submit::ownership::lost;
use crate::submit::ownership::surroundings::Surroundings;
use crate::submit::ownership::takeover::{Beginning, Decided, Takeover};
use crate::submit::pipeline::Pipeline;
use crate::submit::state::pending::AssignmentId;
use crate::submit::state::pipeline::At;

/// For so long ends are asked for at once, and so long one answer may take.
const LOOK_AT_ENDS: Duration = Duration::from_secs(1);

/// How long Kafka may take to say how many partitions a topic has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before a topic that is gone is looked for again.
const ABSENT: Pause = Pause::new(Duration::from_millis(500), Duration::from_secs(5));

/// Pauses before a partition is taken over that could not be.
const AGAIN: Pause = Pause::new(Duration::from_millis(250), Duration::from_secs(3));

/// How often a log is looked at that ends too early.
const LOOKS: usize = 5;

/// And how long between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long the last commit of a partition that goes may take.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// What the owner works with.
pub struct OwnerParts {
    /// The membership.
    pub group: Arc<Group>,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The thread that polls.
    pub poll: poll::Handle,
    /// The accounts.
    pub accounts: Vec<Arc<Account>>,
    /// The lease that every commit extends.
    pub lease: Lease,
    /// How a takeover reads.
    pub reading: Reading,
    /// The topics that show whether anything was ever sent.
    pub results: Vec<String>,
    /// Topics whose number of partitions must not change, and that number.
    pub fixed: Vec<(String, i32)>,
    /// How long a partition that goes waits for answers.
    pub revoke_drain: Duration,
    /// Where binds run.
    pub runtime: Runtime,
}

/// An account by its place in the configuration, and the partition its bind group serves.
type GroupKey = (usize, Option<i32>);

/// See the [module](self).
pub struct PartitionOwner {
    /// What it works with.
    parts: OwnerParts,
    /// Which account a topic belongs to, as an index of the accounts.
    by_topic: HashMap<Arc<str>, usize>,
    /// What is known of the group besides offsets of partitions.
    surroundings: Surroundings,
    /// The binds that are there: of a partition, or of an account that shares them.
    groups: Mutex<HashMap<GroupKey, BindGroup>>,
    /// Told by every assignment and revocation, so that a takeover notices that it is late.
    epoch: Mutex<HashMap<Partition, u64>>,
    /// Numbers the assignments.
    assignments: AtomicU64,
    /// Partitions whose position is being looked at, or was and they stand still, and the epoch
    /// of their lease. One that stands still does not go on because its log has grown since.
    reassessing: Mutex<HashMap<Partition, u64>>,
    /// Partitions that held nothing when they were last looked at, and what came next then.
    idle: Mutex<hashbrown::HashMap<Partition, i64>>,
    /// For each account: a shared bind group is left, or joined, by one at a time.
    sharing: Vec<Mutex<()>>,
    /// What is said of partitions that are not served.
    waiting: Waiting,
    /// Of each account that records wait for a bind: in how many partitions, and one of them.
    unbound: Vec<Line<(usize, Partition)>>,
    /// A topic has another number of partitions than it had: its name, then and now.
    changed: Line<(String, i32, i32)>,
    /// Itself, for threads that outlive a call.
    me: std::sync::Weak<PartitionOwner>,
}

impl PartitionOwner {
    /// The owner of whatever will be assigned.
    pub fn new(parts: OwnerParts) -> Arc<Self> {
        let mut by_topic = HashMap::new();
        for (index, account) in parts.accounts.iter().enumerate() {
            for topic in &account.options.topics {
                by_topic.insert(topic.clone(), index);
            }
        }
        let unbound = parts.accounts.iter().map(|account| {
            let esme = account.options.name.clone();
            Line::new(move |_, (partitions, one): (usize, Partition)| {
                WaitForBind {
                    esme: &esme,
                    partitions,
                    one: &one,
                }
                .emit();
            })
        });
        let unbound = unbound.collect();
        let sharing = parts.accounts.iter().map(|_| Mutex::default()).collect();
        let consumed = by_topic.keys().map(|t| t.to_string()).collect();
        let surroundings = Surroundings::new(consumed, parts.results.clone());
        Arc::new_cyclic(|me| PartitionOwner {
            parts,
            by_topic,
            surroundings,
            groups: Mutex::default(),
            epoch: Mutex::default(),
            assignments: AtomicU64::default(),
            reassessing: Mutex::default(),
            idle: Mutex::default(),
            sharing,
            waiting: Waiting::default(),
            unbound,
            changed: Line::new(|_, (topic, then, now): (String, i32, i32)| {
                InternalPartitionsChanged {
                    topic: &topic,
                    then,
                    now,
                }
                .emit();
            }),
            me: me.clone(),
        })
    }

    /// The partitions that are assigned, with those that go with them.
    pub fn assigned(&self) -> Vec<Partition> {
        let leases: Vec<Partition> = self.epoch.lock().keys().cloned().collect();
        let all = leases.into_iter().filter_map(|lease| {
            let (_, account) = self.account_of(&lease.topic)?;
            Some(partitions_of(account, &[lease.partition]))
        });
        all.flatten().collect()
    }

    /// What partitions wait for that are not served.
    pub fn waits(&self) -> Vec<(Partition, String)> {
        self.waiting.all()
    }

    /// The accounts.
    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.parts.accounts
    }

    fn account_of(&self, topic: &str) -> Option<(usize, &Arc<Account>)> {
        let index = *self.by_topic.get(topic)?;
        Some((index, &self.parts.accounts[index]))
    }

    /// Takes leases over, each as it was assigned at an epoch.
    fn take_over(&self, leases: Vec<(Partition, u64)>) {
        let Some(me) = self.me.upgrade() else { return };
        // One that cannot be read for long must not hold up the others.
        for (lease, epoch) in leases {
            let me = me.clone();
            let take_over = move || me.take_over_one(&lease, epoch);
            if let Err(error) = threads::start("takeover", take_over) {
                let purpose = "a partition is not taken over before the next rebalance";
                NoThread { purpose, error }.emit();
            }
        }
    }

    fn take_over_one(&self, lease: &Partition, epoch: u64) {
        let Some((index, account)) = self.account_of(&lease.topic) else {
            return;
        };
        let assigned = Instant::now();
        let most = account.options.max_partitions;
        if most.is_some_and(|most| i64::from(lease.partition) >= i64::from(most)) {
            self.waiting.stand(
                lease,
                For {
                    code: codes::TOO_MANY_BINDS,
                    what: "this partition would bring more binds than max_binds allows; it is not served, and what it holds is not sent. Raise esme.max_binds if the SMSC allows it, or use binds = { per_instance = N }, and start the connector again",
                },
            );
            return;
        }
        let companions = account.companions(lease.partition);
        let mut all = vec![lease.clone()];
        all.extend(companions.iter().cloned());
        let mut pause = AGAIN;
        let Look {
            total,
            starts,
            later,
        } = loop {
            if self.epoch.lock().get(lease) != Some(&epoch) {
                return;
            }
            let deadline = Instant::now() + PATIENCE;
            if !self.parts.pipeline.await_results(&all, deadline) {
                continue;
            }
            match self.look(lease, &companions) {
                Ok(known) => break known,
                Err(error) => {
                    let why = self
                        .why(lease, &error)
                        .unwrap_or_else(|| why_not_yet(&error));
                    self.waiting.note(lease, TAKEOVER, why);
                    std::thread::sleep(pause.grow());
                }
            }
        };
        account.resize(total);
        while account.settles_in(lease.partition).is_some() {
            if self.epoch.lock().get(lease) != Some(&epoch) {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        // Under this lock no revocation comes in between.
        let current = self.epoch.lock();
        if current.get(lease) != Some(&epoch) {
            return;
        }
        account.gain(lease.partition, total);
        drop(current);
        self.spread_rate(index, account);
        for decided in starts {
            let beginning = decided.beginning(&self.parts.reading.own);
            // Under this lock no revocation comes in between.
            let current = self.epoch.lock();
            if current.get(lease) != Some(&epoch) {
                return;
            }
            self.begin(index, account, decided);
            drop(current);
            tell(account, beginning, assigned);
        }
        for (partition, absent) in later {
            self.await_later(partition, epoch, absent);
        }
    }

    /// Why Kafka refuses what was asked about a partition, if that is what it says.
    fn why(&self, partition: &Partition, error: &KafkaError) -> Option<String> {
        let topics = [partition.topic.to_string()];
        ear::denied(self.parts.group.client(), &topics, error)
    }

    /// Looks at a lease and those that go with it. Partitions are added to one topic after the
    /// other: one that has fewer than the first holds nothing else up.
    fn look(&self, lease: &Partition, companions: &[Partition]) -> Result<Look, KafkaError> {
        let total = self.parts.group.partitions(&lease.topic, PATIENCE)?;
        let mut starts = self.takeover().starts(std::slice::from_ref(lease))?;
        let mut later = Vec::new();
        for companion in companions {
            let mut absent = false;
            match self.look_at(companion, &mut absent) {
                Ok(decided) => starts.push(decided),
                Err(error) => {
                    self.note_later(companion, absent, &error);
                    later.push((companion.clone(), absent));
                }
            }
        }
        Ok(Look {
            total,
            starts,
            later,
        })
    }

    fn stand(&self, partition: &Partition, code: ErrorCode, what: &str) {
        self.waiting.stand(partition, For { code, what });
    }

    fn note_later(&self, partition: &Partition, absent: bool, error: &KafkaError) {
        let what = if absent { FEWER } else { COMPANION };
        self.waiting.note(partition, what, why_not_yet(error));
    }

    /// Where one partition starts that may not be there; whether it was not is noted.
    fn look_at(&self, partition: &Partition, absent: &mut bool) -> Result<Decided, KafkaError> {
        let nowhere = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        if !self.parts.group.exists(partition, PATIENCE)? {
            *absent = true;
            return Err(nowhere);
        }
        let starts = self.takeover().starts(std::slice::from_ref(partition))?;
        starts.into_iter().next().ok_or(nowhere)
    }

    /// A partition that was taken over begins, or stands still. To be called under the lock
    /// under which its lease cannot go.
    fn begin(&self, index: usize, account: &Account, decided: Decided) {
        let Decided {
            partition,
            start,
            committed,
        } = decided;
        match (start, committed) {
            (Ok(start), _) => {
                self.waiting.done(&partition);
                self.open(index, account, partition.partition, partition, start);
            }
            (Err(_), Some(commit)) => self.parts.pipeline.stands_still(partition, commit),
            (Err(_), None) => {}
        }
    }

    fn open(
        &self,
        index: usize,
        account: &Account,
        lease: i32,
        partition: Partition,
        start: Start,
    ) {
        self.reassessed(&partition);
        let key = group_key(index, account, lease);
        let sharing = self.sharing.get(index).filter(|_| key.1.is_none());
        let _sharing = sharing.map(Mutex::lock);
        let mut groups = self.groups.lock();
        let group = groups
            .entry(key)
            .or_insert_with(|| self.start_group(account, key.1));
        let priority = account.priority(&partition.topic).unwrap_or(0);
        self.parts
            .pipeline
            .assigned(partition, start, group.id, priority);
    }

    fn start_group(&self, account: &Account, partition: Option<i32>) -> BindGroup {
        BindGroup::start(
            account.plan(partition),
            self.parts.pipeline.clone(),
            self.parts.lease.clone(),
            account.current_rate(),
            &self.parts.runtime,
        )
    }

    /// Gives up the leases of one account; `lost` ones without a word.
    fn give_up(&self, index: usize, leases: &[i32], lost: bool) {
        let account = &self.parts.accounts[index];
        let pipeline = &self.parts.pipeline;
        let assignments = pipeline.assignments_of(&partitions_of(account, leases));
        let drain = if lost {
            pipeline.lost(&assignments);
            self.watch(partitions_of(account, leases));
            Duration::ZERO
        } else {
            pipeline.drain(&assignments);
            self.parts.revoke_drain
        };
        match account.options.binds {
            Binds::PerPartition(_) => self.stop_groups(index, leases, drain),
            Binds::PerInstance(_) => self.leave_shared_group(index, &assignments, drain),
        }
        if !lost {
            if !pipeline.settle(&assignments, LAST_COMMIT) {
                LastCommitFailed {}.emit();
                pipeline.lost(&assignments);
                self.watch(partitions_of(account, leases));
            }
            pipeline.removed(&assignments);
        }
        pipeline.unkeep(&partitions_of(account, leases));
        self.waiting.forget(&partitions_of(account, leases));
        for partition in leases {
            account.lose(*partition);
        }
        self.spread_rate(index, account);
    }

    /// Asks how many partitions each account's first topic has: when others are given new
    /// ones, ours are a smaller share of the account's rate.
    pub fn refresh_shares(&self) {
        for (index, account) in self.parts.accounts.iter().enumerate() {
            let Some(topic) = account.options.topics.first() else {
                continue;
            };
            match self.parts.group.partitions(topic, PATIENCE) {
                Ok(total) => {
                    account.resize(total);
                    self.spread_rate(index, account);
                }
                Err(error) => debug!(%error, topic = &**topic, "partitions not counted"),
            }
        }
    }

    /// Says again what stands still, what waits for a bind, and what was changed that must not
    /// be. To be called now and then.
    pub fn remind(&self) {
        // A takeover may have noted one that was taken away meanwhile.
        let epochs = self.epoch.lock();
        let is_ours = |partition: &Partition| {
            let account = self.account_of(&partition.topic);
            account.is_some_and(|(_, account)| epochs.contains_key(&lease_of(account, partition)))
        };
        let waiting = self
            .waiting
            .all()
            .into_iter()
            .map(|(partition, _)| partition);
        let gone: Vec<Partition> = waiting.filter(|partition| !is_ours(partition)).collect();
        drop(epochs);
        self.waiting.forget(&gone);
        self.waiting.remind();
        let idle = self.parts.pipeline.idle();
        let groups = self.groups.lock();
        let is_bound = |state: &State| matches!(state, State::Bound { .. });
        let up: HashMap<GroupKey, bool> = (groups.iter())
            .map(|(key, group)| (*key, group.states().iter().any(is_bound)))
            .collect();
        drop(groups);
        let mut waiting: HashMap<usize, (usize, Partition)> = HashMap::new();
        for (partition, _) in self.parts.pipeline.positions() {
            let Some((index, account)) = self.account_of(&partition.topic) else {
                continue;
            };
            let key = group_key(index, account, partition.partition);
            if up.get(&key) == Some(&false) && !idle.contains_key(&partition) {
                waiting.entry(index).or_insert((0, partition)).0 += 1;
            }
        }
        for (index, waiting) in waiting {
            self.unbound[index].note(waiting);
        }
        for (topic, then) in &self.parts.fixed {
            match self.parts.group.partitions(topic, PATIENCE) {
                Ok(now) if now != *then => self.changed.note((topic.clone(), *then, now)),
                Ok(_) => {}
                Err(error) => debug!(%error, topic, "partitions not counted"),
            }
        }
    }

    /// Commits the ends of partitions that rest before them: see [`end`]. To be called now and
    /// then; only those are looked at that rested since the last time.
    pub fn commit_ends(&self) {
        let (pipeline, group) = (&self.parts.pipeline, &self.parts.group);
        let idle = pipeline.idle();
        let before = std::mem::replace(&mut *self.idle.lock(), idle.clone());
        for (partition, next) in idle {
            if before.get(&partition) != Some(&next) {
                continue;
            }
            let found = group
                .watermarks(&partition, PATIENCE)
                .and_then(|(_, high)| {
                    if high > next {
                        end::empty_until(group.client(), &partition, next, PATIENCE)
                    } else {
                        Ok(None)
                    }
                });
            match found {
                Ok(Some(to)) if to > next => {
                    debug!(%partition, next, to, "nothing more up to the end of its log");
                    pipeline.skipped(&partition, next, to);
                }
                Ok(_) => {}
                Err(error) => debug!(%error, %partition, "its end is not known"),
            }
        }
    }

    /// Asks where the partitions end of which nothing is fetched, because enough of them is here. To be called
    /// now and then. It takes two seconds at most; those that are left then come first the next time.
    pub fn look_at_ends(&self) {
        let (group, figures) = (&self.parts.group, self.parts.group.figures());
        let begun = Instant::now();
        for partition in figures.not_fetched(self.parts.pipeline.full()) {
            if begun.elapsed() >= LOOK_AT_ENDS {
                break;
            }
            let end = match group.watermarks(&partition, LOOK_AT_ENDS) {
                Ok((_, end)) => Some(end),
                Err(error) => {
                    debug!(%error, %partition, "its end is not known");
                    None
                }
            };
            figures.asked(partition, end);
        }
    }

    /// The rates of accounts have changed.
    pub fn spread_rates(&self) {
        for (index, account) in self.parts.accounts.iter().enumerate() {
            self.spread_rate(index, account);
        }
    }

    /// Tells the account's bind groups their rate, by which they reserve.
    fn spread_rate(&self, index: usize, account: &Account) {
        let rate = account.current_rate();
        let groups = self.groups.lock();
        for (_, group) in groups.iter().filter(|((i, _), _)| *i == index) {
            self.parts.pipeline.set_rate(group.id, rate);
        }
    }

    /// Looks after what is remembered of partitions that were lost.
    fn watch(&self, partitions: Vec<Partition>) {
        let (pipeline, group) = (self.parts.pipeline.clone(), self.parts.group.clone());
        let watch = move || lost::watch(&pipeline, &group, &partitions);
        if let Err(error) = threads::start("lost", watch) {
            let purpose = "nobody asks who has the partitions that were lost; answers to what was sent of them are not published";
            NoThread { purpose, error }.emit();
        }
    }

    fn stop_groups(&self, index: usize, leases: &[i32], drain: Duration) {
        let mut groups = self.groups.lock();
        let closing: Vec<BindGroup> = leases
            .iter()
            .filter_map(|p| groups.remove(&(index, Some(*p))))
            .collect();
        drop(groups);
        self.parts.runtime.block_on(stop_all(closing, drain));
    }

    /// The binds stay for the partitions that stay. What they still hold of those that go when
    /// the time is up must not be written later, when a successor may send it: it is taken back,
    /// and what was written is in doubt. The other partitions lose nothing by that.
    fn leave_shared_group(&self, index: usize, assignments: &[AssignmentId], drain: Duration) {
        let pipeline = &self.parts.pipeline;
        let deadline = Instant::now() + drain;
        while pipeline.outstanding(assignments) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // From here on nobody joins the bind group until it is settled who stays.
        let _sharing = self.sharing.get(index).map(Mutex::lock);
        let key = (index, None);
        let groups = self.groups.lock();
        let Some((id, binds)) = groups.get(&key).map(|s| (s.id, s.handles())) else {
            return;
        };
        drop(groups);
        if pipeline.serves_others(id, assignments) {
            pipeline.stop_segmented(assignments);
            let tokens = pipeline.tokens_of(assignments);
            if !tokens.is_empty() {
                (self.parts.runtime).block_on(async {
                    for bind in binds {
                        bind.recall(&tokens).await;
                    }
                });
                pipeline.abandon(assignments);
            }
            return;
        }
        let closing = self.groups.lock().remove(&key).into_iter().collect();
        self.parts
            .runtime
            .block_on(stop_all(closing, Duration::ZERO));
    }

    /// These topics do not exist any more. Their partitions leave the pipeline, so that those of
    /// other topics go on, and are taken over anew when they are back. The binds stay until
    /// the group takes the leases away.
    pub fn topics_gone(&self, topics: &[Arc<str>]) {
        let mut gone = Vec::new();
        // One that is only closed to us keeps its offsets and its records.
        let absent: Vec<&Arc<str>> = topics
            .iter()
            .filter(|topic| {
                let asked = self.parts.group.partitions(topic, PATIENCE);
                asked.is_err_and(|error| ErrorClass::of_error(&error).is_absent())
            })
            .collect();
        // Under this lock the leases stay what they are.
        let epochs = self.epoch.lock();
        let ours = self.parts.pipeline.positions().into_iter().map(|(p, _)| p);
        for partition in ours.chain(self.parts.pipeline.kept()) {
            if topics.contains(&partition.topic)
                && let Some((_, account)) = self.account_of(&partition.topic)
                && let Some(epoch) = epochs.get(&lease_of(account, &partition))
            {
                gone.push((partition, *epoch));
            }
        }
        let partitions: Vec<Partition> = gone.iter().map(|(p, _)| p.clone()).collect();
        let assignments = self.parts.pipeline.assignments_of(&partitions);
        self.parts.pipeline.lost(&assignments);
        self.parts.pipeline.unkeep(&partitions);
        for partition in &partitions {
            self.parts.poll.hold(partition.clone());
        }
        drop(epochs);
        self.watch(partitions);
        for (partition, epoch) in gone {
            let absent = absent.contains(&&partition.topic);
            self.await_later(partition, epoch, absent);
        }
    }

    fn await_later(&self, partition: Partition, epoch: u64, absent: bool) {
        if let Some(me) = self.me.upgrade() {
            let topic = partition.topic.clone();
            let wait = move || me.await_topic(partition, epoch, absent);
            if let Err(error) = threads::start("absent", wait) {
                let purpose = format!(
                    "nobody waits for {topic}; its partitions start with the next rebalance"
                );
                NoThread {
                    purpose: &purpose,
                    error,
                }
                .emit();
            }
        }
    }

    /// Takes a partition over as soon as it is there, unless its lease goes first.
    fn await_topic(&self, partition: Partition, epoch: u64, mut absent: bool) {
        let Some((index, account)) = self.account_of(&partition.topic) else {
            return;
        };
        let assigned = Instant::now();
        let lease = lease_of(account, &partition);
        let mut pause = ABSENT;
        let decided = loop {
            std::thread::sleep(pause.grow());
            if self.epoch.lock().get(&lease) != Some(&epoch) {
                return;
            }
            match self.start_anew(&partition, &mut absent) {
                Ok(decided) => break decided,
                Err(error) => self.note_later(&partition, absent, &error),
            }
        };
        let beginning = decided.beginning(&self.parts.reading.own);
        // Under this lock no revocation comes in between.
        let current = self.epoch.lock();
        if current.get(&lease) == Some(&epoch) {
            self.begin(index, account, decided);
            drop(current);
            tell(account, beginning, assigned);
        }
    }

    /// Where a partition starts that was not there, or could not be read.
    fn start_anew(&self, partition: &Partition, absent: &mut bool) -> Result<Decided, KafkaError> {
        let mut decided = self.look_at(partition, absent)?;
        if *absent && let Err(Stop::Expired { .. }) = decided.start {
            // Its offsets went with it, and so did the records they stood for.
            let (low, high) = self.parts.group.watermarks(partition, PATIENCE)?;
            TopicCreatedAnew {
                partition,
                base: None,
                next: None,
                high: None,
            }
            .emit();
            decided.start = Ok(Start::fresh(low, high));
        }
        Ok(decided)
    }

    fn takeover(&self) -> Takeover<'_> {
        Takeover {
            group: &self.parts.group,
            reading: &self.parts.reading,
            surroundings: &self.surroundings,
            waiting: &self.waiting,
        }
    }

    /// A position lies outside its log while we are at work: the topic was created anew, the
    /// log lost its tail, or its records were deleted before they were read. The client stops
    /// fetching such a partition for good and reports it once, so each is asked about until
    /// Kafka answers, and then started afresh, or stands still. It does not say which one it
    /// means.
    fn reassess(&self) {
        let Some(me) = self.me.upgrade() else { return };
        // One that cannot be read for long must not hold up the others.
        for (partition, _) in self.parts.pipeline.positions() {
            let Some((_, account)) = self.account_of(&partition.topic) else {
                continue;
            };
            let lease = lease_of(account, &partition);
            let Some(epoch) = self.epoch.lock().get(&lease).copied() else {
                continue;
            };
            let before = (self.reassessing.lock()).insert(partition.clone(), epoch);
            if before == Some(epoch) {
                continue;
            }
            let (me, of) = (me.clone(), partition.clone());
            let reassess = move || me.reassess_one(&of, &lease, epoch);
            if let Err(error) = threads::start("reassess", reassess) {
                let purpose = "a position outside its log is looked at when Kafka says so again";
                NoThread { purpose, error }.emit();
                self.reassessing.lock().remove(&partition);
            }
        }
    }

    fn reassess_one(&self, partition: &Partition, lease: &Partition, epoch: u64) {
        let is_ours = || self.epoch.lock().get(lease) == Some(&epoch);
        let surveyed = until_answered(AGAIN, is_ours, || {
            let asked = self.survey(partition);
            if let Err(error) = &asked {
                let why = self
                    .why(partition, error)
                    .unwrap_or_else(|| error.to_string());
                self.waiting.note(
                    partition,
                    For {
                        code: codes::TAKEOVER_WAITS,
                        what: "its position lies outside its log, and the log cannot be looked at yet; nothing of it is sent until it can",
                    },
                    why,
                );
            }
            asked
        });
        // Under this lock the lease cannot go.
        let epochs = self.epoch.lock();
        if epochs.get(lease) != Some(&epoch) {
            return;
        }
        match (surveyed.flatten(), self.account_of(&partition.topic)) {
            (Some(log), Some((index, account))) => {
                self.restart(index, account, partition.clone(), &log);
            }
            _ => self.reassessed(partition),
        }
    }

    /// From here on another report is about what comes after this.
    fn reassessed(&self, partition: &Partition) {
        self.reassessing.lock().remove(partition);
    }

    /// How a partition's log is, if the partition is at work. One that ends too early is looked
    /// at several times: a new leader may need a moment to know how far it has come.
    fn survey(&self, partition: &Partition) -> Result<Option<Log>, KafkaError> {
        let (group, pipeline) = (&self.parts.group, &self.parts.pipeline);
        let mut looks = LOOKS;
        loop {
            // First the position: what is compared with it is not older.
            let Some((next, newest)) = pipeline.last_read(partition) else {
                return Ok(None);
            };
            let (low, high) = group.watermarks(partition, PATIENCE)?;
            looks -= 1;
            if high < next && looks > 0 {
                std::thread::sleep(LOOK_AGAIN);
                continue;
            }
            // All that is there is younger than all that was read: see `kafka::start`.
            let is_another = high < next
                && (low == high
                    || match newest.and_then(|newest| newest.checked_add(1)) {
                        Some(since) => group.first_since(partition, since, PATIENCE)? == Some(low),
                        None => false,
                    });
            return Ok(Some(Log {
                next,
                low,
                high,
                is_another,
            }));
        }
    }

    fn restart(&self, index: usize, account: &Account, partition: Partition, log: &Log) {
        let (pipeline, poll) = (&self.parts.pipeline, &self.parts.poll);
        if pipeline.position(&partition).is_none() {
            return self.reassessed(&partition);
        }
        poll.hold(partition.clone());
        // Since it is held the position does not move any more.
        let Some(now) = pipeline.position(&partition) else {
            return self.reassessed(&partition);
        };
        let (next, low, high) = (log.next, log.low, log.high);
        match log.verdict(now) {
            Verdict::GoesOn => {
                self.waiting.done(&partition);
                self.reassessed(&partition);
                poll.start(partition, now);
            }
            Verdict::IsAnother => {
                TopicCreatedAnew { partition: &partition, base: None, next: Some(next), high: Some(high) }.emit();
                pipeline.removed(&pipeline.assignments_of(std::slice::from_ref(&partition)));
                let start = Start::fresh(low, high);
                self.waiting.done(&partition);
                self.open(index, account, partition.partition, partition, start);
            }
            Verdict::LostItsTail => self.stand(&partition, codes::LOG_LOST_TAIL, &format!(
                "the log ends below what was read of it (offset {next}) at {high}: it lost its tail (an unclean leader election, a restored backup), or the topic was created anew; this partition stands still, because what is there may have been sent already. Decide where it continues, stop the connector and run: kafka-smpp offsets reset --topic {} --partition {} --to <earliest|latest|OFFSET> (earliest only if the topic was created anew)",
                partition.topic, partition.partition
            )),
            Verdict::LostItsBeginning => self.stand(&partition, codes::DELETED_BEFORE_SENT, &format!(
                "records were deleted before they were sent (topic retention): the next is at offset {next}, and the log begins at {low}; this partition stands still. To go on with what is left, stop the connector and run: kafka-smpp offsets reset --topic {} --partition {} --to earliest",
                partition.topic, partition.partition
            )),
        }
    }
}

/// What is said of a lease that cannot be taken over.
const TAKEOVER: For<'_> = For {
    code: codes::TAKEOVER_WAITS,
    what: "this partition cannot be taken over yet, and is not sent; it is tried until it can",
};

/// What is said of a partition that goes with a lease and is not there.
const FEWER: For<'_> = For {
    code: codes::PARTITIONS_UNEVEN,
    what: "this partition is not there: its topic was deleted (create it anew), or has fewer partitions than the first of its ESME (add them: kafka-topics.sh --alter --partitions N); what has its number in other topics goes on without it",
};

/// What is said of one that is there.
const COMPANION: For<'_> = For {
    code: codes::TAKEOVER_WAITS,
    what: "this partition cannot be taken over yet, and is not sent with the others of its number; it is tried until it can",
};

/// Why a partition cannot be taken over, in words.
fn why_not_yet(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnstableOffsetCommit) => format!(
            "{error}: a transaction that holds its offset is open, its predecessor's or a producer's; it ends by itself, at the latest after its time-out"
        ),
        _ => error.to_string(),
    }
}

/// Asks until there is an answer, with pauses, or until it does not matter any more.
fn until_answered<T, E>(
    mut pause: Pause,
    matters: impl Fn() -> bool,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Option<T> {
    while matters() {
        match ask() {
            Ok(answer) => return Some(answer),
            Err(_) => std::thread::sleep(pause.grow()),
        }
    }
    None
}

/// Tells of a partition that has begun, if it has.
fn tell(account: &Account, beginning: Option<Beginning>, assigned: Instant) {
    if let Some(beginning) = beginning {
        let event = beginning.event(&account.options.name, assigned.elapsed());
        account.options.notify.send(&event);
    }
}

/// What is found of a lease that is taken over.
struct Look {
    /// How many partitions its topic has.
    total: i32,
    /// Where it starts, and those that go with it.
    starts: Vec<Decided>,
    /// Which of them cannot be taken over for now, and whether they are not there at all.
    later: Vec<(Partition, bool)>,
}

/// A partition's log, and the position that was looked at before it.
#[derive(Clone, Copy)]
struct Log {
    next: i64,
    low: i64,
    high: i64,
    /// Whether nothing of it was ever read, for certain.
    is_another: bool,
}

/// What becomes of a partition whose position was said to lie outside its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoesOn,
    IsAnother,
    LostItsTail,
    LostItsBeginning,
}

impl Log {
    /// What was found says nothing of another position than the one it was compared with: a
    /// partition that moves is healthy, and if it is not, it is reported again.
    fn verdict(&self, now: i64) -> Verdict {
        if now != self.next || (self.low..=self.high).contains(&now) {
            Verdict::GoesOn
        } else if self.is_another {
            Verdict::IsAnother
        } else if self.high < now {
            Verdict::LostItsTail
        } else {
            Verdict::LostItsBeginning
        }
    }
}

async fn stop_all(groups: Vec<BindGroup>, drain: Duration) {
    let mut closing = tokio::task::JoinSet::new();
    for group in groups {
        closing.spawn(group.stop(drain));
    }
    while closing.join_next().await.is_some() {}
}

fn group_key(index: usize, account: &Account, lease: i32) -> GroupKey {
    match account.options.binds {
        Binds::PerPartition(_) => (index, Some(lease)),
        Binds::PerInstance(_) => (index, None),
    }
}

/// The partition that `partition` of any topic of the account goes with.
fn lease_of(account: &Account, partition: &Partition) -> Partition {
    let first = account.options.topics.first();
    Partition {
        topic: first.unwrap_or(&partition.topic).clone(),
        partition: partition.partition,
    }
}

fn partitions_of(account: &Account, leases: &[i32]) -> Vec<Partition> {
    let all = leases.iter().flat_map(|&partition| {
        account.options.topics.iter().map(move |topic| Partition {
            topic: topic.clone(),
            partition,
        })
    });
    all.collect()
}

impl Assignments for PartitionOwner {
    fn assigned(&self, partitions: &[Partition]) -> Vec<Partition> {
        let mut companions = Vec::new();
        let mut leases = Vec::with_capacity(partitions.len());
        let mut epochs = self.epoch.lock();
        for partition in partitions {
            // Once for each assignment, also of the same partition.
            let next = self.assignments.fetch_add(1, Ordering::Relaxed);
            epochs.insert(partition.clone(), next);
            leases.push((partition.clone(), next));
            if let Some((_, account)) = self.account_of(&partition.topic) {
                companions.extend(account.companions(partition.partition));
            }
        }
        drop(epochs);
        self.take_over(leases);
        companions
    }

    fn revoked(&self, partitions: &[Partition], lost: bool) -> Vec<Partition> {
        let began = Instant::now();
        let mut epochs = self.epoch.lock();
        for partition in partitions {
            epochs.remove(partition);
        }
        drop(epochs);
        let mut by_account: HashMap<usize, Vec<i32>> = HashMap::new();
        let mut companions = Vec::new();
        for partition in partitions {
            if let Some((index, account)) = self.account_of(&partition.topic) {
                by_account
                    .entry(index)
                    .or_default()
                    .push(partition.partition);
                companions.extend(account.companions(partition.partition));
            }
        }
        // Accounts wait for their own SMSCs: side by side, not one after another.
        std::thread::scope(|scope| {
            for (index, leases) in &by_account {
                let give_up = || self.give_up(*index, leases, lost);
                let thread = std::thread::Builder::new().name("give-up".to_owned());
                if thread.spawn_scoped(scope, give_up).is_err() {
                    give_up();
                }
            }
        });
        GivenUp {
            elapsed: began.elapsed(),
            lost,
        }
        .emit();
        companions
    }

    fn message(&self, partition: &Partition, message: &BorrowedMessage<'_>) -> Flow {
        let Some((_, account)) = self.account_of(&partition.topic) else {
            return Flow::Continue;
        };
        match intake::read(account, &self.parts.pipeline.settings, message) {
            Ok(incoming) => {
                let at = At {
                    offset: message.offset(),
                    timestamp: message.timestamp().to_millis(),
                };
                self.parts.pipeline.fetched(partition, at, incoming)
            }
            Err(NotYet(why)) => Flow::Again(why),
        }
    }

    fn trouble(&self, error: &KafkaError) {
        let outside = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        );
        if outside && let Some(me) = self.me.upgrade() {
            PositionOutsideLog { error }.emit();
            me.reassess();
        } else {
            ear::failed("Kafka reports trouble", error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_has_moved_since_its_log_was_looked_at_is_not_outside_it() {
        let log = |next, low, high, is_another| Log {
            next,
            low,
            high,
            is_another,
        };
        for (log, now, verdict) in [
            (log(5, 0, 9, false), 5, Verdict::GoesOn),
            (log(9, 0, 9, false), 9, Verdict::GoesOn),
            (log(9, 0, 9, false), 12, Verdict::GoesOn),
            (log(12, 0, 9, false), 13, Verdict::GoesOn),
            (log(12, 0, 9, false), 12, Verdict::LostItsTail),
            (log(12, 0, 9, true), 12, Verdict::IsAnother),
            (log(5, 7, 9, false), 8, Verdict::GoesOn),
            (log(5, 7, 9, false), 6, Verdict::GoesOn),
            (log(5, 7, 9, false), 5, Verdict::LostItsBeginning),
        ] {
            assert_eq!(log.verdict(now), verdict, "{} {now}", log.next);
        }
    }

    #[test]
    fn a_question_is_asked_until_it_is_answered_or_does_not_matter() {
        let pause = || Pause::new(Duration::ZERO, Duration::ZERO);
        let mut asked = 0;
        let answer = until_answered(
            pause(),
            || true,
            || {
                asked += 1;
                if asked < 4 {
                    Err("no answer")
                } else {
                    Ok(asked)
                }
            },
        );
        assert_eq!(answer, Some(4));
        let (left, mut asked) = (std::cell::Cell::new(3), 0);
        let matters = || left.replace(left.get() - 1) > 0;
        let answer = until_answered(pause(), matters, || {
            asked += 1;
            Err::<(), _>("no answer")
        });
        assert_eq!((answer, asked), (None, 3));
    }
}
