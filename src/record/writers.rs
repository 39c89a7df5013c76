//! The schemas of writers, by their numbers in a registry: looked up once each, kept for good.
//!
//! A reader asks here and never waits. What is not here yet is noted as wanted; whoever talks
//! to the registry finds it there, and brings it. A registry's failure is never kept, only
//! what it said.
//!
//! Bad news ends records, so it is not believed at once: that a number is unknown, that its
//! schema fits nothing, or a schema by which a record cannot be read, is asked for a second
//! time. Only if the registry says the same again it counts; and it counts for a while, because
//! registries are repaired.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::avro::Plan;
use super::kind::Kind;

/// For how long bad news is believed.
const BELIEVED: Duration = Duration::from_secs(60);

/// How many schemas are kept; beyond that the registry is in the hands of somebody strange.
const MOST: usize = 10_000;

/// A schema as it is needed to read.
#[derive(Clone, Debug)]
pub enum WriterSchema {
    /// Avro, read as this kind by this plan.
    Avro(Kind, Arc<Plan>),
    /// Avro that may be several kinds: the number of the branch stands before the datum.
    Union(Arc<[WriterSchema]>),
    /// JSON.
    Json,
    /// It cannot be read as anything of ours, and why.
    Wrong(Arc<str>),
}

impl WriterSchema {
    fn is_wrong(&self) -> bool {
        matches!(self, WriterSchema::Wrong(_))
    }
}

/// What is known of a number.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// This.
    Here(WriterSchema),
    /// Nothing yet.
    Wanted,
    /// That the registry has no such schema.
    Unknown,
}

/// What the registry said of a number.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A schema, and its text, by which two answers are compared.
    Schema(WriterSchema, Arc<str>),
    /// There is none.
    Nothing,
}

impl Answer {
    fn is_bad(&self) -> bool {
        match self {
            Answer::Nothing => true,
            Answer::Schema(writer, _) => writer.is_wrong(),
        }
    }

    fn says_the_same(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Nothing, Answer::Nothing) => true,
            (Answer::Schema(_, this), Answer::Schema(_, that)) => this == that,
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    /// When it was last given.
    at: Instant,
    /// Whether it was given twice.
    confirmed: bool,
}

impl Entry {
    fn is_known(&self) -> bool {
        !self.answer.is_bad() || (self.confirmed && self.at.elapsed() < BELIEVED)
    }
}

/// See the [module](self). Shared by all codecs of a process.
#[derive(Debug, Default)]
pub struct WriterSchemas {
    known: RwLock<HashMap<u32, Entry>>,
    wanted: Mutex<Vec<u32>>,
    news: Notify,
}

impl WriterSchemas {
    /// What is known of schema `id`; from now on it is wanted if that is nothing.
    pub fn get(&self, id: u32) -> Lookup {
        if let Some(entry) = self.known.read().get(&id)
            && entry.is_known()
        {
            return match &entry.answer {
                Answer::Schema(writer, _) => Lookup::Here(writer.clone()),
                Answer::Nothing => Lookup::Unknown,
            };
        }
        self.want(id);
        Lookup::Wanted
    }

    /// Whether schema `id`, by which a record cannot be read, may not be what the registry has
    /// for it: it was given only once. From now on it is wanted then.
    pub fn doubt(&self, id: u32) -> bool {
        let known = self.known.read().get(&id).is_some_and(|e| e.confirmed);
        if !known {
            self.want(id);
        }
        !known
    }

    fn want(&self, id: u32) {
        let mut wanted = self.wanted.lock();
        if !wanted.contains(&id) && wanted.len() < MOST {
            wanted.push(id);
            self.news.notify_one();
        }
    }

    /// Keeps what the registry said of a schema. While that is bad news for the first time, it
    /// stays wanted.
    pub fn learn(&self, id: u32, answer: Answer) {
        let mut known = self.known.write();
        let before = known.get(&id);
        let confirmed = before.is_some_and(|entry| entry.answer.says_the_same(&answer));
        let entry = Entry {
            answer,
            at: Instant::now(),
            confirmed,
        };
        let settled = entry.is_known();
        if known.len() >= MOST {
            known.retain(|_, entry| !entry.answer.is_bad());
            let any = known.keys().next().copied();
            if known.len() >= MOST
                && let Some(any) = any
            {
                known.remove(&any);
            }
        }
        known.insert(id, entry);
        drop(known);
        if settled {
            self.wanted.lock().retain(|wanted| *wanted != id);
        }
    }

    /// The numbers that are wanted now.
    pub fn wanted(&self) -> Vec<u32> {
        self.wanted.lock().clone()
    }

    /// Returns when something else is wanted than before.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Answer {
        Answer::Schema(WriterSchema::Json, text.into())
    }

    fn wrong(text: &str) -> Answer {
        Answer::Schema(WriterSchema::Wrong("no".into()), text.into())
    }

    #[test]
    fn what_is_not_here_is_wanted_once_and_kept_when_it_comes() {
        let writers = WriterSchemas::default();
        assert!(matches!(writers.get(7), Lookup::Wanted));
        assert!(matches!(writers.get(7), Lookup::Wanted));
        assert_eq!(writers.wanted(), [7]);
        writers.learn(7, json("{}"));
        assert!(matches!(writers.get(7), Lookup::Here(WriterSchema::Json)));
        assert_eq!(writers.wanted(), [0u32; 0]);
    }

    #[test]
    fn bad_news_is_believed_when_it_comes_twice_and_for_a_while() {
        for bad in [Answer::Nothing, wrong("{}")] {
            let writers = WriterSchemas::default();
            assert!(matches!(writers.get(7), Lookup::Wanted));
            writers.learn(7, bad.clone());
            assert!(matches!(writers.get(7), Lookup::Wanted));
            assert_eq!(writers.wanted(), [7], "it is asked for again");
            writers.learn(7, bad);
            assert!(!matches!(writers.get(7), Lookup::Wanted));
            assert_eq!(writers.wanted(), [0u32; 0]);
            let long_ago = Instant::now().checked_sub(BELIEVED).unwrap();
            if let Some(entry) = writers.known.write().get_mut(&7) {
                entry.at = long_ago;
            }
            assert!(matches!(writers.get(7), Lookup::Wanted));
        }
    }

    #[test]
    fn a_registry_that_gave_a_wrong_schema_once_does_not_spoil_anything() {
        let writers = WriterSchemas::default();
        for mistake in [Answer::Nothing, wrong("a")] {
            writers.learn(7, mistake);
            assert!(matches!(writers.get(7), Lookup::Wanted));
            writers.learn(7, json("b"));
            assert!(matches!(writers.get(7), Lookup::Here(WriterSchema::Json)));
        }
    }

    #[test]
    fn a_schema_that_reads_nothing_is_doubted_until_it_came_twice() {
        let writers = WriterSchemas::default();
        writers.learn(7, json("a"));
        assert!(writers.doubt(7));
        assert_eq!(writers.wanted(), [7]);
        assert!(matches!(writers.get(7), Lookup::Here(_)), "for others");
        writers.learn(7, json("b"));
        assert!(writers.doubt(7), "it is another");
        writers.learn(7, json("b"));
        assert!(!writers.doubt(7));
        assert_eq!(writers.wanted(), [0u32; 0]);
    }

    #[test]
    fn strange_numbers_do_not_fill_the_memory() {
        let writers = WriterSchemas::default();
        for id in 0..=u32::try_from(MOST).unwrap() {
            writers.learn(id, json("{}"));
        }
        assert_eq!(writers.known.read().len(), MOST);
    }
}
