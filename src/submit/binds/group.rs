//! The binds that serve one or several partitions, and the tasks that feed them.
//!
//! A bind group opens its binds when the first of its partitions has made its first commit, never
//! before: until then a predecessor may still be at work. It closes them when the last of
//! its partitions is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify as Wake, watch};
use tokio::task::JoinSet;
use tracing::debug;

use smpp_esme::{Client, Inbound, Lease, Outcome, Pace, Rate, Signal, Slot, State, Token};
use smpp_protocol::Status;

use crate::meters::Meters;
use crate::record::notification::{Notification, Notify, Throttling, count};
use crate::repeated::{Line, Times};
use crate::submit::binds::open::{OpenBind, OpenBinds};
use crate::submit::binds::wanted::Wanted;
use crate::submit::message::Version;
use crate::submit::notices::{BindGroupEndedBadly, TakesEverythingAgain, Throttled};
use crate::submit::pipeline::Pipeline;
use crate::submit::results::events::AccountRef;
use crate::submit::state::groups::{BindRef, GroupId, KnownPace};
use crate::submit::state::pipeline::Picked;
use crate::submit::state::retry::Meaning;

/// Records taken from the pipeline at once.
const BATCH: usize = 64;

/// Makes the receiver of deliver_sm for a bind, by the bind's name.
pub type InboundOf = Arc<dyn Fn(&str) -> Arc<dyn Inbound> + Send + Sync>;

/// What a bind group is made of.
pub struct BindGroupOptions {
    /// Its binds.
    pub binds: Vec<smpp_esme::Options>,
    /// Which version of SMPP goes to the SMSC: it may name a lower one than configured.
    pub version: Version,
    /// Who takes what the SMSC delivers, one for each bind.
    pub inbound: InboundOf,
    /// The account.
    pub reference: Arc<AccountRef>,
    /// Takes what is told of its binds.
    pub notify: Notify,
    /// The account's rate, shared with its other bind groups.
    pub account: Arc<Mutex<Rate>>,
    /// What is counted and timed of the account.
    pub meters: Arc<Meters>,
    /// Told of each bind while it is there.
    pub open: Arc<OpenBinds>,
    /// Limit of each bind, in submit_sm per second; infinite without one.
    pub per_bind: f64,
    /// Whether either rate is finite.
    pub limited: Arc<AtomicBool>,
    /// What operators want of the account.
    pub wanted: watch::Receiver<Wanted>,
    /// How long an answer is waited for.
    pub response: Duration,
    /// The window of each bind.
    pub window: usize,
}

/// A running bind group.
pub struct BindGroup {
    /// Its name in the pipeline.
    pub id: GroupId,
    closing: watch::Sender<Option<Duration>>,
    task: tokio::task::JoinHandle<()>,
    handles: Arc<Mutex<Vec<smpp_esme::Handle>>>,
}

impl BindGroup {
    /// A bind group that opens its binds as soon as one of its partitions is open.
    pub fn start(
        plan: BindGroupOptions,
        pipeline: Arc<Pipeline>,
        lease: Lease,
        rate: f64,
        on: &Runtime,
    ) -> Self {
        let (id, opened) = pipeline.add_group(plan.window, rate);
        let (closing, closed) = watch::channel(None);
        let handles = Arc::new(Mutex::new(Vec::new()));
        let work = serve(plan, pipeline, lease, id, opened, closed, handles.clone());
        BindGroup {
            id,
            closing,
            task: on.spawn(work),
            handles,
        }
    }

    /// The state of each bind.
    pub fn states(&self) -> Vec<State> {
        let handles = self.handles.lock();
        handles.iter().map(|h| h.state().borrow().clone()).collect()
    }

    /// The handles of its binds.
    pub fn handles(&self) -> Vec<smpp_esme::Handle> {
        self.handles.lock().clone()
    }

    /// Stops writing, waits up to `drain` for answers, unbinds. When this returns, every
    /// outcome has been told.
    pub async fn stop(self, drain: Duration) {
        self.closing.send_replace(Some(drain));
        if let Err(error) = self.task.await {
            BindGroupEndedBadly { error: &error }.emit();
        }
    }
}

