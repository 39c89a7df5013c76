//! What librdkafka says besides: the base of all contexts of its clients.
//!
//! librdkafka writes a line for each broken connection, each question that has to be asked again and
//! each transaction that is aborted, at levels of its own: a healthy start or a broker's restart would
//! look like an outage. So its lines go to the log at the level of debug (target `librdkafka`). What an
//! operator has to know is said by us, with cause and remedy (see `kafka::cause`):
//!
//! - why connections cannot be used (a password, TLS), at once, then as a count;
//! - a broker that cannot be reached, when that lasts ([`LASTS`]): a restart passes;
//! - a line of a kind that is not known here, as a warning, then as a count.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel as Level};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tracing::debug;

use super::cause::{self, Cause, Doing, Tokens, Who, Why, explain};
use super::notices::{
    BrokerAway, FailedAndTriedAgain, KafkaCannotBeUsed, KafkaSaysNo, LibrdkafkaComplains, NoToken,
};
use crate::codes::{self, ErrorCode};
use crate::repeated::{Line, Times};

/// A broker that cannot be reached for so long is said to be away: restarts are over by then.
pub(crate) const LASTS: Duration = Duration::from_secs(20);
/// After so long without a failed connection, another is a new beginning. librdkafka says the same
/// again after half a minute.
const APART: Duration = Duration::from_secs(45);
/// So many lines that differ, and so many brokers, are told apart. More than any cluster gives
/// occasion for: of more that came in turn, each would be forgotten before it comes again.
const MOST: usize = 1024;

/// Kinds of lines ("facilities") that say nothing an operator has to do, or what we say ourselves.
const KNOWN: &[&str] = &[
    // Connections, and questions that are asked again.
    "FAIL",
    "ERROR",
    "REQTMOUT",
    "APIVERSION",
    "METADATA",
    "METADATAUPDATE",
    "TERM",
    "CLUSTERID",
    "WAKEUPFD",
    "NODENAME",
    // Transactions and producer ids: the caller has the same as an error.
    "GETPID",
    "TXNERR",
    "TXNSTATE",
    "ADDPARTS",
    "ADDOFFSETS",
    "TXNOFFSETS",
    "FATAL",
    "DRDROP",
    "PRODUCE",
    // Groups: what is revoked or lost comes as a callback.
    "SESSTMOUT",
    "MAXPOLL",
    "COMMITFAIL",
    "HEARTBEAT",
    "ASSIGN",
    "REBALANCE",
    "FETCH",
    "OFFSET",
    "STATICMEMBER",
    "GRPTERM",
    "LEAVE",
    "PARTCNT",
    "TOPIC",
    "BROKER",
    "TELEMETRY",
    "GETSUBSCRIPTIONS",
    // Tokens: said with the cause.
    "OIDC",
    "JWT",
    // A property that a client of this kind ignores, such as a producer's for one that only asks.
    "CONFWARN",
];

/// What one client has to say.
#[derive(Debug)]
pub struct Ear {
    who: Who,
    heard: Mutex<Heard>,
    /// Whether others speak for it: a command that ends with the cause.
    silent: bool,
}

/// What a client said so far.
#[derive(Debug, Default)]
struct Heard {
    /// Why it does not get on.
    cause: Option<Cause>,
    /// That all brokers are down.
    all_down: bool,
    /// That it has a token to log in with. Said only where [`hears_of_tokens`] sees to it.
    token: bool,
}

/// A cause that may pass, because a broker that starts or stops looks the same, is believed after so
/// long.
const BELIEVED: Duration = Duration::from_secs(2);

impl Ear {
    /// That of a client with these properties.
    pub fn of(client: &ClientConfig) -> Ear {
        Ear {
            who: Who::of(client),
            heard: Mutex::default(),
            silent: false,
        }
    }

    /// One whose cause is [asked for](Self::cause): it writes none to the log.
    pub fn asked(client: &ClientConfig) -> Ear {
        Ear {
            silent: true,
            ..Ear::of(client)
        }
    }

    /// Who the client is.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Why it does not get on, as far as it said.
    pub fn cause(&self) -> Option<Cause> {
        self.heard.lock().cause.clone()
    }

    /// Why it is no use to wait for the answer to a question that was asked at `since`, if it is
    /// not.
    pub fn hopeless(&self, since: Instant, now: Instant) -> Option<Cause> {
        let heard = self.heard.lock();
        let cause = heard.cause.as_ref()?;
        let long = now.saturating_duration_since(since) >= BELIEVED;
        let hopeless = cause.is_decided() || long && (cause.is_of_connection() || heard.all_down);
        hopeless.then(|| cause.clone())
    }

