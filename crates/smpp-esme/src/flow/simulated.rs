//! SMSCs and binds in virtual time: what the congestion control makes of them, without a socket.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Flow, Sending, Siblings, Signal};
use crate::Rate;

/// One step of the simulation.
const STEP: Duration = Duration::from_millis(1);

/// A small generator of numbers that look random, the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Between 0 and 1.
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

type At<T> = Box<dyn Fn(f64) -> T>;
type Latency = Box<dyn Fn(f64, &mut Random) -> f64>;

/// An SMSC; every field is a function of the time in seconds.
pub struct Smsc {
    /// From a request to its answer.
    pub latency: Latency,
    /// Refusals come at once, whatever the latency.
    pub quick: bool,
    /// Messages a second and bind that are worked off one after another; infinite: all at once.
    pub serial: At<f64>,
    /// How many it holds, of each bind or of all together.
    pub places: At<usize>,
    pub shared: bool,
    /// What it says when it holds as many.
    pub full: Signal,
    /// ESME_RTHROTTLED to everything.
    pub closed: At<bool>,
    /// Messages a second that all binds may send, ESME_RTHROTTLED beyond: as a bucket of so much.
    pub allowed: At<f64>,
    pub burst: f64,
    /// The limit is counted anew every second instead.
    pub by_the_second: bool,
    /// The share of answers that are lost, and that of refusals without a reason.
    pub loss: f64,
    pub moody: f64,
    /// Answers go out at multiples of this, in seconds.
    pub beat: f64,
    /// No answer is given at all.
    pub deaf: At<bool>,
    pub congestion: At<Option<u8>>,
}

impl Default for Smsc {
    fn default() -> Self {
        Smsc {
            latency: Box::new(|_, _| 0.001),
            quick: true,
            serial: Box::new(|_| f64::INFINITY),
            places: Box::new(|_| usize::MAX),
            shared: false,
            full: Signal::QueueFull,
            closed: Box::new(|_| false),
            allowed: Box::new(|_| f64::INFINITY),
            burst: 1.0,
            by_the_second: false,
            loss: 0.0,
            moody: 0.0,
            beat: 0.0,
            deaf: Box::new(|_| false),
            congestion: Box::new(|_| None),
        }
    }
}

/// What is done with it.
pub struct Case {
    pub smsc: Smsc,
    pub binds: usize,
    pub window: usize,
    pub response: f64,
    /// Messages a second that all binds together are given; infinite: a backlog.
    pub offered: At<f64>,
    pub seconds: f64,
    /// Counted from here on.
    pub from: f64,
    pub seed: u64,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            smsc: Smsc::default(),
            binds: 1,
            window: 100,
            response: 10.0,
            offered: Box::new(|_| f64::INFINITY),
            seconds: 30.0,
            from: 0.0,
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// Messages a second that were taken.
    pub taken: f64,
    pub offered: f64,
    /// Refused, as a share of all answers.
    pub refused: f64,
    pub timed_out: usize,
    /// The largest number unanswered, and the largest window.
    pub most: usize,
    pub window: usize,
    /// The largest window at the end, and what is unanswered then.
    pub at_last: usize,
    pub at_last_unanswered: usize,
    /// When the first window was full, in seconds.
    pub full_after: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:9.1}/s  offered {:9.1}/s  refused {:6.2} %  timed out {:4}  unanswered {:3}  window {:3} at last {:3}  full after {:6.2} s",
            self.taken,
            self.offered,
            self.refused * 100.0,
            self.timed_out,
            self.most,
            self.window,
            self.at_last,
            self.full_after,
        )
    }
}

struct Bind {
    flow: Flow,
    rate: Rate,
    open: HashMap<u64, Sending>,
    /// By the time they run out: they are sent in order.
    timers: VecDeque<(Instant, u64)>,
    /// When the SMSC has worked off what it holds.
    busy_until: f64,
    /// Held by the SMSC.
    held: usize,
}

/// An answer on its way: by its time and number.
struct Reply {
    bind: usize,
    token: u64,
    signal: Signal,
    held: bool,
    lost: bool,
    congestion: Option<u8>,
}

