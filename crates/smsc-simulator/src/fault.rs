//! Scripted faults: what goes wrong, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use smpp_protocol::Status;
use written_units::Time;

/// What goes wrong, and with which submit_sm, as one line: an action, then conditions that must
/// all hold.
///
/// ```text
/// swallow p=0.001                      one response in a thousand never comes
/// status=ESME_RTHROTTLED every=100     every hundredth submit_sm is refused
/// drop to=4479 times=2                 the connection ends, twice, without the message accepted
/// late=3s nth=5                        the fifth response comes after three seconds
/// status=ESME_RTHROTTLED during=500ms/8s   the last half second of every eight, all are refused
/// die=200ms                            every bind ends, without a word, after 200 ms
/// swallow after=500 per=session        a session answers 500 messages, and no more
/// ```
///
/// Conditions: `to=PREFIX` of the destination, `from=PREFIX` of the source, `account=SYSTEM_ID`,
/// `during=` a [time](During); among the submit_sm (for `refuse` and `die`: binds) that meet
/// those, `after=N` none of the first N, `nth=N` only the Nth, `every=N` each Nth, `p=0.01` by
/// chance; `times=N` at most so often. With `per=session` each session is counted for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// What goes wrong.
    pub action: Action,
    /// Only messages to destinations that begin so.
    pub to: Option<String>,
    /// Only messages from sources that begin so.
    pub from: Option<String>,
    /// Only this account.
    pub account: Option<String>,
    /// Only at some times.
    pub during: Option<During>,
    /// None of the first N of them.
    pub after: Option<u64>,
    /// Only the Nth of them, counted from 1.
    pub nth: Option<u64>,
    /// Each Nth of them.
    pub every: Option<u64>,
    /// By chance, 0 to 1.
    pub probability: Option<f64>,
    /// At most so often.
    pub times: Option<u64>,
    /// Whether each session is counted for itself, and not all together.
    pub per_session: bool,
}

/// When a fault may strike, in the time since the simulator began or was given its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// `500ms/8s`: in the last 500 ms of every 8 s, so that it begins in health.
    Each {
        /// For how long.
        part: Duration,
        /// Of how long a time.
        of: Duration,
    },
    /// `10s..25s`: once, from the tenth second to the twenty-fifth.
    Once {
        /// From when.
        from: Duration,
        /// Until when.
        until: Duration,
    },
}

impl During {
    fn holds(self, since: Duration) -> bool {
        match self {
            During::Each { part, of } => {
                let at = since.as_nanos() % of.as_nanos().max(1);
                at >= of.saturating_sub(part).as_nanos()
            }
            During::Once { from, until } => (from..until).contains(&since),
        }
    }
}

impl FromStr for During {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| text.parse::<Time>().map(Time::get);
        if let Some((part, of)) = text.split_once('/') {
            let (part, of) = (time(part)?, time(of)?);
            return match part <= of && !part.is_zero() {
                true => Ok(During::Each { part, of }),
                false => Err(format!(
                    "during={text}: the first time is a part of the second: write such as \
                     during=500ms/8s"
                )),
            };
        }
        let (from, until) = text.split_once("..").ok_or(format!(
            "during={text:?} is no time: write during=500ms/8s for the last 500 ms of every 8 s, \
             or during=10s..25s since the start"
        ))?;
        let (from, until) = (time(from)?, time(until)?);
        match from < until {
            true => Ok(During::Once { from, until }),
            false => Err(format!(
                "during={text} ends before it begins: write the earlier time first"
            )),
        }
    }
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            During::Each { part, of } => write!(f, "{}/{}", Time(part), Time(of)),
            During::Once { from, until } => write!(f, "{}..{}", Time(from), Time(until)),
        }
    }
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `swallow`: accepted, never answered.
    Swallow,
    /// `ignore`: neither accepted nor answered.
    Ignore,
    /// `late=TIME`: accepted, answered that much later.
    Late(Duration),
    /// `status=STATUS`: refused with this command_status.
    Status(Status),
    /// `nack=STATUS`: refused with a generic_nack.
    Nack(Status),
    /// `drop`: the connection ends before the message is accepted.
    Drop,
    /// `drop-accepted`: accepted, then the connection ends instead of a response.
    DropAccepted,
    /// `cut`: accepted, then the connection ends in the middle of the response.
    Cut,
    /// `split`: the response is written in two pieces, some milliseconds apart.
    Split,
    /// `stall=TIME`: nothing is read from the session for that long afterwards.
    Stall(Duration),
    /// `early=TIME`: the receipt goes out at once, the response that much later.
    Early(Duration),
    /// `behind`: the receipt goes out right behind the response.
    Behind,
    /// `twice`: the receipt goes out twice.
    Twice,
    /// `stray`: the receipt carries a message_id that was never given to anybody.
    Stray,
    /// `silent`: from now on this session answers no enquire_link.
    Silent,
    /// `refuse=STATUS`: a bind is refused with this command_status.
    Refuse(Status),
    /// `die=TIME`: a bind is granted, and its connection ends, without a word, so much later.
    Die(Duration),
}