    /// Why there is no answer after so long to a client that [`hears_of_tokens`], if that is so because
    /// it has no token.
    pub fn tokenless(&self, after: Duration) -> Option<Cause> {
        let has_token = self.heard.lock().token;
        cause::none_yet(&self.who, after).filter(|_| !has_token)
    }

    /// librdkafka writes a line ([`ClientContext::log`]).
    pub fn log(&self, level: Level, kind: &str, text: &str) {
        let text = &*self.who.hides(text);
        if kind == "BRKMAIN" && text.contains("setting OAUTHBEARER token") {
            self.heard.lock().token = true;
        }
        debug!(target: "librdkafka", severity = ?level, kind, "{text}");
        if ["FAIL", "OIDC", "JWT"].contains(&kind) {
            // Not all of these come as an error, too, or not with all that is said.
            return self.connection(None, text);
        }
        let grave = matches!(
            level,
            Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning
        );
        if grave && !self.silent && !KNOWN.contains(&kind) {
            let text = unnamed(text);
            let line = || {
                let kind = kind.to_owned();
                Line::new(move |times: Times, text: String| {
                    let (times, within) = (times.count, times.within);
                    LibrdkafkaComplains {
                        kind: &kind,
                        times,
                        within,
                        text: &text,
                    }
                    .emit();
                })
            };
            note_line(format!("librdkafka {kind}"), line, text.to_owned());
        }
    }

    /// librdkafka reports an error ([`ClientContext::error`]).
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let reason = &*self.who.hides(reason);
        debug!(target: "librdkafka", %error, "{reason}");
        self.connection(error.rdkafka_error_code(), reason);
    }

    fn connection(&self, code: Option<Code>, reason: &str) {
        let cause = explain(&self.who, code, unnamed(reason), &Doing::Asking);
        let all_down = code == Some(Code::AllBrokersDown);
        if cause.why != Why::Unreachable && !cause.is_of_connection() {
            return;
        }
        if self.silent {
        } else if cause.is_of_token() {
            no_token(&cause);
        } else if cause.is_decided() {
            cannot(&cause);
        } else if code.is_none() {
            // What comes as an error, too, has been a line before.
            trouble(&cause, Instant::now());
        }
        let mut heard = self.heard.lock();
        heard.all_down |= all_down;
        // The error that all are down does not say why.
        let better = |before: &Cause| before.rank() <= cause.rank() && !all_down;
        if heard.cause.as_ref().is_none_or(better) {
            heard.cause = Some(cause);
        }
    }
}

/// Has a client that gets its tokens from an endpoint say when it has one: only its lines about security
/// tell.
pub(crate) fn hears_of_tokens(client: &ClientConfig) -> ClientConfig {
    let mut client = client.clone();
    if matches!(Who::of(&client).tokens, Some(Tokens::Endpoint(_))) {
        let debug = client.get("debug").map(|debug| format!("{debug},security"));
        client
            .set("debug", debug.as_deref().unwrap_or("security"))
            .set_log_level(Level::Debug);
    }
    client
}

/// What is noted under each of the last keys, the latest at the end.
#[derive(Debug)]
struct Recent<V>(Mutex<VecDeque<(String, V)>>);

impl<V> Recent<V> {
    const fn new() -> Self {
        Recent(Mutex::new(VecDeque::new()))
    }

    /// Works with what is noted under `key`. Where that is `new` and there is no more room, the key is
    /// forgotten that was not used for the longest time.
    fn note<T>(&self, key: &str, new: impl FnOnce() -> V, work: impl FnOnce(&mut V) -> T) -> T {
        let mut all = self.0.lock();
        let at = all.iter().position(|(known, _)| known == key);
        let mut entry = at.and_then(|at| all.remove(at));
        let (_, value) = entry.get_or_insert_with(|| (key.to_owned(), new()));
        let result = work(value);
        all.extend(entry);
        let forgotten = all
            .len()
            .checked_sub(MOST + 1)
            .and_then(|_| all.pop_front());
        drop(all);
        // A line may have something to say at its end.
        drop(forgotten);
        result
    }
}

/// Lines that differ, each said at once and then as a count.
static SAID: Recent<Line<String>> = Recent::new();

/// Says something that may come often; what has the same `key` is the same.
fn note_line(key: String, line: impl FnOnce() -> Line<String>, what: String) {
    SAID.note(&key, line, |line| line.clone()).note(what);
}

/// Says that something cannot be done until what is wrong is mended: at once, then as a count.
pub fn refused(cause: &Cause) {
    let error_code = cause.code();
    let line = || {
        Line::new(move |times: Times, cause: String| {
            let (times, within) = (times.count, times.within);
            KafkaSaysNo {
                cause: &cause,
                times,
                within,
                error_code,
            }
            .emit();
        })
    };
    note_line(cause.to_string(), line, cause.to_string());
}

