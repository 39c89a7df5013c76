//! What `top` knows, and what keys and documents change of it. It does nothing by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::cli::commands::status::is_silent;
use crate::status::{Esme, History, Percentiles, STEP, Sample, Status};

/// What `/processes` says.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Processes {
    pub processes: Vec<Status>,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Next,
    Previous,
    /// The ESME of this number, from 1; 0 means all.
    Choose(usize),
    Hold,
}

/// What one connector answered.
#[derive(Default)]
struct Source {
    processes: Processes,
    history: History,
    /// Why it did not answer the last time.
    fault: Option<String>,
    has_answered: bool,
}

/// See the [module](self).
pub(super) struct Top {
    sources: Vec<Source>,
    /// The name of the ESME that is looked at alone.
    chosen: Option<String>,
    /// How many lines of the page lie above the screen.
    pub scroll: usize,
    /// Nothing changes but by keys.
    pub is_held: bool,
}

/// One process, and whether it went silent.
pub(super) struct Seen<'a> {
    pub status: &'a Status,
    pub silent_for: Option<i64>,
}

/// What is known of an ESME in all processes.
#[derive(Default)]
pub(super) struct Account<'a> {
    pub name: String,
    /// It in each process that has it, with the process's host.
    pub places: Vec<(&'a str, &'a Esme)>,
    /// What happened in the last step; none if nobody says.
    pub sample: Option<Sample>,
}

impl Top {
    /// One that has asked nobody yet, of so many.
    pub fn new(sources: usize) -> Self {
        Top {
            sources: (0..sources).map(|_| Source::default()).collect(),
            chosen: None,
            scroll: 0,
            is_held: false,
        }
    }

    /// One of those that are asked has answered, or not.
    pub fn heard(&mut self, source: usize, answer: Result<(Processes, Option<History>), String>) {
        if self.is_held {
            return;
        }
        let Some(source) = self.sources.get_mut(source) else {
            return;
        };
        match answer {
            Ok((processes, history)) => {
                source.processes = processes;
                source.history = history.unwrap_or_else(|| std::mem::take(&mut source.history));
                source.fault = None;
                source.has_answered = true;
            }
            Err(why) => source.fault = Some(why),
        }
        let names = self.names();
        self.chosen = self.chosen.take().filter(|name| names.contains(name));
    }

    /// Does what a key asks for, on a screen that shows `height` lines of a page of `length`; false if
    /// that is to end.
    pub fn key(&mut self, key: Key, height: usize, length: usize) -> bool {
        let page = height.saturating_sub(1).max(1);
        match key {
            Key::Quit => return false,
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(page),
            Key::PageDown => self.scroll += page,
            Key::Top => self.scroll = 0,
            Key::Bottom => self.scroll = length,
            Key::Next => self.choose(self.place() + 1),
            Key::Previous => self.choose(self.place() + self.names().len()),
            Key::Choose(number) if number <= self.names().len() => self.choose(number),
            Key::Choose(_) => {}
            Key::Hold => self.is_held = !self.is_held,
        }
        self.scroll = self.scroll.min(length.saturating_sub(height));
        true
    }

    /// The number of what is looked at, 0 for all.
    fn place(&self) -> usize {
        let names = self.names();
        let chosen = self.chosen.as_ref();
        chosen
            .and_then(|chosen| names.iter().position(|name| name == chosen))
            .map_or(0, |at| at + 1)
    }

    fn choose(&mut self, number: usize) {
        let names = self.names();
        let number = number % (names.len() + 1);
        self.chosen = number.checked_sub(1).and_then(|at| names.get(at).cloned());
        self.scroll = 0;
    }

    /// The names of all ESMEs.
    pub fn names(&self) -> Vec<String> {
        let processes = self.seen();
        let esmes = processes.iter().flat_map(|seen| &seen.status.esmes);
        let names: BTreeSet<&String> = esmes.map(|esme| &esme.name).collect();
        names.into_iter().cloned().collect()
    }