pub fn run(case: &Case) -> Row {
    let start = Instant::now();
    let instant = |seconds: f64| start + Duration::from_secs_f64(seconds);
    let mut random = Random::new(case.seed);
    let response = Duration::from_secs_f64(case.response);
    let siblings = Siblings::default();
    let mut binds: Vec<Bind> = (0..case.binds)
        .map(|_| Bind {
            flow: Flow::new(case.window, 2, response, siblings.clone(), start),
            rate: Rate::unlimited(),
            open: HashMap::new(),
            timers: VecDeque::new(),
            busy_until: 0.0,
            held: 0,
        })
        .collect();
    let mut replies: BTreeMap<(u64, u64), Reply> = BTreeMap::new();
    let (mut row, mut token, mut backlog) = (Row::default(), 0_u64, 0.0_f64);
    let (mut tokens, mut second, mut this_second) = (case.smsc.burst, 0_u64, 0.0);
    let (mut taken, mut refused, mut offered) = (0_u64, 0_u64, 0.0);
    let steps = (case.seconds / STEP.as_secs_f64()) as u64;
    for step in 0..steps {
        let time = step as f64 * STEP.as_secs_f64();
        let now = instant(time);
        let counts = time >= case.from;
        let micros = (time * 1e6) as u64;
        while let Some(entry) = replies.first_entry() {
            if entry.key().0 > micros {
                break;
            }
            let reply = entry.remove();
            let bind = &mut binds[reply.bind];
            bind.held -= usize::from(reply.held);
            let refusal = matches!(reply.signal, Signal::QueueFull | Signal::TooFast);
            if reply.lost {
                continue;
            }
            let Some(sending) = bind.open.remove(&reply.token) else {
                bind.flow.late();
                continue;
            };
            (bind.flow).answered(sending, reply.signal, reply.congestion, now);
            match refusal {
                true => {
                    backlog += 1.0;
                    refused += u64::from(counts);
                }
                false => taken += u64::from(counts),
            }
        }
        for bind in &mut binds {
            let mut expired = 0;
            while bind.timers.front().is_some_and(|(at, _)| *at <= now) {
                let (_, token) = bind.timers.pop_front().unwrap();
                expired += usize::from(bind.open.remove(&token).is_some());
            }
            if expired > 0 {
                bind.flow.expired(now);
                row.timed_out += expired;
            }
            bind.flow.tick(bind.open.len(), now);
        }
        // What is offered goes to whoever has room, one after another.
        let more = (case.offered)(time) * STEP.as_secs_f64();
        offered += if counts { more } else { 0.0 };
        backlog += more;
        let allowed = (case.smsc.allowed)(time);
        tokens = (tokens + allowed * STEP.as_secs_f64()).min(case.smsc.burst);
        if time as u64 != second {
            (second, this_second) = (time as u64, 0.0);
        }
        let mut idle = 0;
        let mut turn = step as usize;
        while idle < binds.len() && backlog >= 1.0 {
            turn += 1;
            let number = turn % binds.len();
            let shared = binds.iter().map(|b| b.held).sum::<usize>();
            let bind = &mut binds[number];
            let limit = bind.flow.pace(now).rate.unwrap_or(f64::INFINITY);
            bind.rate.set(limit, (limit / 50.0).max(1.0) as u32, now);
            if bind.open.len() >= bind.flow.allowed() || !bind.rate.take(now) {
                idle += 1;
                continue;
            }
            idle = 0;
            backlog -= 1.0;
            token += 1;
            let rank = bind.open.len() + 1;
            bind.open.insert(token, Sending { at: now, rank });
            bind.timers.push_back((now + response, token));
            bind.flow.sent(1, rank, now);
            row.most = row.most.max(rank);
            // The SMSC's side.
            let smsc = &case.smsc;
            let held = if smsc.shared { shared } else { bind.held };
            let within = match smsc.by_the_second {
                true => this_second < allowed,
                false => allowed.is_infinite() || tokens >= 1.0,
            };
            let signal = if (smsc.closed)(time) || !within {
                Signal::TooFast
            } else if held >= (smsc.places)(time) || random.next() < smsc.moody {
                smsc.full
            } else {
                Signal::Taken
            };
            let latency = (smsc.latency)(time, &mut random);
            let mut at = time + latency;
            if signal == Signal::Taken {
                tokens -= 1.0;
                this_second += 1.0;
                bind.held += 1;
                let each = 1.0 / (smsc.serial)(time);
                bind.busy_until = bind.busy_until.max(time) + each;
                at = at.max(bind.busy_until);
                if smsc.beat > 0.0 {
                    at = (at / smsc.beat).ceil() * smsc.beat;
                }
            } else if smsc.quick {
                at = time + latency.min(0.001);
            }
            let reply = Reply {
                bind: number,
                token,
                signal,
                held: signal == Signal::Taken,
                lost: random.next() < smsc.loss || (smsc.deaf)(time),
                congestion: (smsc.congestion)(time),
            };
            replies.insert(((at * 1e6) as u64, token), reply);
        }
        for bind in &binds {
            let size = bind.flow.pace(now).window;
            let bounds = 1..=case.window;
            assert!(bounds.contains(&size) && bounds.contains(&bind.flow.allowed()));
            row.window = row.window.max(size);
            if size >= case.window && row.full_after == 0.0 {
                row.full_after = time;
            }
        }
    }
    row.at_last_unanswered = binds.iter().map(|b| b.open.len()).sum();
    let seconds = case.seconds - case.from;
    row.taken = taken as f64 / seconds;
    row.offered = offered / seconds;
    row.refused = refused as f64 / ((taken + refused) as f64).max(1.0);
    row.at_last = (binds.iter())
        .map(|b| b.flow.pace(start).window)
        .max()
        .unwrap_or(0);
    row
}