async fn serve(
    plan: BindGroupOptions,
    pipeline: Arc<Pipeline>,
    lease: Lease,
    id: GroupId,
    opened: Arc<Wake>,
    mut closing: watch::Receiver<Option<Duration>>,
    handles: Arc<Mutex<Vec<smpp_esme::Handle>>>,
) {
    tokio::select! {
        () = opened.notified() => {}
        _ = closing.wait_for(Option::is_some) => {
            pipeline.remove_group(id);
            return;
        }
    }
    let mut binds = JoinSet::new();
    for options in plan.binds.clone() {
        let submits = options.mode.submits();
        let (bind, wake) = pipeline.add_bind(id, options.name.as_str().into(), submits);
        let handler = Arc::new(OutcomeHandler {
            pipeline: pipeline.clone(),
            bind,
            wake,
            own: plan.per_bind,
            told: Mutex::new(KnownPace::default()),
            version: plan.version.clone(),
            meters: plan.meters.clone(),
            complaints: Complaints::new(plan.reference.clone(), plan.notify.clone()),
            paced: Wake::new(),
        });
        let served = ServedBind {
            inbound: (plan.inbound)(&options.name),
            options,
            handler,
            lease: lease.clone(),
            handles: handles.clone(),
            account: plan.account.clone(),
            limited: plan.limited.clone(),
            per_bind: plan.per_bind,
            response: plan.response,
            open: plan.open.clone(),
            wanted: plan.wanted.clone(),
            closing: closing.clone(),
        };
        binds.spawn(served.run());
    }
    while let Some(ended) = binds.join_next().await {
        if let Err(error) = ended {
            BindGroupEndedBadly { error: &error }.emit();
        }
    }
    pipeline.remove_group(id);
}

/// One bind of a group: open, unless operators want it closed, until the group is closed.
struct ServedBind {
    options: smpp_esme::Options,
    handler: Arc<OutcomeHandler>,
    inbound: Arc<dyn Inbound>,
    lease: Lease,
    /// The handles of the group's binds: that of this one is there while it is open.
    handles: Arc<Mutex<Vec<smpp_esme::Handle>>>,
    account: Arc<Mutex<Rate>>,
    limited: Arc<AtomicBool>,
    per_bind: f64,
    response: Duration,
    open: Arc<OpenBinds>,
    wanted: watch::Receiver<Wanted>,
    closing: watch::Receiver<Option<Duration>>,
}

impl ServedBind {
    async fn run(mut self) {
        let seen = self.open.add(&self.options, self.per_bind);
        self.serve(&seen).await;
        self.open.remove(&seen);
    }

    /// Opens the bind whenever operators do not want it closed.
    async fn serve(&mut self, seen: &OpenBind) {
        loop {
            let name = self.options.name.clone();
            tokio::select! {
                wanted = self.wanted.wait_for(|wanted| !wanted.is_closed(&name)) => {
                    // Without an account there is nobody to serve.
                    if wanted.is_err() {
                        return;
                    }
                }
                _ = self.closing.wait_for(Option::is_some) => return,
            }
            if self.serve_once(seen).await {
                return;
            }
        }
    }

    /// Opens the bind and closes it when the group is closed, or operators want that; whether it is
    /// the group.
    async fn serve_once(&mut self, seen: &OpenBind) -> bool {
        let (options, handler) = (self.options.clone(), self.handler.clone());
        let name = options.name.clone();
        let (service, handle) = smpp_esme::Bind::new(
            options,
            handler.clone(),
            self.inbound.clone(),
            self.lease.clone(),
        );
        let begun = self.wanted.borrow().rebinds(&name);
        self.handles.lock().push(handle.clone());
        seen.opened(handle.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(service.run());
        if self.options.mode.submits() {
            let sender = Sender {
                handle: handle.clone(),
                handler,
                account: self.account.clone(),
                own: Rate::new(paced(self.per_bind), burst(self.per_bind)),
                found: Rate::unlimited(),
                limited: self.limited.clone(),
                response: self.response,
            };
            tasks.spawn(sender.run());
        }
        let drain = self.serve_until_closed(&handle, begun).await;
        // Answers that come within their time are waited for, so that nothing is in doubt by an order.
        handle.stop(drain.unwrap_or(self.response));
        if drain.is_none() {
            tokio::select! {
                () = handle.stopped() => {}
                // The group may be closed meanwhile, and has less time.
                closed = self.closing.wait_for(Option::is_some) => {
                    handle.stop(closed.map_or(Duration::ZERO, |drain| drain.unwrap_or_default()));
                }
            }
        }
        handle.stopped().await;
        tasks.shutdown().await;
        self.open.closed(seen);
        self.handles.lock().retain(|other| !other.is(&handle));
        self.closing.borrow().is_some()
    }

    /// Returns when the bind is to be closed: with how long that may take if it is the group that is
    /// closed.
    async fn serve_until_closed(
        &mut self,
        handle: &smpp_esme::Handle,
        begun: u64,
    ) -> Option<Duration> {
        let name = self.options.name.clone();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            handle.set_window(wanted.window.unwrap_or(self.options.window));
            if wanted.is_closed(&name) || wanted.rebinds(&name) != begun {
                return None;
            }
            tokio::select! {
                changed = self.wanted.changed() => changed.ok()?,
                closed = self.closing.wait_for(Option::is_some) => {
                    return Some(closed.map_or(Duration::ZERO, |drain| drain.unwrap_or_default()));
                }
            }
        }
    }
}

