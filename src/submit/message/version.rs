//! Which version of SMPP goes to an SMSC.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Refused;
use crate::record::event::SendErrorKind;
use crate::record::outbound::{Operation, Outbound};
use crate::settings::SegmentMethod;
use crate::submit::notices::SpeaksSmpp33;

/// The first version with optional parameters.
const V34: u8 = 0x34;
const V50: u8 = 0x50;

/// The version that is configured, or the lower one that the SMSC named when it was bound. Clones
/// share what the SMSC named.
///
/// SMPP 3.3 has no optional parameters, and so no message_payload; nor has it data_sm and
/// broadcasts. An SMSC that does not name its version is believed to have the configured one:
/// many of 3.4 leave sc_interface_version out, although SMPP 3.4 §5.3.2.25 reads it as 3.3.
#[derive(Clone, Debug)]
pub struct Version {
    configured: u8,
    /// 0 as long as nobody has said anything.
    told: Arc<AtomicU8>,
}

impl Default for Version {
    fn default() -> Self {
        Version::new(V34)
    }
}

impl Version {
    /// The version of an interface_version (SMPP 3.4 §5.2.4).
    pub fn new(configured: u8) -> Self {
        Version {
            configured,
            told: Arc::default(),
        }
    }

    /// The SMSC was bound and named its version, or none.
    pub fn told(&self, bind: &str, version: Option<u8>) {
        let version = version.unwrap_or_default();
        let before = self.told.swap(version, Ordering::Relaxed);
        if before != version && (1..V34).contains(&version) && self.configured >= V34 {
            let version = format!("0x{version:02X}");
            SpeaksSmpp33 {
                version: &version,
                bind,
            }
            .emit();
        }
    }

    /// Whether requests may have optional parameters.
    pub fn has_parameters(&self) -> bool {
        match self.told.load(Ordering::Relaxed) {
            0 => self.configured >= V34,
            told => self.configured.min(told) >= V34,
        }
    }

    /// Whether it is SMPP 5.0, which has parameters in PDUs that had none before.
    pub fn is_50(&self) -> bool {
        match self.told.load(Ordering::Relaxed) {
            0 => self.configured >= V50,
            told => self.configured.min(told) >= V50,
        }
    }

    /// Refuses what the version does not have.
    pub(super) fn check(&self, record: &Outbound<'_>) -> Result<(), Refused> {
        if self.has_parameters() {
            return Ok(());
        }
        if let Operation::DataSm
        | Operation::BroadcastSm
        | Operation::QueryBroadcastSm
        | Operation::CancelBroadcastSm = record.operation
        {
            let name = record.operation.name();
            return Err(Refused {
                kind: SendErrorKind::RejectedLocally,
                ..Refused::invalid(
                    "type",
                    format!(
                        "type: SMPP 3.3, which the SMSC speaks, has no {name}: send a SubmitSm"
                    ),
                )
            });
        }
        if !record.sm.tlvs.is_empty() {
            return Err(Refused::invalid(
                "tlvs",
                "tlvs: SMPP 3.3, which the SMSC speaks, has no optional parameters: remove them",
            ));
        }
        if let Some(SegmentMethod::Sar | SegmentMethod::Payload) = record.sm.segmentation.method {
            return Err(Refused::invalid(
                "segmentation",
                "segmentation: SMPP 3.3, which the SMSC speaks, has no optional parameters: write \"auto\", \"udh8\" or \"udh16\"",
            ));
        }
        Ok(())
    }
}
