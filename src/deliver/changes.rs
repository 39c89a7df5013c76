//! The changes of a bind as events: each at once, unless it flaps.

use jiff::Timestamp;

use crate::record::notification::{BindChange, Notification, count, millis};
use crate::repeated::Times;
use smpp_esme::Change;

/// A change, and when it was.
pub(super) struct Dated {
    pub(super) change: Change,
    pub(super) at: Timestamp,
}

impl Dated {
    pub(super) fn now(change: Change) -> Self {
        let at = Timestamp::now();
        Dated { change, at }
    }

    /// The event about the latest of so many changes.
    pub(super) fn event<'a>(
        &'a self,
        times: Times,
        esme: &'a str,
        bind: &'a str,
    ) -> Notification<'a> {
        let (kind, peer, change) = match &self.change {
            Change::Bound {
                mode,
                host,
                peer,
                system_id,
                generation,
            } => {
                let named = !system_id.is_empty();
                let change = BindChange {
                    mode: mode.name(),
                    host,
                    system_id: named.then(|| String::from_utf8_lossy(system_id)),
                    session: Some(count(*generation)),
                    ..BindChange::default()
                };
                ("Bound", Some(peer.to_string()), change)
            }
            Change::Unbound {
                mode,
                host,
                reason,
                wanted,
                lasted,
                unanswered,
            } => {
                let change = BindChange {
                    mode: mode.name(),
                    host,
                    reason: Some(reason),
                    wanted: Some(*wanted),
                    bound_ms: lasted.map(millis),
                    unanswered: Some(count(*unanswered)),
                    ..BindChange::default()
                };
                ("Unbound", None, change)
            }
        };
        Notification {
            kind,
            esme,
            bind,
            peer,
            session: Some(BindChange {
                changes: count(times.count),
                ..change
            }),
            received_at: self.at,
            ..Notification::default()
        }
    }
}