    /// Whether this ESME is shown.
    pub fn is_chosen(&self, name: &str) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen == name)
    }

    /// The one that is looked at alone.
    pub fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// Who does not answer, and why.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|one| one.fault.as_deref())
    }

    /// Whether anybody has ever answered.
    pub fn has_answer(&self) -> bool {
        self.sources.iter().any(|source| source.has_answered)
    }

    /// Whether nothing is missing in any process that is there.
    pub fn is_ready(&self) -> bool {
        let seen = self.seen();
        let mut present = seen.iter().filter(|one| one.silent_for.is_none());
        self.has_answer()
            && self.faults().next().is_none()
            && present.all(|one| one.status.ready.ready)
    }

    /// When what is shown was so.
    pub fn at(&self) -> Option<Timestamp> {
        let firsts = self.sources.iter().map(|one| &one.processes.processes);
        firsts.filter_map(|all| Some(all.first()?.at)).max()
    }

    /// All processes, each once, as the one says it that heard of it last.
    pub fn seen(&self) -> Vec<Seen<'_>> {
        let mut all: BTreeMap<(&str, &str), Seen<'_>> = BTreeMap::new();
        for source in &self.sources {
            let list = &source.processes.processes;
            let now = list.first().map(|first| first.at).unwrap_or_default();
            for status in list {
                let silent = is_silent(status, now);
                let seen = Seen {
                    status,
                    silent_for: silent.then(|| now.duration_since(status.at).as_secs()),
                };
                let key = (&*status.process.deployment, &*status.process.name);
                let is_news = all
                    .get(&key)
                    .is_none_or(|known| known.status.at < status.at);
                if is_news {
                    all.insert(key, seen);
                }
            }
        }
        all.into_values().collect()
    }

    /// What is known of each ESME that is shown.
    pub fn accounts(&self) -> Vec<Account<'_>> {
        let names = self.names();
        let shown = names.into_iter().filter(|name| self.is_chosen(name));
        shown.map(|name| self.account(name)).collect()
    }

    fn account(&self, name: String) -> Account<'_> {
        let mut places = Vec::new();
        for seen in self.seen().into_iter().filter(|s| s.silent_for.is_none()) {
            let host: &str = &seen.status.process.host;
            let found = seen.status.esmes.iter().filter(|esme| esme.name == name);
            places.extend(found.map(|esme| (host, esme)));
        }
        Account {
            sample: self.sample(&name),
            places,
            name,
        }
    }

    /// What happened in the last step. A connector speaks for all processes that it knows, so another
    /// one of which it has told already is not counted again.
    fn sample(&self, esme: &str) -> Option<Sample> {
        let mut told: BTreeSet<&str> = BTreeSet::new();
        let mut sum: Option<Sample> = None;
        for source in self.sources.iter().filter(|one| one.fault.is_none()) {
            let mut names = source.processes.processes.iter().map(|s| &*s.process.name);
            let Some(own) = names.next() else { continue };
            if !told.insert(own) {
                continue;
            }
            told.extend(names);
            let Some(sample) = source.history.esmes.get(esme).and_then(last) else {
                continue;
            };
            sum = Some(match sum {
                None => sample,
                Some(sum) => together(sum, &sample),
            });
        }
        sum
    }
}

/// The last step, with how long things took when they happened last, within a minute.
fn last(samples: &std::collections::VecDeque<Sample>) -> Option<Sample> {
    let mut last = samples.back()?.clone();
    let steps = usize::try_from(60 / STEP).unwrap_or(1);
    let lately = |of: fn(&Sample) -> Percentiles| {
        let steps = samples.iter().rev().take(steps).map(of);
        let mut known = steps.filter(|percentiles| percentiles.p50.is_some());
        known.next().unwrap_or_default()
    };
    last.append_to_socket = lately(|sample| sample.append_to_socket);
    last.submit_to_response = lately(|sample| sample.submit_to_response);
    last.append_to_result = lately(|sample| sample.append_to_result);
    last.submit_to_receipt = lately(|sample| sample.submit_to_receipt);
    Some(last)
}