impl Action {
    /// Whether it happens to binds, and not to messages.
    fn is_of_binds(self) -> bool {
        matches!(self, Action::Refuse(_) | Action::Die(_))
    }

    fn parse(text: &str) -> Result<Action, String> {
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(n, v)| (n, Some(v)));
        let time = |fallback: u64| match value {
            Some(value) => value.parse::<Time>().map(Time::get),
            None => Ok(Duration::from_millis(fallback)),
        };
        let status = || {
            let name = value.unwrap_or_default();
            Status::from_name(name)
                .filter(|s| *s != Status::ROK)
                .ok_or(format!(
                    "{text:?} needs a command_status such as ESME_RTHROTTLED or 0x58"
                ))
        };
        Ok(match name {
            "late" => Action::Late(time(1000)?),
            "stall" => Action::Stall(time(1000)?),
            "early" => Action::Early(time(200)?),
            "die" => Action::Die(time(200)?),
            "status" => Action::Status(status()?),
            "nack" => Action::Nack(status()?),
            "refuse" => Action::Refuse(status()?),
            _ if value.is_some() => return Err(unknown(text)),
            "swallow" => Action::Swallow,
            "ignore" => Action::Ignore,
            "behind" => Action::Behind,
            "drop" => Action::Drop,
            "drop-accepted" => Action::DropAccepted,
            "cut" => Action::Cut,
            "split" => Action::Split,
            "twice" => Action::Twice,
            "stray" => Action::Stray,
            // `deaf` is its old name.
            "silent" | "deaf" => Action::Silent,
            _ => return Err(unknown(text)),
        })
    }
}

fn unknown(action: &str) -> String {
    format!(
        "unknown fault {action:?}: use swallow, ignore, late=TIME, status=STATUS, nack=STATUS, \
         drop, drop-accepted, cut, split, stall=TIME, early=TIME, behind, twice, stray, silent, \
         refuse=STATUS or die=TIME"
    )
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Swallow => f.write_str("swallow"),
            Action::Ignore => f.write_str("ignore"),
            Action::Behind => f.write_str("behind"),
            Action::Late(time) => write!(f, "late={}", Time(*time)),
            Action::Status(status) => write!(f, "status={status}"),
            Action::Nack(status) => write!(f, "nack={status}"),
            Action::Drop => f.write_str("drop"),
            Action::DropAccepted => f.write_str("drop-accepted"),
            Action::Cut => f.write_str("cut"),
            Action::Split => f.write_str("split"),
            Action::Stall(time) => write!(f, "stall={}", Time(*time)),
            Action::Early(time) => write!(f, "early={}", Time(*time)),
            Action::Twice => f.write_str("twice"),
            Action::Stray => f.write_str("stray"),
            Action::Silent => f.write_str("silent"),
            Action::Refuse(status) => write!(f, "refuse={status}"),
            Action::Die(time) => write!(f, "die={}", Time(*time)),
        }
    }
}

