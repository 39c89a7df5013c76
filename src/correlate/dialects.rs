//! What SMSCs do in their own way.

use std::collections::HashMap;
use std::sync::Arc;

use smpp_protocol::Dialect;

/// What the SMSC of each ESME does in its own way.
#[derive(Clone, Debug, Default)]
pub struct Dialects {
    known: HashMap<String, Arc<Dialect>>,
    /// Of an ESME that is configured no more.
    other: Dialect,
}

impl FromIterator<(String, Arc<Dialect>)> for Dialects {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Dialect>)>>(known: I) -> Self {
        Dialects {
            known: known.into_iter().collect(),
            other: Dialect::default(),
        }
    }
}

impl Dialects {
    /// That of the ESME's SMSC.
    pub(super) fn of(&self, esme: &str) -> &Dialect {
        self.known.get(esme).map_or(&self.other, |dialect| dialect)
    }
}
