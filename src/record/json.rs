//! Records as JSON. No other module knows that they are.

use serde::Serialize;

/// An event as JSON.
///
/// # Errors
///
/// None that our own events could cause: their keys are strings and their values print.
pub fn to_vec<T: Serialize + ?Sized>(event: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut octets = Vec::with_capacity(768);
    serde_json::to_writer(&mut octets, event)?;
    Ok(octets)
}