impl From<Action> for Fault {
    fn from(action: Action) -> Self {
        Fault {
            action,
            to: None,
            from: None,
            account: None,
            during: None,
            after: None,
            nth: None,
            every: None,
            probability: None,
            times: None,
            per_session: false,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let mut fault = Fault::from(Action::parse(words.next().unwrap_or_default())?);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || match value.parse() {
                Ok(number @ 1..) => Ok(Some(number)),
                _ => Err(format!(
                    "{word:?} needs a whole number from 1, such as {name}=100"
                )),
            };
            match name {
                "to" => fault.to = Some(value.to_owned()),
                "from" => fault.from = Some(value.to_owned()),
                "account" => fault.account = Some(value.to_owned()),
                "during" => fault.during = Some(value.parse()?),
                "after" => fault.after = number()?,
                "nth" => fault.nth = number()?,
                "every" => fault.every = number()?,
                "times" => fault.times = number()?,
                "per" if value == "session" => fault.per_session = true,
                "per" => return Err(format!("{word:?} means nothing: write per=session")),
                "p" => {
                    let chance = value.parse().ok().filter(|p| (0.0..=1.0).contains(p));
                    fault.probability =
                        Some(chance.ok_or(format!("{word:?} needs a chance from 0 to 1"))?);
                }
                _ => {
                    return Err(format!(
                        "unknown condition {word:?} in fault {text:?}: use to=, from=, account=, \
                         during=, after=, nth=, every=, p=, times= or per=session"
                    ));
                }
            }
        }
        if fault.action.is_of_binds() && (fault.to.is_some() || fault.from.is_some()) {
            return Err(format!(
                "fault {text:?} is about binds, which have no to= and from=: use account=, during=, \
                 after=, nth=, every=, p= or times="
            ));
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        let texts = [
            ("to", &self.to),
            ("from", &self.from),
            ("account", &self.account),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        if let Some(during) = self.during {
            write!(f, " during={during}")?;
        }
        let numbers = [
            ("after", self.after),
            ("nth", self.nth),
            ("every", self.every),
            ("times", self.times),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        if let Some(p) = self.probability {
            write!(f, " p={p}")?;
        }
        f.write_str(if self.per_session { " per=session" } else { "" })
    }
}

/// What a rule may look at.
#[derive(Clone, Copy, Default)]
pub(super) struct Subject<'a> {
    pub session: u64,
    pub account: &'a str,
    pub source: &'a [u8],
    pub destination: &'a [u8],
}

/// Faults with their counts, shared by all sessions.
pub(super) struct Faults {
    rules: Vec<Rule>,
    since: Instant,
}

struct Rule {
    fault: Fault,
    /// By session, or all under 0.
    counts: Mutex<HashMap<u64, Count>>,
}

#[derive(Default)]
struct Count {
    seen: u64,
    struck: u64,
}

impl Faults {
    pub(super) fn new(faults: &[Fault]) -> Self {
        let rule = |fault: &Fault| Rule {
            fault: fault.clone(),
            counts: Mutex::default(),
        };
        Faults {
            rules: faults.iter().map(rule).collect(),
            since: Instant::now(),
        }
    }

    /// The command_status that refuses this bind.
    pub(super) fn bind(
        &self,
        subject: Subject<'_>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Option<Status> {
        let since = now.saturating_duration_since(self.since);
        self.rules.iter().find_map(|rule| match rule.fault.action {
            Action::Refuse(status) => rule.strikes(subject, since, rng).then_some(status),
            _ => None,
        })
    }

    /// After how long a bind that is granted ends.
    pub(super) fn life(
        &self,
        subject: Subject<'_>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        let since = now.saturating_duration_since(self.since);
        let ends = |rule: &Rule| match rule.fault.action {
            Action::Die(time) if rule.strikes(subject, since, rng) => Some(time),
            _ => None,
        };
        self.rules.iter().filter_map(ends).min()
    }

    /// What goes wrong with this submit_sm.
    pub(super) fn submit(
        &self,
        subject: Subject<'_>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Plan {
        let since = now.saturating_duration_since(self.since);
        let mut plan = Plan::default();
        for rule in &self.rules {
            if !rule.fault.action.is_of_binds() && rule.strikes(subject, since, rng) {
                plan.add(rule.fault.action);
            }
        }
        plan
    }

    /// Forgets what was counted of a session that is over.
    pub(super) fn forget(&self, session: u64) {
        for rule in self.rules.iter().filter(|rule| rule.fault.per_session) {
            rule.counts.lock().remove(&session);
        }
    }
}

impl Rule {
    fn strikes(&self, subject: Subject<'_>, since: Duration, rng: &mut fastrand::Rng) -> bool {
        let fault = &self.fault;
        let begins = |value: &[u8], prefix: &Option<String>| {
            prefix
                .as_ref()
                .is_none_or(|prefix| value.starts_with(prefix.as_bytes()))
        };
        if !begins(subject.destination, &fault.to)
            || !begins(subject.source, &fault.from)
            || fault
                .account
                .as_ref()
                .is_some_and(|account| account != subject.account)
            || fault.during.is_some_and(|during| !during.holds(since))
        {
            return false;
        }
        let whose = if fault.per_session {
            subject.session
        } else {
            0
        };
        let mut counts = self.counts.lock();
        let count = counts.entry(whose).or_default();
        count.seen += 1;
        let strikes = fault.after.is_none_or(|after| count.seen > after)
            && fault.nth.is_none_or(|nth| nth == count.seen)
            && fault
                .every
                .is_none_or(|every| count.seen.is_multiple_of(every))
            && fault.probability.is_none_or(|p| rng.f64() < p)
            && fault.times.is_none_or(|times| count.struck < times);
        count.struck += u64::from(strikes);
        strikes
    }
}

/// What is to go wrong with one submit_sm: the sum of the rules that strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Refused with this status; the flag is for a generic_nack.
    pub refuse: Option<(Status, bool)>,
    pub ending: Ending,
    pub swallow: bool,
    pub ignore: bool,
    pub split: bool,
    pub twice: bool,
    pub stray: bool,
    pub silent: bool,
    pub early: bool,
    pub behind: bool,
    pub late: Duration,
    pub stall: Duration,
}

/// Whether and how the connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    None,
    BeforeAcceptance,
    AfterAcceptance,
    WithinResponse,
}

