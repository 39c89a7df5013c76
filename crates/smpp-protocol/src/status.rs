//! command_status: how a request fared (SMPP 3.4 §5.1.3, SMPP 5.0 §4.7.6).

use std::fmt;

/// A command_status. Any value is kept; the known ones are constants, named as in the
/// specification without `ESME_`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($constant:ident = $value:literal, $advice:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!("`ESME_", stringify!($constant), "`: ", $advice)]
                pub const $constant: Status = Status($value);
            )*

            /// Every command_status of SMPP 3.4 and 5.0, in ascending order.
            pub const ALL: &'static [Status] = &[$(Status($value)),*];

            /// The name in the specification, such as `ESME_RTHROTTLED`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("ESME_", stringify!($constant))),)*
                    _ => None,
                }
            }

            /// One sentence of help for whoever meets this status.
            pub const fn advice(self) -> &'static str {
                match self.0 {
                    $($value => $advice,)*
                    0x400..=0x4FF => "The SMSC's vendor defines this code: look it up in its guide.",
                    _ => "The specification reserves this code: ask the SMSC's operator.",
                }
            }
        }
    };
}

statuses! {
    ROK = 0x00, "No error.";
    RINVMSGLEN = 0x01, "The message is too long or too short: check the text and its segmentation.";
    RINVCMDLEN = 0x02, "The PDU's length does not fit its fields: one side encodes it wrongly.";
    RINVCMDID = 0x03, "The SMSC does not support this operation.";
    RINVBNDSTS = 0x04, "The bind's type or state does not allow this: check the bind type.";
    RALYBND = 0x05, "The SMSC still counts an earlier bind: wait, or ask for more binds.";
    RINVPRTFLG = 0x06, "Use a priority_flag the SMSC supports, usually 0 to 3.";
    RINVREGDLVFLG = 0x07, "Use a registered_delivery the SMSC supports, usually 0 or 1.";
    RSYSERR = 0x08, "The SMSC has an internal fault: try again later.";
    RINVSRCADR = 0x0A, "The sender is not allowed or malformed: check number, TON and NPI.";
    RINVDSTADR = 0x0B, "The recipient is not a number the SMSC can reach: check number, TON and NPI.";
    RINVMSGID = 0x0C, "The SMSC does not know this message_id, or no longer.";
    RBINDFAIL = 0x0D, "The bind failed: check credentials, bind type and the allowed addresses.";
    RINVPASWD = 0x0E, "Check the password; SMPP allows at most 8 characters.";
    RINVSYSID = 0x0F, "Check the system_id with the SMSC's operator.";
    RCANCELFAIL = 0x11, "The message cannot be cancelled: perhaps it was delivered already.";
    RREPLACEFAIL = 0x13, "The message cannot be replaced: perhaps it was delivered already.";
    RMSGQFUL = 0x14, "The SMSC's queue is full: slow down and try again.";
    RINVSERTYP = 0x15, "Use a service_type the SMSC has agreed to, often the empty one.";
    RINVNUMDESTS = 0x33, "Use 1 to 255 destinations in submit_multi.";
    RINVDLNAME = 0x34, "The SMSC does not know this distribution list.";
    RINVDESTFLAG = 0x40, "dest_flag must be 1 (SME address) or 2 (distribution list).";
    RINVSUBREP = 0x42, "The SMSC does not do submit with replace: clear replace_if_present_flag.";
    RINVESMCLASS = 0x43, "The SMSC refuses this esm_class: check mode, type and UDH indicator.";
    RCNTSUBDL = 0x44, "The SMSC cannot submit to this distribution list.";
    RSUBMITFAIL = 0x45, "The SMSC refused the message without a reason: ask its operator.";
    RINVSRCTON = 0x48, "Use a source_addr_ton the SMSC accepts.";
    RINVSRCNPI = 0x49, "Use a source_addr_npi the SMSC accepts.";
    RINVDSTTON = 0x50, "Use a dest_addr_ton the SMSC accepts.";
    RINVDSTNPI = 0x51, "Use a dest_addr_npi the SMSC accepts.";
    RINVSYSTYP = 0x53, "Use the system_type agreed with the SMSC, often the empty one.";
    RINVREPFLAG = 0x54, "replace_if_present_flag must be 0 or 1.";
    RINVNUMMSGS = 0x55, "number_of_messages is outside what the SMSC allows.";
    RTHROTTLED = 0x58, "The account's rate limit is exceeded: lower max_tps or raise the contract.";
    RINVSCHED = 0x61, "Check schedule_delivery_time: its format, and that it is not too far off.";
    RINVEXPIRY = 0x62, "Check validity_period: its format, and that it is not too long.";
    RINVDFTMSGID = 0x63, "The SMSC has no canned message of this sm_default_msg_id.";
    RX_T_APPN = 0x64, "The receiver has a temporary fault: the message comes again.";
    RX_P_APPN = 0x65, "The receiver refuses this message for good.";
    RX_R_APPN = 0x66, "The receiver rejected this message.";
    RQUERYFAIL = 0x67, "The query failed: perhaps the SMSC no longer keeps this message.";
    RINVOPTPARSTREAM = 0xC0, "The optional parameters are damaged: check their lengths.";
    ROPTPARNOTALLWD = 0xC1, "The SMSC does not allow one of the optional parameters here.";
    RINVPARLEN = 0xC2, "A parameter has the wrong length.";
    RMISSINGOPTPARAM = 0xC3, "The SMSC expects an optional parameter that is missing.";
    RINVOPTPARAMVAL = 0xC4, "An optional parameter has a value the SMSC refuses.";
    RDELIVERYFAILURE = 0xFE, "The message could not be delivered (data_sm in transaction mode).";
    RUNKNOWNERR = 0xFF, "The SMSC gives no reason: ask its operator.";
    RSERTYPUNAUTH = 0x100, "The account may not use this service_type.";
    RPROHIBITED = 0x101, "The account may not do this operation.";
    RSERTYPUNAVAIL = 0x102, "This service_type is unavailable now: try again later.";
    RSERTYPDENIED = 0x103, "This service_type is denied for this message.";
    RINVDCS = 0x104, "The SMSC does not support this data_coding.";
    RINVSRCADDRSUBUNIT = 0x105, "source_addr_subunit is not valid.";
    RINVDSTADDRSUBUNIT = 0x106, "dest_addr_subunit is not valid.";
    RINVBCASTFREQINT = 0x107, "broadcast_frequency_interval is not valid.";
    RINVBCASTALIAS_NAME = 0x108, "The broadcast area's alias is not known.";
    RINVBCASTAREAFMT = 0x109, "broadcast_area_identifier has a format the SMSC does not support.";
    RINVNUMBCAST_AREAS = 0x10A, "The number of broadcast areas is not allowed.";
    RINVBCASTCNTTYPE = 0x10B, "broadcast_content_type is not valid.";
    RINVBCASTMSGCLASS = 0x10C, "broadcast_message_class is not valid.";
    RBCASTFAIL = 0x10D, "The broadcast failed: ask the SMSC's operator.";
    RBCASTQUERYFAIL = 0x10E, "The query of the broadcast failed: check its message_id.";
    RBCASTCANCELFAIL = 0x10F, "The broadcast cannot be cancelled: perhaps it has ended.";
    RINVBCAST_REP = 0x110, "broadcast_rep_num is not valid.";
    RINVBCASTSRVGRP = 0x111, "broadcast_service_group is not valid.";
    RINVBCASTCHANIND = 0x112, "broadcast_channel_indicator is not valid.";
}

