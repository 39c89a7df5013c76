//! The schemas of writers, by their numbers in a registry: looked up once each, kept for good.
//!
//! A reader asks here and never waits. What is not here yet is noted as wanted; whoever talks
//! to the registry finds it there, and brings it. A registry's failure is never kept, only
//! what it said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::avro::Plan;
use super::kind::Kind;

/// For how long it is believed that the registry does not know a number.
const UNKNOWN: Duration = Duration::from_secs(60);

/// How many schemas are kept; beyond that the registry is in the hands of somebody strange.
const MOST: usize = 10_000;

/// A schema as it is needed to read.
#[derive(Clone, Debug)]
pub enum Writer {
    /// Avro, read as this kind by this plan.
    Avro(Kind, Arc<Plan>),
    /// JSON.
    Json,
    /// It cannot be read as anything of ours, and why.
    Wrong(Arc<str>),
}

/// What is known of a number.
#[derive(Clone, Debug)]
pub enum Known {
    /// This.
    Here(Writer),
    /// Nothing yet.
    Wanted,
    /// That the registry has no such schema.
    Unknown,
}

#[derive(Debug)]
struct Entry {
    writer: Option<Writer>,
    until: Option<Instant>,
}

/// See the [module](self). Shared by all codecs of a process.
#[derive(Debug, Default)]
pub struct Writers {
    known: RwLock<HashMap<u32, Entry>>,
    wanted: Mutex<Vec<u32>>,
    waker: Mutex<Option<std::thread::Thread>>,
}

impl Writers {
    /// What is known of schema `id`; from now on it is wanted if that is nothing.
    pub fn get(&self, id: u32) -> Known {
        if let Some(entry) = self.known.read().get(&id)
            && entry.until.is_none_or(|until| Instant::now() < until)
        {
            return match &entry.writer {
                Some(writer) => Known::Here(writer.clone()),
                None => Known::Unknown,
            };
        }
        let mut wanted = self.wanted.lock();
        if !wanted.contains(&id) && wanted.len() < MOST {
            wanted.push(id);
            if let Some(thread) = &*self.waker.lock() {
                thread.unpark();
            }
        }
        Known::Wanted
    }

    /// Keeps what the registry said of a schema; `None`: that there is no such schema.
    pub fn learn(&self, id: u32, writer: Option<Writer>) {
        let until = writer.is_none().then(|| Instant::now() + UNKNOWN);
        let mut known = self.known.write();
        if known.len() >= MOST {
            known.retain(|_, entry| entry.until.is_none());
        }
        known.insert(id, Entry { writer, until });
        drop(known);
        self.wanted.lock().retain(|wanted| *wanted != id);
    }

    /// The numbers that are wanted now.
    pub fn wanted(&self) -> Vec<u32> {
        self.wanted.lock().clone()
    }

    /// Wakes this thread whenever something is wanted.
    pub fn wake_me(&self) {
        *self.waker.lock() = Some(std::thread::current());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_wanted_once_and_kept_when_it_comes() {
        let writers = Writers::default();
        assert!(matches!(writers.get(7), Known::Wanted));
        assert!(matches!(writers.get(7), Known::Wanted));
        assert_eq!(writers.wanted(), [7]);
        writers.learn(7, Some(Writer::Json));
        assert!(matches!(writers.get(7), Known::Here(Writer::Json)));
        assert_eq!(writers.wanted(), [0u32; 0]);
    }

    #[test]
    fn that_a_schema_is_unknown_is_believed_for_a_while_only() {
        let writers = Writers::default();
        writers.learn(7, None);
        assert!(matches!(writers.get(7), Known::Unknown));
        if let Some(entry) = writers.known.write().get_mut(&7) {
            entry.until = Some(Instant::now());
        }
        assert!(matches!(writers.get(7), Known::Wanted));
    }
}
