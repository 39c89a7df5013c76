//! command_id: what a PDU is (SMPP 3.4 §5.1.2.1, SMPP 5.0 §4.7.5).

use std::fmt;

/// The bit that makes a command_id a response.
const RESPONSE: u32 = 0x8000_0000;

/// A command_id. Any value is representable; the known ones are constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command(pub u32);

macro_rules! commands {
    ($($constant:ident = $id:literal, $name:literal;)*) => {
        impl Command {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Command = Command($id);
            )*

            /// Every command of SMPP 3.4 and 5.0.
            pub const ALL: &'static [Command] = &[$(Command($id)),*];

            /// The command's name in the specification, such as `submit_sm_resp`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($id => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    GENERIC_NACK = 0x8000_0000, "generic_nack";
    BIND_RECEIVER = 0x0000_0001, "bind_receiver";
    BIND_RECEIVER_RESP = 0x8000_0001, "bind_receiver_resp";
    BIND_TRANSMITTER = 0x0000_0002, "bind_transmitter";
    BIND_TRANSMITTER_RESP = 0x8000_0002, "bind_transmitter_resp";
    QUERY_SM = 0x0000_0003, "query_sm";
    QUERY_SM_RESP = 0x8000_0003, "query_sm_resp";
    SUBMIT_SM = 0x0000_0004, "submit_sm";
    SUBMIT_SM_RESP = 0x8000_0004, "submit_sm_resp";
    DELIVER_SM = 0x0000_0005, "deliver_sm";
    DELIVER_SM_RESP = 0x8000_0005, "deliver_sm_resp";
    UNBIND = 0x0000_0006, "unbind";
    UNBIND_RESP = 0x8000_0006, "unbind_resp";
    REPLACE_SM = 0x0000_0007, "replace_sm";
    REPLACE_SM_RESP = 0x8000_0007, "replace_sm_resp";
    CANCEL_SM = 0x0000_0008, "cancel_sm";
    CANCEL_SM_RESP = 0x8000_0008, "cancel_sm_resp";
    BIND_TRANSCEIVER = 0x0000_0009, "bind_transceiver";
    BIND_TRANSCEIVER_RESP = 0x8000_0009, "bind_transceiver_resp";
    OUTBIND = 0x0000_000B, "outbind";
    ENQUIRE_LINK = 0x0000_0015, "enquire_link";
    ENQUIRE_LINK_RESP = 0x8000_0015, "enquire_link_resp";
    SUBMIT_MULTI = 0x0000_0021, "submit_multi";
    SUBMIT_MULTI_RESP = 0x8000_0021, "submit_multi_resp";
    ALERT_NOTIFICATION = 0x0000_0102, "alert_notification";
    DATA_SM = 0x0000_0103, "data_sm";
    DATA_SM_RESP = 0x8000_0103, "data_sm_resp";
    BROADCAST_SM = 0x0000_0111, "broadcast_sm";
    BROADCAST_SM_RESP = 0x8000_0111, "broadcast_sm_resp";
    QUERY_BROADCAST_SM = 0x0000_0112, "query_broadcast_sm";
    QUERY_BROADCAST_SM_RESP = 0x8000_0112, "query_broadcast_sm_resp";
    CANCEL_BROADCAST_SM = 0x0000_0113, "cancel_broadcast_sm";
    CANCEL_BROADCAST_SM_RESP = 0x8000_0113, "cancel_broadcast_sm_resp";
}

impl Command {
    /// Whether the PDU answers another: a `*_resp` or generic_nack.
    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE != 0
    }

    /// The command that answers this one.
    pub const fn response(self) -> Command {
        Command(self.0 | RESPONSE)
    }

    /// Whether the peer must answer: neither outbind nor alert_notification has a response.
    pub const fn wants_response(self) -> bool {
        !self.is_response() && self.0 != Self::OUTBIND.0 && self.0 != Self::ALERT_NOTIFICATION.0
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_but_two_has_its_response() {
        for command in Command::ALL.iter().filter(|c| c.wants_response()) {
            let response = command.response();
            assert!(response.is_response());
            assert_eq!(response.name(), Some(&*format!("{command}_resp")));
        }
        assert_eq!(Command::OUTBIND.response().name(), None);
        assert_eq!(Command::ALERT_NOTIFICATION.response().name(), None);
    }

    #[test]
    fn an_unknown_command_shows_its_number() {
        assert_eq!(Command(0xFFFF).to_string(), "0x0000FFFF");
        assert_eq!(Command::ENQUIRE_LINK.to_string(), "enquire_link");
        assert!(Command::GENERIC_NACK.is_response());
    }
}
