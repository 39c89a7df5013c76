//! The last words of the other processes.
//!
//! What stands on the topic was written by anybody who may write there, so it is believed to be a
//! process of ours only if key and value agree, and what is kept has bounds: [`MOST`] processes, and
//! [`OCTETS`]. Who has been silent for the longest time goes first. Few octets of JSON may be many in
//! memory (`{}` is an ESME), so these count as what they are there, and a value of which there would be
//! far too many is not read at all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::FORGOTTEN;
use super::word::{LONGEST, read};
use crate::status::{Bind, Client, CorrelationPartition, Esme, Partition, Status};

/// So many processes are kept.
const MOST: usize = 256;
/// So many octets of what they said.
pub const OCTETS: usize = 48 << 20;

/// One that would take more while it is read is passed over.
const READ_OCTETS: usize = 16 << 20;

/// Whether reading a value takes no more than [`READ_OCTETS`], whatever its objects are: the largest
/// object that there may be many of is an ESME.
fn is_modest(value: &[u8]) -> bool {
    let objects = value.iter().filter(|octet| **octet == b'{').count();
    value.len() <= LONGEST && objects <= READ_OCTETS / size_of::<Esme>()
}

/// About how many octets a status takes in memory that had so many as JSON.
fn in_memory(status: &Status, written: usize) -> usize {
    let esmes = || status.esmes.iter();
    let binds: usize = esmes().map(|esme| esme.binds.len()).sum();
    let partitions: usize = esmes().map(|esme| esme.partitions.len()).sum();
    PARSED * written
        + status.esmes.len() * size_of::<Esme>()
        + binds * size_of::<Bind>()
        + partitions * size_of::<Partition>()
        + status.correlation.partitions.len() * size_of::<CorrelationPartition>()
        + status.kafka.clients.len() * size_of::<Client>()
}

/// A text in JSON takes about so many times its octets when it is read.
const PARSED: usize = 2;

/// See the [module](self).
pub struct Others {
    deployment: String,
    /// The name of this process.
    own: String,
    words: BTreeMap<String, Word>,
}

struct Word {
    heard: Instant,
    octets: usize,
    status: Status,
}

impl Others {
    /// Those of a deployment, for a process of it.
    pub fn new(deployment: &str, own: &str) -> Self {
        Others {
            deployment: deployment.to_owned(),
            own: own.to_owned(),
            words: BTreeMap::new(),
        }
    }

    /// Takes a record that was written `ago`.
    pub fn hear(&mut self, key: &[u8], value: Option<&[u8]>, ago: Duration, now: Instant) {
        let Some(process) = self.process(key) else {
            return;
        };
        let Some(value) = value else {
            self.words.remove(&process);
            return;
        };
        let heard = now.checked_sub(ago).filter(|_| ago < FORGOTTEN);
        let (Some(heard), true) = (heard, is_modest(value)) else {
            return;
        };
        let Some(mut status) = read(value) else {
            return;
        };
        if status.process.name != process || status.process.deployment != self.deployment {
            return;
        }
        // Clocks of machines differ: what is compared with ours has to be by ours.
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(Timestamp::now().as_millisecond() - ago);
        status.at = at.unwrap_or(status.at);
        let octets = in_memory(&status, value.len());
        let word = Word {
            heard,
            octets,
            status,
        };
        self.words.insert(process, word);
        self.keep_to_bounds();
    }

    /// The name of another process of this deployment.
    fn process(&self, key: &[u8]) -> Option<String> {
        let key = std::str::from_utf8(key).ok()?;
        let name = key.strip_prefix(&self.deployment)?.strip_prefix('/')?;
        (name != self.own).then(|| name.to_owned())
    }

    fn keep_to_bounds(&mut self) {
        let octets = |words: &BTreeMap<String, Word>| words.values().map(|w| w.octets).sum();
        let mut sum: usize = octets(&self.words);
        while self.words.len() > MOST || sum > OCTETS {
            let silent = self.words.iter().min_by_key(|(_, word)| word.heard);
            let Some(name) = silent.map(|(name, _)| name.clone()) else {
                return;
            };
            self.words.remove(&name);
            sum = octets(&self.words);
        }
    }

    /// Forgets who has said nothing for long.
    pub fn forget(&mut self, now: Instant) {
        let is_known = |word: &Word| now.saturating_duration_since(word.heard) < FORGOTTEN;
        self.words.retain(|_, word| is_known(word));
    }