/// At which rate places are given, so that with what may go at once no second has more than
/// `per_second`: a contract is counted by the SMSC's clock, second by second.
pub fn paced(per_second: f64) -> f64 {
    match burst(per_second) {
        // Those that go one by one are as far apart as they have to be.
        1 => per_second,
        _ if per_second.is_infinite() => per_second,
        burst => per_second - f64::from(burst),
    }
}

/// How many submit_sm may go at once: what is due within the timer's resolution.
pub fn burst(per_second: f64) -> u32 {
    // A float beyond the range becomes its end.
    (per_second / 50.0).max(1.0) as u32
}

/// Where a bind's outcomes arrive.
struct OutcomeHandler {
    pipeline: Arc<Pipeline>,
    bind: BindRef,
    /// Wakes its sender.
    wake: Arc<Wake>,
    /// The bind's own limit, in PDUs per second; infinite without one.
    own: f64,
    /// What the pipeline knows.
    told: Mutex<KnownPace>,
    version: Version,
    /// What is counted of the account.
    meters: Arc<Meters>,
    complaints: Complaints,
    /// Told when the bind may do something else than before.
    paced: Wake,
}

/// What the SMSC says of too much, for the log.
struct Complaints {
    /// Refusals that are not said yet, and the command_status of the latest.
    unsaid: AtomicU64,
    status: AtomicU32,
    line: Line<Complaint>,
    /// Whether the SMSC has complained, and it is not said that this is over.
    troubled: AtomicBool,
    account: Arc<AccountRef>,
    notify: Notify,
}

/// The latest of some rejections, and what followed from it.
struct Complaint {
    bind: Arc<str>,
    status: Status,
    pace: Pace,
}

impl Complaints {
    fn new(account: Arc<AccountRef>, notify: Notify) -> Self {
        let (of, to) = (account.clone(), notify.clone());
        Complaints {
            unsaid: AtomicU64::new(0),
            status: AtomicU32::new(0),
            line: Line::new(move |times, complaint: Complaint| {
                complaint.say(times);
                to.send(&complaint.event(times, &of));
            }),
            troubled: AtomicBool::new(false),
            account,
            notify,
        }
    }

    fn note(&self, status: Status) {
        self.status.store(status.0, Relaxed);
        self.unsaid.fetch_add(1, Relaxed);
    }

    /// The bind may do this now.
    fn say(&self, bind: &Arc<str>, pace: Pace) {
        let refused = self.unsaid.swap(0, Relaxed);
        if refused > 0 {
            self.troubled.store(true, Relaxed);
            let status = Status(self.status.load(Relaxed));
            let bind = bind.clone();
            self.line
                .note_many(refused, Complaint { bind, status, pace });
        } else if !pace.troubled && self.troubled.swap(false, Relaxed) {
            let window = pace.window;
            TakesEverythingAgain { bind, window }.emit();
            self.notify.send(&Notification {
                esme: &self.account.esme,
                bind,
                throttling: Some(throttling(pace)),
                ..Notification::now("ThrottledNoMore")
            });
        }
    }
}

/// What a bind may do now.
fn throttling(pace: Pace) -> Throttling<'static> {
    Throttling {
        window: count(pace.window),
        rate: pace.rate,
        ..Throttling::default()
    }
}

impl Complaint {
    fn event<'a>(&'a self, times: Times, account: &'a AccountRef) -> Notification<'a> {
        Notification {
            esme: &account.esme,
            bind: &self.bind,
            throttling: Some(Throttling {
                refused: count(times.count),
                command_status: Some(self.status.0),
                command_status_name: Some(account.dialect.names.status(self.status)),
                ..throttling(self.pace)
            }),
            ..Notification::now("Throttled")
        }
    }

    fn say(&self, times: Times) {
        let (window, bind) = (self.pace.window, &*self.bind);
        let rate = match self.pace.rate {
            Some(rate) => format!("{rate:.1}/s"),
            None => "unlimited".to_owned(),
        };
        let (refused, within, status) = (times.count, times.within, self.status);
        let words = match status {
            Status::RMSGQFUL => {
                "the SMSC's queue is full: the bind keeps fewer messages unanswered, and those refused are sent again; if this goes on, set `window` to what the contract allows"
            }
            _ => {
                "the SMSC says that messages come too fast: the bind slows down, and those refused are sent again; if this goes on, set `max_tps` or `max_tps_per_bind` to what the contract allows"
            }
        };
        Throttled {
            words,
            bind,
            refused,
            within,
            status,
            window,
            rate: &rate,
        }
        .emit();
    }
}