/// What SMPP 5.0 calls the codes of 3.4 that it renamed.
const RENAMED: &[(&str, Status)] = &[
    ("RINVTLVSTREAM", Status::RINVOPTPARSTREAM),
    ("RTLVNOTALLWD", Status::ROPTPARNOTALLWD),
    ("RINVTLVLEN", Status::RINVPARLEN),
    ("RMISSINGTLV", Status::RMISSINGOPTPARAM),
    ("RINVTLVVAL", Status::RINVOPTPARAMVAL),
];

impl Status {
    /// The status of a name, with or without `ESME_`, in any case, of 3.4 or 5.0; or of a number
    /// such as `0x0000045A`, which is how an unknown status is displayed.
    pub fn from_name(name: &str) -> Option<Status> {
        if let Some(hex) = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X")) {
            return u32::from_str_radix(hex, 16).ok().map(Status);
        }
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("ESME_").unwrap_or(&upper);
        let known = Self::ALL.iter().map(|s| (s.bare_name(), *s));
        let renamed = RENAMED.iter().copied();
        known
            .chain(renamed)
            .find(|(name, _)| *name == bare)
            .map(|(_, status)| status)
    }

    /// Whether the code lies in the range left to vendors, 0x400 to 0x4FF.
    pub const fn is_vendor(self) -> bool {
        matches!(self.0, 0x400..=0x4FF)
    }

    fn bare_name(self) -> &'static str {
        self.name()
            .and_then(|name| name.strip_prefix("ESME_"))
            .unwrap_or_default()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Default for Status {
    fn default() -> Self {
        Status::ROK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_status() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(&status.to_string()), Some(*status));
            assert_eq!(Status::from_name(status.bare_name()), Some(*status));
        }
        assert_eq!(Status::from_name("esme_rthrottled"), Some(Status(0x58)));
        assert_eq!(Status::from_name("ESME_RINVTLVVAL"), Some(Status(0xC4)));
        assert_eq!(Status::from_name("RNONSENSE"), None);
    }

    #[test]
    fn codes_of_vendors_are_kept() {
        let busy = Status(0x45A);
        assert!(busy.is_vendor());
        assert_eq!(busy.to_string(), "0x0000045A");
        assert_eq!(Status::from_name("0x0000045A"), Some(busy));
        assert!(busy.advice().contains("vendor"));
        assert!(!Status(0x500).is_vendor());
    }

    #[test]
    fn the_table_ascends_without_repeats() {
        assert!(Status::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