    /// What those said last that said anything `within` this time.
    pub fn heard(&self, within: Duration, now: Instant) -> Vec<Status> {
        let words = self.words.values();
        let heard = words.filter(|word| now.saturating_duration_since(word.heard) < within);
        heard.map(|word| word.status.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Process;

    fn value(deployment: &str, name: &str) -> Vec<u8> {
        let status = Status {
            process: Process {
                name: name.into(),
                deployment: deployment.into(),
                ..Process::default()
            },
            ..Status::default()
        };
        serde_json::to_vec(&status).unwrap()
    }

    fn names(others: &Others, within: u64, now: Instant) -> Vec<String> {
        let heard = others.heard(Duration::from_secs(within), now);
        heard.into_iter().map(|s| s.process.name).collect()
    }

    #[test]
    fn one_that_stops_is_gone_and_one_that_is_silent_is_forgotten_later() {
        let (mut others, now) = (
            Others::new("sms", "own"),
            Instant::now() + Duration::from_secs(9_999),
        );
        let ago = Duration::from_secs;
        for (name, silent) in [("a", 0), ("b", 40), ("own", 0), ("old", 600)] {
            let key = format!("sms/{name}");
            others.hear(key.as_bytes(), Some(&value("sms", name)), ago(silent), now);
        }
        assert_eq!(names(&others, 600, now), ["a", "b"]);
        assert_eq!(names(&others, 30, now), ["a"], "b has gone silent");
        let shown = others.heard(ago(600), now);
        let apart = shown[0].at.as_second() - shown[1].at.as_second();
        assert!((39..=41).contains(&apart), "{apart}");
        others.hear(b"sms/a", None, ago(0), now);
        assert_eq!(names(&others, 600, now), ["b"]);
        others.forget(now + ago(559));
        assert_eq!(names(&others, 9_999, now), ["b"]);
        others.forget(now + ago(560));
        assert!(names(&others, 9_999, now).is_empty());
    }

    #[test]
    fn what_is_no_process_of_ours_is_passed_over() {
        let (mut others, now) = (Others::new("sms", "own"), Instant::now());
        let long = vec![b' '; LONGEST + 1];
        for (key, value) in [
            (&b"sms/a"[..], value("other", "a")),
            (b"sms/a", value("sms", "b")),
            (b"other/a", value("other", "a")),
            (b"smsx/a", value("sms", "a")),
            (b"sms", value("sms", "a")),
            (b"\xff/a", value("sms", "a")),
            (b"sms/a", b"{\"process\":[[[".to_vec()),
            (b"sms/a", b"7".to_vec()),
            (b"sms/a", long),
        ] {
            others.hear(key, Some(&value), Duration::ZERO, now);
            assert!(names(&others, 9_999, now).is_empty(), "{key:?}");
        }
    }

    /// `{}` in the list of ESMEs: three octets that are several hundred in memory.
    #[test]
    fn little_text_does_not_take_much_memory() {
        let (mut others, now) = (Others::new("sms", "own"), Instant::now());
        let dense = |name: &str, esmes: usize| {
            let text = String::from_utf8(value("sms", name)).unwrap();
            let list = vec!["{}"; esmes].join(",");
            text.replace("\"esmes\":[]", &format!("\"esmes\":[{list}]"))
        };
        let many = dense("many", 250_000);
        assert!(many.len() < LONGEST && many.contains("{},{}"));
        others.hear(b"sms/many", Some(many.as_bytes()), Duration::ZERO, now);
        assert!(names(&others, 9_999, now).is_empty());
        for number in 0..50 {
            let name = format!("{number:02}");
            let key = format!("sms/{name}");
            let value = dense(&name, 5000);
            let later = now + Duration::from_millis(number);
            others.hear(
                key.as_bytes(),
                Some(value.as_bytes()),
                Duration::ZERO,
                later,
            );
        }
        let kept = others.words.values().map(|word| word.status.esmes.len());
        let octets = kept.sum::<usize>() * size_of::<Esme>();
        assert!(octets <= OCTETS && octets > OCTETS / 2, "{octets}");
    }

    #[test]
    fn who_is_silent_for_longest_makes_room() {
        let (mut others, now) = (Others::new("sms", "own"), Instant::now());
        for number in 0..=MOST {
            let (name, later) = (format!("{number:04}"), Duration::from_millis(number as u64));
            let key = format!("sms/{name}");
            let value = value("sms", &name);
            others.hear(key.as_bytes(), Some(&value), Duration::ZERO, now + later);
        }
        let names = names(&others, 9_999, now);
        assert_eq!((names.len(), &*names[0]), (MOST, "0001"));
        for number in 0..=OCTETS / (PARSED * LONGEST) {
            let name = format!("x{number}");
            let mut large = value("sms", &name);
            large.resize(LONGEST, b' ');
            let later = now + Duration::from_secs(1 + number as u64);
            let key = format!("sms/{name}");
            others.hear(key.as_bytes(), Some(&large), Duration::ZERO, later);
        }
        let octets: usize = others.words.values().map(|word| word.octets).sum();
        assert!(octets <= OCTETS && !others.words.contains_key("x0"));
    }
}
