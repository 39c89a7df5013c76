//! What SMSCs do in their own way.

use std::collections::HashMap;
use std::sync::Arc;

use smpp_protocol::Dialect;

use crate::meters::Meters;

/// What the SMSC of each ESME does in its own way.
#[derive(Clone, Debug, Default)]
pub struct Dialects {
    known: HashMap<String, Arc<Dialect>>,
    /// Of an ESME that is configured no more.
    other: Dialect,
    /// What is counted and timed of each ESME.
    meters: HashMap<String, Arc<Meters>>,
    /// The same of one that is configured no more: nobody looks at it.
    unseen: Arc<Meters>,
}

impl FromIterator<(String, Arc<Dialect>)> for Dialects {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Dialect>)>>(known: I) -> Self {
        Dialects {
            known: known.into_iter().collect(),
            other: Dialect::default(),
            meters: HashMap::new(),
            unseen: Arc::default(),
        }
    }
}

impl Dialects {
    /// The same, and what is counted of each ESME is counted here.
    pub fn counting(self, meters: HashMap<String, Arc<Meters>>) -> Self {
        Dialects { meters, ..self }
    }

    /// What is counted and timed of the ESME.
    pub(super) fn meters(&self, esme: &str) -> &Meters {
        self.meters.get(esme).map_or(&self.unseen, |meters| meters)
    }

    /// Whether the ESME is configured.
    pub(super) fn knows(&self, esme: &str) -> bool {
        self.known.contains_key(esme)
    }

    /// That of the ESME's SMSC.
    pub(super) fn of(&self, esme: &str) -> &Dialect {
        self.known.get(esme).map_or(&self.other, |dialect| dialect)
    }
}
