//! What operators want while the connector runs: orders, and how every process learns of them.
//!
//! An order is a record on the control topic, which is compacted: the key says what it is about, the
//! value what is wanted, and a tombstone takes it back. So orders outlive restarts and takeovers, all
//! processes honour the same ones, and whoever may write to the topic can steer, with or without HTTP.
//!
//! | key | value | what |
//! |---|---|---|
//! | `ESME/pause` | `{"unbind": false}` | nothing of the ESME is sent; with `unbind` its binds are closed, too |
//! | `ESME/pause/topic/NAME` | `{}` | nothing of the topic is sent |
//! | `ESME/pause/bind/NAME` | `{"unbind": false}` | nothing is sent over the bind |
//! | `ESME/max_tps` | `{"value": 200}` | the rate of the account, in all processes together |
//! | `ESME/window` | `{"value": 20}` | the window of each bind |
//! | `ESME/rebind`, `ESME/rebind/bind/NAME` | `{}` | once: binds are closed and opened again |
//! | `ESME/maintenance` | `{"from": TIME, "until": TIME}` | from then until then as with `pause` and `unbind` |
//! | `log` | `{"level": "debug"}` | what is logged, in all processes |
//!
//! Each value may say `by` (who) and `reason`. A key or value that cannot be understood, or that is about
//! what is not in the configuration, is said in the log, and changes nothing.
//!
//! A process reads the topic to its end before it sends anything: what was paused stays so, whoever
//! takes over. A pause lets what is out be answered and commits that nothing more is under way, so a
//! process that is killed afterwards leaves nothing in doubt.

mod command;
pub(crate) mod notices;
mod orders;
mod service;

/// The records that an order is written as: keys and values.
#[cfg(feature = "fuzzing")]
pub(crate) fn written(
    command: &Command,
    esmes: &[(String, Vec<String>)],
) -> Result<Vec<(String, Option<Vec<u8>>)>, String> {
    let records = command.records(esmes)?;
    let written = records.into_iter().map(|(about, order)| {
        let value = order.map(|order| serde_json::to_vec(&order).expect("JSON"));
        (about.key(), value)
    });
    Ok(written.collect())
}

pub use command::Command;
#[cfg(any(test, feature = "fuzzing"))]
pub use orders::Record;
pub use orders::{EsmeOrders, Order, Orders, Part};
pub use service::{Control, Error, Handle, Known, Options};