impl Plan {
    fn add(&mut self, action: Action) {
        match action {
            Action::Swallow => self.swallow = true,
            Action::Ignore => self.ignore = true,
            Action::Behind => self.behind = true,
            Action::Late(time) => self.late = self.late.max(time),
            Action::Status(status) => self.refuse = Some((status, false)),
            Action::Nack(status) => self.refuse = Some((status, true)),
            Action::Drop => self.ending = Ending::BeforeAcceptance,
            Action::DropAccepted => self.ending = Ending::AfterAcceptance,
            Action::Cut => self.ending = Ending::WithinResponse,
            Action::Split => self.split = true,
            Action::Stall(time) => self.stall = self.stall.max(time),
            Action::Early(time) => {
                self.early = true;
                self.late = self.late.max(time);
            }
            Action::Twice => self.twice = true,
            Action::Stray => self.stray = true,
            Action::Silent => self.silent = true,
            Action::Refuse(_) | Action::Die(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: &[&str]) -> Faults {
        Faults::new(&rules.iter().map(|r| r.parse().unwrap()).collect::<Vec<_>>())
    }

    fn struck(faults: &Faults, subject: Subject<'_>, of: usize) -> Vec<usize> {
        let mut rng = fastrand::Rng::with_seed(3);
        let now = Instant::now();
        let hit = |_: &usize| faults.submit(subject, now, &mut rng) != Plan::default();
        (1..=of).filter(hit).collect()
    }

    #[test]
    fn faults_read_as_they_print() {
        for line in [
            "swallow p=0.001",
            "late=3s nth=5",
            "status=ESME_RTHROTTLED every=100",
            "nack=ESME_RINVCMDID to=4479",
            "drop to=4479 times=2",
            "drop-accepted account=a every=3 times=2",
            "cut from=ACME",
            "split",
            "stall=1s500ms",
            "early=200ms",
            "twice",
            "stray",
            "silent",
            "refuse=ESME_RALYBND times=3",
            "status=0x00000401",
            "status=ESME_RTHROTTLED during=500ms/8s",
            "status=ESME_RTHROTTLED during=10s..25s",
            "die=200ms account=a during=1s..9s after=3 every=2",
            "swallow after=500 per=session",
            "ignore p=0.5 per=session",
            "behind",
        ] {
            assert_eq!(line.parse::<Fault>().unwrap().to_string(), line);
        }
        let by_old_name: Fault = "deaf nth=2".parse().unwrap();
        assert_eq!(by_old_name.to_string(), "silent nth=2");
    }

    #[test]
    fn faults_that_mean_nothing_say_what_would() {
        for (line, help) in [
            ("", "swallow"),
            ("explode", "drop-accepted"),
            ("drop=1s", "drop-accepted"),
            ("status", "ESME_RTHROTTLED"),
            ("status=ESME_ROK", "ESME_RTHROTTLED"),
            ("late=3", "\"30s\""),
            ("drop every=0", "from 1"),
            ("drop p=2", "0 to 1"),
            ("drop when=now", "times="),
            ("drop during=8s", "during=500ms/8s"),
            ("drop during=8s/500ms", "part of the second"),
            ("drop during=0s/5s", "part of the second"),
            ("drop during=8s..8s", "earlier time first"),
            ("drop during=1/2", "\"30s\""),
            ("drop per=bind", "per=session"),
            ("die=1s to=44", "account="),
            ("refuse=ESME_RALYBND from=44", "account="),
        ] {
            let error = line.parse::<Fault>().unwrap_err();
            assert!(error.contains(help), "{line:?}: {error}");
        }
    }

    #[test]
    fn conditions_count_only_what_they_look_at() {
        let anybody = Subject::default();
        assert_eq!(struck(&faults(&["drop nth=3"]), anybody, 9), [3]);
        assert_eq!(struck(&faults(&["drop every=4"]), anybody, 9), [4, 8]);
        assert_eq!(
            struck(&faults(&["drop every=2 times=2"]), anybody, 9),
            [2, 4]
        );
        let faults = faults(&["swallow to=44 account=a nth=1"]);
        let subject = Subject {
            session: 1,
            account: "a",
            source: b"x",
            destination: b"4479",
        };
        let other = Subject {
            destination: b"4979",
            ..subject
        };
        assert!(struck(&faults, other, 3).is_empty());
        assert!(
            struck(
                &faults,
                Subject {
                    account: "b",
                    ..subject
                },
                3
            )
            .is_empty()
        );
        assert_eq!(struck(&faults, subject, 3), [1]);
    }

    #[test]
    fn chance_strikes_about_as_often_as_asked() {
        let hits = struck(&faults(&["swallow p=0.1"]), Subject::default(), 10_000).len();
        assert!((900..1_100).contains(&hits), "{hits}");
    }

    #[test]
    fn several_faults_add_up_and_binds_have_their_own() {
        let faults = faults(&[
            "late=1s",
            "twice",
            "early=2s",
            "refuse=ESME_RALYBND times=1",
        ]);
        let mut rng = fastrand::Rng::with_seed(1);
        let (anybody, now) = (Subject::default(), Instant::now());
        let plan = faults.submit(anybody, now, &mut rng);
        assert!(plan.twice && plan.early);
        assert_eq!(plan.late, Duration::from_secs(2));
        assert_eq!(faults.bind(anybody, now, &mut rng), Some(Status::RALYBND));
        assert_eq!(faults.bind(anybody, now, &mut rng), None);
    }

    #[test]
    fn after_so_many_it_strikes_all_and_each_session_may_be_counted_for_itself() {
        let anybody = Subject::default();
        assert_eq!(struck(&faults(&["swallow after=7"]), anybody, 9), [8, 9]);
        let together = faults(&["swallow after=2"]);
        let each = faults(&["swallow after=2 per=session"]);
        for (faults, of_second) in [(together, vec![1, 2, 3]), (each, vec![3])] {
            let of = |session| Subject { session, ..anybody };
            assert_eq!(struck(&faults, of(1), 3), [3]);
            assert_eq!(struck(&faults, of(2), 3), of_second);
        }
    }

    #[test]
    fn times_come_at_the_end_of_each_period_or_once() {
        let second = Duration::from_secs;
        let each: During = "500ms/8s".parse().unwrap();
        let held = |during: During| {
            let holds = |half: &u64| during.holds(Duration::from_millis(half * 500));
            (0..40).filter(holds).collect::<Vec<u64>>()
        };
        assert_eq!(held(each), [15, 31], "in half seconds");
        assert_eq!(held("2s..3s".parse().unwrap()), [4, 5]);
        let faults = faults(&["status=ESME_RTHROTTLED during=2s..3s nth=1"]);
        let (start, mut rng) = (faults.since, fastrand::Rng::with_seed(1));
        let mut at = |seconds| {
            let plan = faults.submit(Subject::default(), start + second(seconds), &mut rng);
            plan.refuse.is_some()
        };
        assert_eq!(
            [at(1), at(2), at(2), at(3)],
            [false, true, false, false],
            "only what falls into the time is counted"
        );
    }

    #[test]
    fn binds_die_as_often_as_asked() {
        let faults = faults(&["die=200ms times=2", "die=1s account=b"]);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut life = |account| {
            let subject = Subject {
                account,
                ..Subject::default()
            };
            faults.life(subject, Instant::now(), &mut rng)
        };
        let millis = |ms| Some(Duration::from_millis(ms));
        assert_eq!(
            [life("b"), life("a"), life("b"), life("a")],
            [millis(200), millis(200), millis(1000), None]
        );
    }
}
