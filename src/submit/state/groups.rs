//! Groups of binds that share partitions: who lets how much through, and whose turn it is.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::submit::state::partition::BindId;
use crate::submit::state::pending::AssignmentId;
use crate::submit::state::pipeline::AssignedPartition;

/// Names a group of binds that share partitions.
pub type GroupId = u64;

/// A bind as the pipeline knows it.
#[derive(Clone, Debug)]
pub struct BindRef {
    /// Its number within the process.
    pub id: BindId,
    /// Its name in events.
    pub name: Arc<str>,
    /// The bind group it serves.
    pub group: GroupId,
}

pub(in crate::submit) struct BindState {
    /// Its name in events.
    pub name: Arc<str>,
    /// Whether it has a session that submits.
    pub bound: bool,
    pub submits: bool,
    /// What it lets through now.
    pub pace: KnownPace,
    /// Operators want nothing to be sent over it.
    pub stopped: bool,
}

impl BindState {
    /// A bind without a session.
    pub fn new(name: Arc<str>, submits: bool) -> Self {
        BindState {
            name,
            bound: false,
            submits,
            pace: KnownPace::default(),
            stopped: false,
        }
    }
}

/// What the pipeline is told of a bind's pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPace {
    /// How many requests it may have unanswered.
    pub window: usize,
    /// PDUs per second that it lets through; infinite without a limit of its own.
    pub rate: f64,
    /// Answers per second of its SMSC, when the window is what limits.
    pub answered: f64,
}

impl Default for KnownPace {
    /// Nothing is known yet.
    fn default() -> Self {
        KnownPace {
            window: usize::MAX,
            rate: f64::INFINITY,
            answered: 0.0,
        }
    }
}

impl KnownPace {
    /// Whether that is far from what was told `before`.
    pub fn differs(&self, before: &KnownPace) -> bool {
        let far = |a: f64, b: f64| {
            a != b && ((a - b).abs() >= b / 10.0 || a.is_infinite() || b.is_infinite())
        };
        self.window != before.window
            || far(self.rate, before.rate)
            || far(self.answered, before.answered)
    }
}

pub(in crate::submit) struct GroupState {
    /// In order of priority.
    pub assignments: Vec<(usize, AssignmentId)>,
    pub binds: HashMap<BindId, BindState>,
    /// The most that one bind may have unanswered.
    pub window: usize,
    /// Share of the account's rate, PDUs per second; infinite without a limit.
    pub rate: f64,
    /// The partition of each priority that was served last: the next one's turn has come.
    pub served: HashMap<usize, AssignmentId>,
    /// The partition of each priority that was given room last.
    pub given: HashMap<usize, AssignmentId>,
}

/// So many are ready for a bind at least: a window that grows would wait for commits.
pub(in crate::submit) const FEWEST: usize = 8;

/// One of so many that may be ready may be a record that is not there yet.
const AHEAD_SHARE: usize = 4;

impl GroupState {
    /// A group with nothing in it.
    pub fn new(window: usize, rate: f64) -> Self {
        GroupState {
            assignments: Vec::new(),
            binds: HashMap::new(),
            window,
            rate,
            served: HashMap::new(),
            given: HashMap::new(),
        }
    }

    /// Whether operators want nothing to be sent over this bind.
    pub fn is_stopped(&self, bind: BindId) -> bool {
        self.binds.get(&bind).is_some_and(|bind| bind.stopped)
    }

    /// Whether operators want nothing to be sent over any of its binds.
    pub fn is_paused(&self) -> bool {
        let mut senders = self.binds.values().filter(|bind| bind.submits).peekable();
        senders.peek().is_some() && senders.all(|bind| bind.stopped)
    }