impl OutcomeHandler {
    /// Tells the pipeline how much the bind lets through, if that has changed by much: so little is
    /// made ready for it.
    fn tell(&self, pace: Pace) {
        let now = KnownPace {
            window: pace.window,
            rate: pace.rate.unwrap_or(f64::INFINITY).min(self.own),
            answered: pace.answered,
        };
        let mut told = self.told.lock();
        if now.differs(&told) {
            *told = now;
            self.pipeline.paced(&self.bind, now);
        }
    }
}

impl Client for OutcomeHandler {
    fn bound(&self, _generation: u64) {
        self.pipeline.bound(&self.bind);
    }

    fn speaks(&self, version: Option<u8>) {
        self.version.told(&self.bind.name, version);
    }

    fn unbound(&self, _generation: u64) {
        self.pipeline.unbound(&self.bind);
    }

    fn all_told(&self) {
        self.pipeline.all_told();
    }

    fn means(&self, status: Status) -> Signal {
        match Meaning::of(status, &self.pipeline.settings) {
            Meaning::Throttle if status == Status::RMSGQFUL => Signal::QueueFull,
            Meaning::Throttle => Signal::TooFast,
            Meaning::Retry => Signal::Answered,
            Meaning::Final => Signal::Taken,
        }
    }

    fn paced(&self, pace: Pace) {
        self.tell(pace);
        self.complaints.say(&self.bind.name, pace);
        self.paced.notify_one();
    }

    fn outcome(&self, token: Token, outcome: Outcome) {
        if let Outcome::Answered(answer) | Outcome::Late(answer) = &outcome {
            self.meters.responses.count(answer.status);
        }
        if let Outcome::Answered(answer) = &outcome
            && answer.status != Status::ROK
            && matches!(
                self.means(answer.status),
                Signal::QueueFull | Signal::TooFast
            )
        {
            self.complaints.note(answer.status);
        }
        if self.pipeline.outcome(&self.bind, token, outcome) {
            self.wake.notify_one();
        }
    }
}

/// Hands the records to the session in their order, one to each slot. Once one is refused, none
/// that follows may overtake it: they come back as not sent, too. The slots are of different age
/// when some were taken back meanwhile, so the session would take those that follow.
fn submit_in_order(
    slots: impl Iterator<Item = Slot>,
    picked: impl Iterator<Item = Picked>,
    response: Duration,
    mut not_sent: impl FnMut(Token),
) {
    let mut refused = false;
    for (slot, record) in slots.zip(picked) {
        refused = refused || slot.submit(record.token, record.pdu, response).is_err();
        if refused {
            not_sent(record.token);
        }
    }
}

/// Feeds one bind.
struct Sender {
    /// The bind.
    handle: smpp_esme::Handle,
    /// Hears what became of what it sends.
    handler: Arc<OutcomeHandler>,
    /// The rate that all binds of the account share.
    account: Arc<Mutex<Rate>>,
    /// The rate of this bind alone.
    own: Rate,
    /// The rate that the SMSC's answers have shown.
    found: Rate,
    /// Whether either of them is a limit.
    limited: Arc<AtomicBool>,
    /// timers.response.
    response: Duration,
}

impl Sender {
    async fn run(mut self) {
        let mut slots = Vec::with_capacity(BATCH);
        let mut picked = Vec::with_capacity(BATCH);
        let pipeline = self.handler.pipeline.clone();
        while let Some(slot) = self.handle.slot().await {
            slots.push(slot);
            let mut due = None;
            if self.gather(&mut slots, &mut due).await {
                due = pipeline.pick(&self.handler.bind, slots.len(), &mut picked);
            }
            if picked.is_empty() {
                // The slots go back: a session that is lost meanwhile must not be waited on.
                slots.clear();
                self.wait(due).await;
                continue;
            }
            let (slots, picked) = (slots.drain(..), picked.drain(..));
            submit_in_order(slots, picked, self.response, |token| {
                self.handler.outcome(token, Outcome::NotSent);
            });
        }
        debug!(bind = &*self.handler.bind.name, "no more slots");
    }