/// Says that something failed and is tried again: at once, then as a count.
pub fn failed(what: &'static str, why: String) {
    failed_by(codes::KAFKA_FAILED, what, why);
}

/// As [`failed`], where the code that explains the cause is known.
pub fn failed_by(error_code: ErrorCode, what: &'static str, why: String) {
    let line = || {
        Line::new(move |times: Times, why: String| {
            let (times, within) = (times.count, times.within);
            FailedAndTriedAgain {
                what,
                why: &why,
                times,
                within,
                error_code,
            }
            .emit();
        })
    };
    note_line(format!("{error_code} {what}"), line, why);
}

/// Why Kafka refuses what a member of a group wanted of these topics, with the remedy, if that is what
/// it says.
pub fn denied(group: &ClientConfig, topics: &[String], error: &KafkaError) -> Option<String> {
    let cause = cause::of_error(&Who::of(group), error, &Doing::member(group, topics));
    matches!(cause.why, Why::Denied { .. }).then(|| cause.to_string())
}

/// Says why something failed that a member of a group wanted of these topics and tries again: what
/// somebody must mend as such, else that `what` failed for `about`.
pub fn fails(
    group: &ClientConfig,
    topics: &[String],
    what: &'static str,
    about: impl fmt::Display,
    error: &KafkaError,
) {
    let cause = cause::of_error(&Who::of(group), error, &Doing::member(group, topics));
    match cause.why {
        Why::Denied { .. } => refused(&cause),
        _ => failed_by(cause.code(), what, format!("{about}: {}", cause.message)),
    }
}

/// Why a topic does not take a record, and what helps.
pub fn not_written(client: &ClientConfig, topic: &str, code: Code) -> String {
    let cause = explain(&Who::of(client), Some(code), "", &Doing::Writing(topic));
    match cause.why {
        Why::Other(_) => format!(
            "{}: a rule of the broker's, or the topic's max.message.bytes, refuses what it is given",
            cause.message
        ),
        _ => cause.to_string(),
    }
}

/// Why no connection can be used.
fn cannot(cause: &Cause) {
    let error_code = cause.code();
    let line = || {
        Line::new(move |times: Times, cause: String| {
            let (times, within) = (times.count, times.within);
            KafkaCannotBeUsed {
                cause: &cause,
                times,
                within,
                error_code,
            }
            .emit();
        })
    };
    // The texts differ by broker.
    note_line(format!("{:?}", cause.why), line, cause.to_string());
}

/// Why there is no token to log in with. Who logged in before is not thrown out yet.
fn no_token(cause: &Cause) {
    let error_code = cause.code();
    let line = || {
        Line::new(move |times: Times, cause: String| {
            let (times, within) = (times.count, times.within);
            NoToken {
                cause: &cause,
                times,
                within,
                error_code,
            }
            .emit();
        })
    };
    note_line(format!("token {:?}", cause.why), line, cause.to_string());
}

/// Since when each broker cannot be reached.
static AWAY: Recent<Away> = Recent::new();

#[derive(Clone, Copy, Debug)]
struct Away {
    since: Instant,
    last: Instant,
}

impl Away {
    /// Another connection failed. Since when it does, if that lasts.
    fn failed(&mut self, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.last) > APART {
            self.since = now;
        }
        self.last = now;
        let since = now.saturating_duration_since(self.since);
        (since >= LASTS).then_some(since)
    }
}

/// A connection failed in a way that may pass: said when that lasts.
fn trouble(cause: &Cause, now: Instant) {
    let broker = broker_of(&cause.message).to_owned();
    let new = || Away {
        since: now,
        last: now,
    };
    let lasts = AWAY.note(&broker, new, |away| away.failed(now));
    let Some(since) = lasts else { return };
    let line = || {
        let broker = broker.clone();
        Line::new(move |times: Times, reason: String| {
            let (times, within) = (times.count, times.within);
            BrokerAway {
                broker: &broker,
                reason: &reason,
                times,
                within,
            }
            .emit();
        })
    };
    let reason = if cause.is_of_connection() {
        cause.to_string()
    } else {
        cause.message.clone()
    };
    note_line(
        format!("away {broker}"),
        line,
        format!("{reason} (since {} s)", since.as_secs()),
    );
}

/// `sasl_ssl://host:port/1: ...` or `[thrd:...]: host:port/1: ...`: which broker it is about.
fn broker_of(text: &str) -> &str {
    let text = unnamed(text);
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let mut words = text
        .split(['/', ' '])
        .map(|word| word.trim_end_matches(':'));
    let first = words.next().unwrap_or(text);
    // A connection to a coordinator is named after it, and after its broker once that is known.
    let is_named = first.ends_with("Coordinator");
    let broker = words.next().filter(|word| is_named && word.contains(':'));
    broker.unwrap_or(first)
}

