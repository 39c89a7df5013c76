//! Every schema that was ever published, from `schemas/history/`, and how its data are read as
//! what the kind is now. The newest version of a kind is the schema in `schemas/`.

use std::sync::LazyLock;

use apache_avro::Schema;

use super::super::kind::Kind;
use super::ours::fingerprint;
use super::plan::Plan;

/// A version of a schema, as it was published.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// Which kind.
    pub kind: Kind,
    /// Which version, from 1.
    pub number: u32,
    /// The schema, as JSON.
    pub text: &'static str,
}

macro_rules! published {
    ($kind:ident, $number:literal) => {
        Version {
            kind: Kind::$kind,
            number: $number,
            text: include_str!(concat!(
                "../../../schemas/history/",
                stringify!($kind),
                "/",
                $number,
                ".avsc"
            )),
        }
    };
}

/// All of them; those of a kind in their order.
pub const HISTORY: &[Version] = &[
    published!(SubmitSm, 1),
    published!(SubmitSm, 2),
    published!(SubmitSm, 3),
    published!(SubmitMulti, 1),
    published!(SubmitMulti, 2),
    published!(DataSm, 1),
    published!(DataSm, 2),
    published!(QuerySm, 1),
    published!(CancelSm, 1),
    published!(ReplaceSm, 1),
    published!(BroadcastSm, 1),
    published!(QueryBroadcastSm, 1),
    published!(CancelBroadcastSm, 1),
    published!(SubmitSmResp, 1),
    published!(SubmitSmResp, 2),
    published!(SubmitSmResp, 3),
    published!(SendError, 1),
    published!(SendError, 2),
    published!(SendError, 3),
    published!(DeliveryReceipt, 1),
    published!(DeliveryReceipt, 2),
    published!(DeliveryReceipt, 3),
    published!(DeliveryReceipt, 4),
    published!(InboundSms, 1),
    published!(InboundSms, 2),
    published!(Notification, 1),
    published!(Notification, 2),
    published!(Notification, 3),
    published!(Correlation, 1),
    published!(Correlation, 2),
    published!(Correlation, 3),
    published!(Correlation, 4),
    published!(Correlation, 5),
    published!(Parked, 1),
    published!(Parked, 2),
    published!(Parked, 3),
    published!(Piece, 1),
    published!(Piece, 2),
    published!(Owner, 1),
    published!(Delivery, 1),
    published!(Delivery, 2),
    published!(Delivery, 3),
];

impl Kind {
    /// The versions of its schema, the newest last.
    pub fn versions(self) -> impl DoubleEndedIterator<Item = &'static Version> {
        HISTORY.iter().filter(move |version| version.kind == self)
    }
}

/// A version by its fingerprint, as the single-object encoding has it, and how it is read.
pub struct Published {
    /// Which kind.
    pub kind: Kind,
    /// Its fingerprint.
    pub fingerprint: [u8; 8],
    /// How it is read.
    pub plan: Plan,
}

/// Every schema that was published, by this version and those before it.
pub fn published() -> &'static [Published] {
    static ALL: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let read = |version: &Version| {
            let schema = Schema::parse_str(version.text).ok()?;
            Some(Published {
                kind: version.kind,
                fingerprint: fingerprint(&schema)?,
                plan: Plan::new(&schema, version.kind.ours()?.schema).ok()?,
            })
        };
        HISTORY.iter().filter_map(read).collect()
    });
    &ALL
}