/// Two processes that do not know each other. Of times the longer ones are shown.
fn together(a: Sample, b: &Sample) -> Sample {
    let longer = |a: Percentiles, b: Percentiles| Percentiles {
        p50: a.p50.into_iter().chain(b.p50).reduce(f64::max),
        p99: a.p99.into_iter().chain(b.p99).reduce(f64::max),
    };
    let receipts = a.receipts + b.receipts;
    let delivered = |sample: &Sample| sample.delivered.unwrap_or_default() * sample.receipts;
    let delivered = delivered(&a) + delivered(b);
    Sample {
        responses: a.responses + b.responses,
        throttled: a.throttled + b.throttled,
        results: a.results + b.results,
        receipts,
        delivered: (receipts > 0.0).then(|| delivered / receipts),
        append_to_socket: longer(a.append_to_socket, b.append_to_socket),
        submit_to_response: longer(a.submit_to_response, b.submit_to_response),
        append_to_result: longer(a.append_to_result, b.append_to_result),
        submit_to_receipt: longer(a.submit_to_receipt, b.submit_to_receipt),
        ..a
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Process;

    fn status(name: &str, second: i64, esmes: &[&str]) -> Status {
        Status {
            at: Timestamp::from_second(second).unwrap(),
            process: Process {
                name: name.into(),
                ..Process::default()
            },
            esmes: (esmes.iter())
                .map(|&name| Esme {
                    name: name.into(),
                    ..Esme::default()
                })
                .collect(),
            ..Status::default()
        }
    }

    fn said(processes: Vec<Status>) -> Result<(Processes, Option<History>), String> {
        Ok((Processes { processes }, None))
    }

    fn history(results: f64, p50: Option<f64>) -> Option<History> {
        let sample = |results, p50| Sample {
            results,
            receipts: results,
            delivered: Some(if results > 10.0 { 1.0 } else { 0.5 }),
            append_to_result: Percentiles { p50, p99: p50 },
            ..Sample::default()
        };
        let mut history = History::default();
        let samples = [sample(1.0, p50), sample(results, None)];
        history.esmes.insert("acme".into(), samples.into());
        Some(history)
    }

    #[test]
    fn keys_choose_scroll_and_hold() {
        let mut top = Top::new(1);
        top.heard(0, said(vec![status("p", 1, &["b", "a"])]));
        let chosen = |top: &mut Top, key| {
            assert!(top.key(key, 10, 100));
            top.chosen().map(str::to_owned)
        };
        assert_eq!(chosen(&mut top, Key::Next).as_deref(), Some("a"));
        assert_eq!(chosen(&mut top, Key::Next).as_deref(), Some("b"));
        assert_eq!(chosen(&mut top, Key::Next), None);
        assert_eq!(chosen(&mut top, Key::Previous).as_deref(), Some("b"));
        assert_eq!(chosen(&mut top, Key::Choose(1)).as_deref(), Some("a"));
        assert_eq!(chosen(&mut top, Key::Choose(7)).as_deref(), Some("a"));
        assert_eq!(chosen(&mut top, Key::Choose(0)), None);
        for (key, at) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 10),
            (Key::Bottom, 90),
            (Key::Down, 90),
            (Key::PageUp, 81),
            (Key::Top, 0),
        ] {
            assert!(top.key(key, 10, 100));
            assert_eq!(top.scroll, at, "{key:?}");
        }
        // A page that became shorter.
        top.scroll = 90;
        top.key(Key::Up, 10, 20);
        assert_eq!(top.scroll, 10);
        top.key(Key::Choose(2), 10, 20);
        top.key(Key::Hold, 10, 20);
        top.heard(0, said(vec![status("p", 2, &["a"])]));
        assert_eq!(top.names(), ["a", "b"], "it holds still");
        top.key(Key::Hold, 10, 20);
        top.heard(0, said(vec![status("p", 2, &["a"])]));
        assert_eq!((top.names(), top.chosen()), (vec!["a".to_owned()], None));
        assert!(!top.key(Key::Quit, 10, 20));
    }

    #[test]
    fn a_process_is_shown_once_and_one_that_does_not_answer_is_remembered() {
        let mut top = Top::new(2);
        assert!(!top.has_answer());
        let all = vec![status("p", 100, &["acme"]), status("q", 90, &["acme"])];
        top.heard(0, said(all));
        let all = vec![status("q", 101, &["acme"]), status("old", 50, &["acme"])];
        top.heard(1, said(all));
        let seen = top.seen();
        let silent: Vec<_> = (seen.iter())
            .map(|seen| (&*seen.status.process.name, seen.silent_for))
            .collect();
        assert_eq!(silent, [("old", Some(51)), ("p", None), ("q", None)]);
        assert_eq!(seen[2].status.at.as_second(), 101);
        assert_eq!(
            top.accounts()[0].places.len(),
            2,
            "what is silent has nothing"
        );
        top.heard(1, Err("away".into()));
        assert_eq!(top.faults().collect::<Vec<_>>(), ["away"]);
        assert_eq!(top.seen().len(), 3);
    }

    #[test]
    fn rates_of_processes_that_know_each_other_are_counted_once() {
        let mut top = Top::new(2);
        let p = || status("p", 100, &["acme"]);
        let q = || status("q", 100, &["acme"]);
        let both = |first, second| Processes {
            processes: vec![first, second],
        };
        top.heard(0, Ok((both(p(), q()), history(30.0, Some(1.0)))));
        top.heard(1, Ok((both(q(), p()), history(30.0, Some(1.0)))));
        let sample = top.accounts()[0].sample.clone().unwrap();
        assert_eq!(
            (sample.results, sample.append_to_result.p50),
            (30.0, Some(1.0))
        );
        let alone = |one| Processes {
            processes: vec![one],
        };
        top.heard(0, Ok((alone(p()), history(30.0, Some(1.0)))));
        top.heard(1, Ok((alone(q()), history(10.0, Some(2.0)))));
        let sample = top.accounts()[0].sample.clone().unwrap();
        assert_eq!((sample.results, sample.delivered), (40.0, Some(0.875)));
        assert_eq!(sample.append_to_result.p99, Some(2.0));
        top.heard(1, Err("away".into()));
        assert_eq!(top.accounts()[0].sample.as_ref().unwrap().results, 30.0);
    }
}