    /// Adds the slots that may be used at once. `false` if there is nothing to send, which
    /// must be known before a place in the rate's line is taken.
    async fn gather(&mut self, slots: &mut Vec<Slot>, due: &mut Option<Instant>) -> bool {
        if !self.limited.load(Relaxed) && !self.handle.is_limited() {
            let more = std::iter::from_fn(|| self.handle.try_slot());
            slots.extend(more.take(BATCH - 1));
            return true;
        }
        let (waiting, next) = (self.handler.pipeline).peek(&self.handler.bind, BATCH);
        *due = next;
        if waiting == 0 {
            return false;
        }
        while !self.take_place() {
            let delay = self.delay();
            // An answer may have shown meanwhile that more goes than this was reckoned with.
            let paced = self.handler.paced.notified();
            let _ = tokio::time::timeout(delay, paced).await;
        }
        while slots.len() < waiting {
            let Some(slot) = self.handle.try_slot() else {
                break;
            };
            if !self.take_place() {
                break;
            }
            slots.push(slot);
        }
        true
    }

    /// How long until one submit_sm may go; in small steps, because other binds share the
    /// account's rate.
    fn delay(&mut self) -> Duration {
        let now = Instant::now();
        let delay = self.found.delay(now).max(self.own.delay(now));
        let delay = delay.max(self.account.lock().delay(now));
        delay.clamp(Duration::from_millis(1), Duration::from_millis(200))
    }

    /// Takes a place in every line at once, or in none.
    fn take_place(&mut self) -> bool {
        let now = Instant::now();
        let rate = self.handle.pace().rate.unwrap_or(f64::INFINITY);
        self.found.set(rate, burst(rate), now);
        let free = self.found.delay(now).is_zero()
            && self.own.delay(now).is_zero()
            && self.account.lock().take(now);
        if free {
            self.own.take(now);
            self.found.take(now);
        }
        free
    }

    async fn wait(&self, due: Option<Instant>) {
        let wake = self.handler.wake.notified();
        match due {
            None => wake.await,
            Some(due) => {
                let _ = tokio::time::timeout_at(due.into(), wake).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use smpp_esme::testing::Places;

    #[test]
    fn an_smsc_that_throttles_is_told_and_that_it_takes_everything_again() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let to = told.clone();
        let notify = Notify::new(move |event| {
            let throttling = event.throttling.clone().unwrap();
            let status = throttling.command_status_name.map(String::from);
            to.lock()
                .push((event.kind, throttling.refused, status, throttling.window));
        });
        let account = Arc::new(AccountRef {
            esme: "acme".into(),
            dialect: Arc::default(),
            meters: Arc::default(),
        });
        let complaints = Complaints::new(account, notify);
        let bind: Arc<str> = "acme-0.0".into();
        let pace = |window, troubled| Pace {
            window,
            troubled,
            ..Pace::default()
        };
        complaints.say(&bind, pace(10, false));
        assert!(told.lock().is_empty(), "nothing was refused");
        complaints.note(Status::RTHROTTLED);
        complaints.say(&bind, pace(5, true));
        complaints.say(&bind, pace(6, false));
        complaints.say(&bind, pace(7, false));
        let name = Some("ESME_RTHROTTLED".to_owned());
        let expected = [("Throttled", 1, name, 5), ("ThrottledNoMore", 0, None, 6)];
        assert_eq!(*told.lock(), expected);
    }

    fn records(tokens: std::ops::Range<Token>) -> impl Iterator<Item = Picked> {
        let pdu = Bytes::new();
        tokens.map(move |token| Picked {
            token,
            pdu: pdu.clone(),
        })
    }

    /// What the session takes of records `1..4` and what comes back, with the first of the slots
    /// handed out before some were taken back.
    fn outcome(recalled_before: usize) -> (Vec<Token>, Vec<Token>) {
        let places = Places::new(3);
        let mut slots = Vec::new();
        for number in 0..3 {
            if number == recalled_before {
                places.recall(&[9]);
            }
            slots.extend(places.slot());
        }
        let mut back = Vec::new();
        let (slots, picked) = (slots.into_iter(), records(1..4));
        submit_in_order(slots, picked, Duration::ZERO, |token| back.push(token));
        let taken = places.take();
        let free: Vec<Slot> = std::iter::from_fn(|| places.slot()).collect();
        assert_eq!(free.len(), back.len(), "their places are free again");
        (taken, back)
    }

    #[test]
    fn what_follows_a_record_that_is_refused_does_not_go_before_it() {
        assert_eq!(outcome(0), (vec![1, 2, 3], vec![]));
        for before in [1, 2] {
            assert_eq!(outcome(before), (vec![], vec![1, 2, 3]));
        }
    }
}