    /// How many PDUs may be ready to be handed out, beyond those that are: for each bind that is
    /// bound the window in force, or what its SMSC answers until the next commit if that is more,
    /// up to a whole window; less where a rate lets less through within `time`.
    fn room(&self, time: Duration) -> usize {
        // What goes out between two commits, and a little for the timer's resolution. A float
        // beyond the range becomes its end.
        let within = |rate: f64| {
            if rate.is_finite() {
                2 + (rate * time.as_secs_f64()) as usize
            } else {
                usize::MAX
            }
        };
        let bound = self.binds.values();
        let bound = bound.filter(|bind| bind.bound && !bind.stopped);
        let windows: usize = bound
            .map(|bind| {
                let pace = &bind.pace;
                let room = pace.window.max(FEWEST).max(within(pace.answered));
                room.min(self.window.max(1)).min(within(pace.rate))
            })
            .sum();
        windows.min(within(self.rate))
    }

    /// Lets the partitions make records ready: the urgent ones first, those of one priority in equal
    /// shares. What is ready of less urgent ones waits again where the urgent need the room. A part
    /// of the room is for records that are not there yet, up to `most_ahead` of each partition.
    /// Nothing more of partitions that have no `part` in the transaction becomes ready: it would take
    /// room, and no commit would let it go.
    pub fn share(
        &mut self,
        assignments: &mut HashMap<AssignmentId, AssignedPartition>,
        time: Duration,
        most_ahead: usize,
        part: impl Fn(&AssignmentId) -> bool,
    ) {
        let all = self.room(time);
        let ahead = |id: &AssignmentId, assignments: &HashMap<_, AssignedPartition>| {
            assignments.get(id).map_or(0, |h| h.partition.is_ahead())
        };
        // What may come to any of them is as good as ready.
        let promised = (self.assignments.iter()).map(|(_, id)| ahead(id, assignments));
        let mut promised: usize = promised.sum();
        let for_ahead = all / AHEAD_SHARE;
        let mut room = all - promised.min(for_ahead);
        for equals in self.assignments.chunk_by(|a, b| a.0 == b.0) {
            let priority = equals.first().map_or(0, |(priority, _)| *priority);
            let ids = in_turn(equals, self.given.get(&priority));
            for id in ids.clone() {
                if let Some(held) = assignments.get_mut(&id) {
                    held.partition.take_back(room);
                    room -= held.partition.ready_pdus().min(room);
                }
            }
            let waits = |id: &AssignmentId| {
                part(id)
                    && assignments
                        .get(id)
                        .is_some_and(|h| h.partition.has_waiting())
            };
            let mut waiting: Vec<AssignmentId> = ids.filter(waits).collect();
            // Who has least ready comes first, of those who have as much the one whose turn it is.
            waiting.sort_by_key(|id| assignments.get(id).map_or(0, |h| h.partition.ready_pdus()));
            while room > 0 && !waiting.is_empty() {
                let each = room.div_ceil(waiting.len());
                waiting.retain(|id| {
                    let made = assignments
                        .get_mut(id)
                        .map_or(0, |h| h.partition.make_ready(each.min(room)));
                    room -= made.min(room);
                    if made > 0 {
                        self.given.insert(priority, *id);
                    }
                    made > 0
                });
            }
            for id in in_turn(equals, None) {
                let was = ahead(&id, assignments);
                let Some(held) = assignments.get_mut(&id).filter(|_| part(&id)) else {
                    continue;
                };
                // Beyond what it has: of the share of all, and of what is not ready for others. Where
                // the binds take less than before, it has too much.
                let spare = for_ahead.saturating_sub(promised).min(room);
                let surplus = promised.saturating_sub(for_ahead).min(was);
                let count = held.partition.wants_ahead(most_ahead);
                let count = count.min(was + spare - surplus);
                held.partition.plan_ahead(count, surplus > 0);
                let more = count.saturating_sub(was);
                promised = promised + more - surplus;
                room -= more.min(room);
            }
        }
    }
}

/// Partitions of one priority, beginning behind the one that came last.
pub(in crate::submit) fn in_turn<'a>(
    equals: &'a [(usize, AssignmentId)],
    last: Option<&AssignmentId>,
) -> impl Iterator<Item = AssignmentId> + Clone + 'a {
    let last = equals.iter().position(|(_, id)| Some(id) == last);
    let (before, from) = equals.split_at(last.map_or(0, |last| last + 1));
    from.iter().chain(before).map(|(_, id)| *id)
}
