//! What operators want of an account, besides what is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the [module](self). By default they want nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Topics of which nothing is to be sent.
    pub paused_topics: BTreeSet<Arc<str>>,
    /// Binds over which nothing is to be sent, by name.
    pub paused_binds: BTreeSet<Arc<str>>,
    /// All binds are to be closed.
    pub unbound: bool,
    /// Binds that are to be closed, by name.
    pub unbound_binds: BTreeSet<Arc<str>>,
    /// How often all binds were to be closed and opened again.
    pub rebinds: u64,
    /// The same of single binds, by name.
    pub rebinds_of: BTreeMap<Arc<str>, u64>,
    /// The rate of the account in submit_sm per second, if it is to be another than is configured.
    pub max_tps: Option<f64>,
    /// The window of each bind, if it is to be another than is configured.
    pub window: Option<usize>,
}

impl Wanted {
    /// Whether nothing of the account's `topics` is to be sent over the bind.
    pub fn is_paused(&self, bind: &str, topics: &[Arc<str>]) -> bool {
        let all = !topics.is_empty() && topics.iter().all(|t| self.paused_topics.contains(t));
        all || self.paused_binds.contains(bind) || self.is_closed(bind)
    }

    /// Whether the bind is to be closed.
    pub fn is_closed(&self, bind: &str) -> bool {
        self.unbound || self.unbound_binds.contains(bind)
    }

    /// How often the bind was to be closed and opened again.
    pub fn rebinds(&self, bind: &str) -> u64 {
        self.rebinds + self.rebinds_of.get(bind).copied().unwrap_or_default()
    }
}
