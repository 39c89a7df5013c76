//! Scripted faults: what goes wrong, and when.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::Time;
use crate::smpp::Status;

/// What goes wrong, and with which submit_sm, as one line: an action, then conditions that must
/// all hold.
///
/// ```text
/// swallow p=0.001                      one response in a thousand never comes
/// status=ESME_RTHROTTLED every=100     every hundredth submit_sm is refused
/// drop to=4479 times=2                 the connection ends, twice, without the message accepted
/// late=3s nth=5                        the fifth response comes after three seconds
/// ```
///
/// Conditions: `to=PREFIX` of the destination, `from=PREFIX` of the source, `account=SYSTEM_ID`;
/// among the submit_sm (for `refuse`: binds) that meet those, `nth=N` only the Nth, `every=N` each
/// Nth, `p=0.01` by chance; `times=N` at most so often.
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
    /// Only the Nth of them, counted from 1.
    pub nth: Option<u64>,
    /// Each Nth of them.
    pub every: Option<u64>,
    /// By chance, 0 to 1.
    pub probability: Option<f64>,
    /// At most so often.
    pub times: Option<u64>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `swallow`: accepted, never answered.
    Swallow,
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
    /// `twice`: the receipt goes out twice.
    Twice,
    /// `stray`: the receipt carries a message_id that was never given to anybody.
    Stray,
    /// `deaf`: from now on this session answers no enquire_link.
    Deaf,
    /// `refuse=STATUS`: a bind is refused with this command_status.
    Refuse(Status),
}

impl Action {
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
            "status" => Action::Status(status()?),
            "nack" => Action::Nack(status()?),
            "refuse" => Action::Refuse(status()?),
            _ if value.is_some() => return Err(unknown(text)),
            "swallow" => Action::Swallow,
            "drop" => Action::Drop,
            "drop-accepted" => Action::DropAccepted,
            "cut" => Action::Cut,
            "split" => Action::Split,
            "twice" => Action::Twice,
            "stray" => Action::Stray,
            "deaf" => Action::Deaf,
            _ => return Err(unknown(text)),
        })
    }
}

fn unknown(action: &str) -> String {
    format!(
        "unknown fault {action:?}: use swallow, late=TIME, status=STATUS, nack=STATUS, drop, \
         drop-accepted, cut, split, stall=TIME, early=TIME, twice, stray, deaf or refuse=STATUS"
    )
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Swallow => f.write_str("swallow"),
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
            Action::Deaf => f.write_str("deaf"),
            Action::Refuse(status) => write!(f, "refuse={status}"),
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
            nth: None,
            every: None,
            probability: None,
            times: None,
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
                "nth" => fault.nth = number()?,
                "every" => fault.every = number()?,
                "times" => fault.times = number()?,
                "p" => {
                    let chance = value.parse().ok().filter(|p| (0.0..=1.0).contains(p));
                    fault.probability =
                        Some(chance.ok_or(format!("{word:?} needs a chance from 0 to 1"))?);
                }
                _ => {
                    return Err(format!(
                        "unknown condition {word:?} in fault {text:?}: use to=, from=, account=, \
                         nth=, every=, p= or times="
                    ));
                }
            }
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
        let numbers = [
            ("nth", self.nth),
            ("every", self.every),
            ("times", self.times),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        self.probability.map_or(Ok(()), |p| write!(f, " p={p}"))
    }
}

/// What a rule may look at.
#[derive(Clone, Copy, Default)]
pub(super) struct Subject<'a> {
    pub account: &'a str,
    pub source: &'a [u8],
    pub destination: &'a [u8],
}

/// Faults with their counts, shared by all sessions.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

struct Rule {
    fault: Fault,
    seen: AtomicU64,
    struck: AtomicU64,
}

impl Faults {
    pub(super) fn new(faults: &[Fault]) -> Self {
        let rule = |fault: &Fault| Rule {
            fault: fault.clone(),
            seen: AtomicU64::new(0),
            struck: AtomicU64::new(0),
        };
        Faults {
            rules: faults.iter().map(rule).collect(),
        }
    }

    /// The command_status that refuses this bind.
    pub(super) fn bind(&self, account: &str, rng: &mut fastrand::Rng) -> Option<Status> {
        let subject = Subject {
            account,
            ..Subject::default()
        };
        self.rules.iter().find_map(|rule| match rule.fault.action {
            Action::Refuse(status) => rule.strikes(subject, rng).then_some(status),
            _ => None,
        })
    }

    /// What goes wrong with this submit_sm.
    pub(super) fn submit(&self, subject: Subject<'_>, rng: &mut fastrand::Rng) -> Plan {
        let mut plan = Plan::default();
        for rule in &self.rules {
            if !matches!(rule.fault.action, Action::Refuse(_)) && rule.strikes(subject, rng) {
                plan.add(rule.fault.action);
            }
        }
        plan
    }
}

impl Rule {
    fn strikes(&self, subject: Subject<'_>, rng: &mut fastrand::Rng) -> bool {
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
        {
            return false;
        }
        let count = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        fault.nth.is_none_or(|nth| nth == count)
            && fault.every.is_none_or(|every| count.is_multiple_of(every))
            && fault.probability.is_none_or(|p| rng.f64() < p)
            && fault
                .times
                .is_none_or(|t| self.struck.fetch_add(1, Ordering::Relaxed) < t)
    }
}

/// What is to go wrong with one submit_sm: the sum of the rules that strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Refused with this status; the flag is for a generic_nack.
    pub refuse: Option<(Status, bool)>,
    pub ending: Ending,
    pub swallow: bool,
    pub split: bool,
    pub twice: bool,
    pub stray: bool,
    pub deaf: bool,
    pub early: bool,
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
            Action::Deaf => self.deaf = true,
            Action::Refuse(_) => {}
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
        let hit = |_: &usize| faults.submit(subject, &mut rng) != Plan::default();
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
            "deaf",
            "refuse=ESME_RALYBND times=3",
            "status=0x00000401",
        ] {
            assert_eq!(line.parse::<Fault>().unwrap().to_string(), line);
        }
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
        let plan = faults.submit(Subject::default(), &mut rng);
        assert!(plan.twice && plan.early);
        assert_eq!(plan.late, Duration::from_secs(2));
        assert_eq!(faults.bind("a", &mut rng), Some(Status::RALYBND));
        assert_eq!(faults.bind("a", &mut rng), None);
    }
}