/// Without the name of the client's thread.
fn unnamed(text: &str) -> &str {
    match text.split_once("]: ") {
        Some((thread, rest)) if thread.contains("[thrd:") => rest,
        _ => text,
    }
}

/// The context of a client that is asked things and tells nothing else.
#[derive(Debug)]
pub struct Plain(pub Ear);

impl Plain {
    /// That of a client with these properties.
    pub fn of(client: &ClientConfig) -> Plain {
        Plain(Ear::of(client))
    }
}

impl ClientContext for Plain {
    crate::kafka::token::tokens_of_ours!();

    fn log(&self, level: Level, kind: &str, text: &str) {
        self.0.log(level, kind, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(&error, reason);
    }
}

impl ConsumerContext for Plain {}

impl ProducerContext for Plain {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_said_when_that_lasts() {
        let start = Instant::now();
        let mut away = Away {
            since: start,
            last: start,
        };
        let mut after = |seconds| {
            let lasts = away.failed(start + Duration::from_secs(seconds));
            lasts.map(|since| since.as_secs())
        };
        assert_eq!([after(0), after(5), after(19)], [None; 3], "a restart");
        assert_eq!(after(30), Some(30));
        assert_eq!(after(120), None, "it was there in between");
        assert_eq!([after(130), after(141)], [None, Some(21)]);
    }

    #[test]
    fn only_what_was_not_noted_for_the_longest_time_is_forgotten() {
        let recent = Recent::new();
        let note = |key: &str| {
            let count = |count: &mut u32| {
                *count += 1;
                *count
            };
            recent.note(key, || 0, count)
        };
        assert_eq!([note("often"), note("once")], [1, 1]);
        let others: Vec<String> = (0..MOST - 1).map(|n| n.to_string()).collect();
        let (last, most) = others.split_last().unwrap();
        assert!(most.iter().all(|other| note(other) == 1));
        assert_eq!(note("often"), 2);
        assert_eq!(note(last), 1, "in the place of the one noted once");
        assert!(most.iter().all(|other| note(other) == 2));
        assert_eq!([note("often"), note("once")], [3, 1]);
        assert_eq!(recent.0.lock().len(), MOST);
    }

    #[test]
    fn the_broker_is_named_whatever_stands_before_it() {
        for (text, broker) in [
            ("sasl_ssl://k:9093/bootstrap: Connect failed", "k:9093"),
            ("k:9093/1: Disconnected", "k:9093"),
            (
                "[thrd:k:9093/bootstrap]: k:9093/bootstrap: Connect failed",
                "k:9093",
            ),
            (
                "[thrd:ssl://k:9093/1]: ssl://k:9093/1: Connect failed",
                "k:9093",
            ),
            (
                "[thrd:GroupCoordinator]: GroupCoordinator: k:9093: Connect failed",
                "k:9093",
            ),
            ("TxnCoordinator: k:9093: Disconnected", "k:9093"),
            ("GroupCoordinator: Disconnected (after", "GroupCoordinator"),
        ] {
            assert_eq!(broker_of(text), broker, "{text}");
        }
    }

    fn ear() -> Ear {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", "k:9093");
        Ear::asked(&client)
    }

    #[test]
    fn what_says_why_counts_and_what_may_pass_is_believed_after_a_while() {
        let (now, ear) = (Instant::now(), ear());
        let later = now + BELIEVED;
        let fail = |text: &str| ear.log(Level::Error, "FAIL", text);
        let why = |at| ear.hopeless(now, at).map(|cause| cause.why);
        fail(
            "[thrd:k:9093/bootstrap]: k:9093/bootstrap: Connect to ipv4#1.2.3.4:9093 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert_eq!(why(later), None, "another may answer");
        ear.error(
            &KafkaError::Global(Code::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(why(now), None);
        assert_eq!(why(later), Some(Why::Unreachable));
        let text = ear.cause().unwrap().to_string();
        assert!(text.contains("Connection refused"), "{text}");
        ear.log(
            Level::Info,
            "FAIL",
            "k:9093/1: Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication (after 5ms in state UP)",
        );
        assert_eq!(why(now), None);
        assert_eq!(why(later), Some(Why::WantsSasl));
        ear.error(
            &KafkaError::Global(Code::Authentication),
            "k:9093/bootstrap: SASL authentication error: Authentication failed",
        );
        assert_eq!(why(now), Some(Why::Login));
        fail("k:9093/bootstrap: Connect to ipv4#1.2.3.4:9093 failed: Connection refused");
        assert_eq!(why(now), Some(Why::Login), "it does not hide why");
    }
}
