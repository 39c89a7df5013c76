//! One message to many: submit_multi (SMPP 3.4 §4.5).

use std::fmt;

use super::codec::{DESTINATION, Fields, Reader, SOURCE, Source, Writer, body};
use crate::{Address, DecodeError, EncodeError, Status, Tlvs};

/// One destination of a submit_multi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A subscriber; dest_flag 1.
    Sme(Address<'a>),
    /// A distribution list kept by the SMSC, at most 20 octets; dest_flag 2.
    List(&'a [u8]),
}

/// A destination that did not get the message, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsuccess<'a> {
    /// Who.
    pub address: Address<'a>,
    /// Why.
    pub status: Status,
}

impl<'a> Destination<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        match reader.u8("dest_flag")? {
            1 => reader.address(&DESTINATION).map(Destination::Sme),
            2 => reader.c_string("dl_name").map(Destination::List),
            other => Err(reader.undefined("dest_flag", other)),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Destination::Sme(address) => {
                writer.octets(&[1]);
                writer.address(&DESTINATION, address)
            }
            Destination::List(name) => {
                writer.octets(&[2]);
                writer.c_string("dl_name", name, 20)
            }
        }
    }
}

impl<'a> Unsuccess<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let address = reader.address(&DESTINATION)?;
        Ok(Unsuccess {
            address,
            status: Status(reader.u32("error_status_code")?),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.address(&DESTINATION, &self.address)?;
        writer.octets(&self.status.0.to_be_bytes());
        Ok(())
    }
}

/// A counted list that borrows either from a PDU or from a slice.
macro_rules! list {
    ($(#[$about:meta])* $list:ident of $entry:ident, counted by $count:literal, each in $name:literal) => {
        $(#[$about])*
        #[derive(Clone, Copy)]
        pub enum $list<'a> {
            /// As it lies in a PDU, walked through once.
            #[doc(hidden)]
            Wire(Wire<'a>),
            /// To be encoded; at most 255.
            Slice(&'a [$entry<'a>]),
        }

        impl<'a> $list<'a> {
            /// The entries in their order.
            pub fn iter(&self) -> impl Iterator<Item = $entry<'a>> + use<'a> {
                let (wire, slice) = match *self {
                    $list::Wire(wire) => (Some(wire), &[][..]),
                    $list::Slice(slice) => (None, slice),
                };
                let mut reader = wire.map(|wire| wire.reader);
                let count = wire.map_or(0, |wire| wire.count);
                let read = move |_| reader.as_mut().and_then(|r| $entry::read(r).ok());
                (0..count).map_while(read).chain(slice.iter().copied())
            }

            fn read(reader: &mut impl Source<'a>, count: u8) -> Result<Self, DecodeError> {
                let wire = Wire { reader: reader.reader(), count };
                for _ in 0..count {
                    reader.entry($name);
                    $entry::read(reader)?;
                }
                reader.end_list();
                Ok($list::Wire(wire))
            }

            fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                let length = match self {
                    $list::Wire(wire) => usize::from(wire.count),
                    $list::Slice(slice) => slice.len(),
                };
                let count = u8::try_from(length).map_err(|_| {
                    EncodeError::TooLong { field: $count, length, limit: 255 }
                })?;
                writer.octets(&[count]);
                self.iter().try_for_each(|entry| entry.write(writer))
            }
        }

        impl Default for $list<'_> {
            fn default() -> Self {
                $list::Slice(&[])
            }
        }

        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        impl fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}

/// Entries as they lie in a PDU.
#[derive(Clone, Copy)]
pub struct Wire<'a> {
    reader: Reader<'a>,
    count: u8,
}

list! {
    /// The destinations of a submit_multi, 1 to 255.
    Destinations of Destination, counted by "number_of_dests", each in "dest_address"
}

list! {
    /// The destinations that did not get the message.
    Unsuccesses of Unsuccess, counted by "no_unsuccess", each in "unsuccess_sme"
}

/// submit_multi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmitMulti<'a> {
    /// SMS application service; at most 5 octets, usually empty.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// Who receives.
    pub destinations: Destinations<'a>,
    /// Mode, type, user data header and reply path; see [`MessageType`](super::MessageType).
    pub esm_class: u8,
    /// TP-PID of GSM.
    pub protocol_id: u8,
    /// 0 (lowest) to 3.
    pub priority_flag: u8,
    /// An SMPP time or empty for at once.
    pub schedule_delivery_time: &'a [u8],
    /// An SMPP time or empty for the SMSC's default.
    pub validity_period: &'a [u8],
    /// Which receipts are wanted (SMPP 3.4 §5.2.17).
    pub registered_delivery: u8,
    /// 1 to replace an undelivered message of the same addresses.
    pub replace_if_present_flag: u8,
    /// How the text is encoded (SMPP 3.4 §5.2.19).
    pub data_coding: u8,
    /// A canned message of the SMSC, or 0.
    pub sm_default_msg_id: u8,
    /// The text, at most 254 octets; empty when message_payload has it.
    pub short_message: &'a [u8],
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for SubmitMulti<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let service_type = reader.c_string("service_type")?;
        let source = reader.address(&SOURCE)?;
        let count = reader.u8("number_of_dests")?;
        Ok(SubmitMulti {
            service_type,
            source,
            destinations: Destinations::read(reader, count)?,
            esm_class: reader.u8("esm_class")?,
            protocol_id: reader.u8("protocol_id")?,
            priority_flag: reader.u8("priority_flag")?,
            schedule_delivery_time: reader.c_string("schedule_delivery_time")?,
            validity_period: reader.c_string("validity_period")?,
            registered_delivery: reader.u8("registered_delivery")?,
            replace_if_present_flag: reader.u8("replace_if_present_flag")?,
            data_coding: reader.u8("data_coding")?,
            sm_default_msg_id: reader.u8("sm_default_msg_id")?,
            short_message: reader.counted("short_message")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.address(&SOURCE, &self.source)?;
        self.destinations.write(writer)?;
        writer.octets(&[self.esm_class, self.protocol_id, self.priority_flag]);
        writer.time("schedule_delivery_time", self.schedule_delivery_time)?;
        writer.time("validity_period", self.validity_period)?;
        writer.octets(&[
            self.registered_delivery,
            self.replace_if_present_flag,
            self.data_coding,
            self.sm_default_msg_id,
        ]);
        writer.short_message(self.short_message)?;
        writer.tlvs(&self.tlvs)
    }
}

/// submit_multi_resp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmitMultiResp<'a> {
    /// The SMSC's name for the message, at most 64 octets; empty when the response had no body.
    pub message_id: &'a [u8],
    /// Who did not get it.
    pub unsuccess: Unsuccesses<'a>,
    /// Optional parameters (SMPP 5.0).
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for SubmitMultiResp<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let message_id = reader.loose_c_string("message_id")?;
        let count = reader.loose_u8("no_unsuccess")?;
        let unsuccess = Unsuccesses::read(reader, count)?;
        Ok(SubmitMultiResp {
            message_id,
            unsuccess,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if writer.status != Status::ROK && *self == SubmitMultiResp::default() {
            return Ok(());
        }
        writer.c_string("message_id", self.message_id, 64)?;
        self.unsuccess.write(writer)?;
        writer.tlvs(&self.tlvs)
    }
}

body!(SubmitMulti, SubmitMultiResp);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Problem};

    fn encoded(multi: &SubmitMulti<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        multi
            .encode(Command::SUBMIT_MULTI, Status::ROK, 1, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn destinations_are_subscribers_and_lists() {
        let to = [
            Destination::Sme(Address::parse("12345")),
            Destination::List(b"staff"),
        ];
        let destinations = Destinations::Slice(&to);
        let multi = SubmitMulti {
            destinations,
            short_message: b"hi",
            ..SubmitMulti::default()
        };
        let wire = encoded(&multi);
        assert_eq!(&wire[20..37], b"\x02\x01\x03\x0012345\0\x02staff\0");
        let read = SubmitMulti::decode(&wire[16..]).unwrap();
        assert_eq!(read, multi);
        assert_eq!(read.destinations.iter().collect::<Vec<_>>(), to);
    }

    #[test]
    fn an_unknown_kind_of_destination_is_refused() {
        let to = [Destination::List(b"staff")];
        let destinations = Destinations::Slice(&to);
        let mut wire = encoded(&SubmitMulti {
            destinations,
            ..SubmitMulti::default()
        });
        wire[21] = 3;
        let error = SubmitMulti::decode(&wire[16..]).unwrap_err();
        assert_eq!(
            (error.field, error.problem),
            ("dest_flag", Problem::Undefined(3))
        );
        assert_eq!((error.position, error.status()), (21, Status::RINVDESTFLAG));
    }

    #[test]
    fn the_answer_names_who_did_not_get_it() {
        let failed = [Unsuccess {
            address: Address::parse("12345"),
            status: Status::RINVDSTADR,
        }];
        let unsuccess = Unsuccesses::Slice(&failed);
        let answer = SubmitMultiResp {
            message_id: b"7",
            unsuccess,
            ..Default::default()
        };
        let mut out = Vec::new();
        answer
            .encode(Command::SUBMIT_MULTI_RESP, Status::ROK, 1, &mut out)
            .unwrap();
        assert_eq!(&out[16..], b"7\0\x01\x03\x0012345\0\0\0\0\x0B");
        assert_eq!(SubmitMultiResp::decode(&out[16..]), Ok(answer));
        assert_eq!(SubmitMultiResp::decode(b""), Ok(SubmitMultiResp::default()));
    }

    #[test]
    fn more_destinations_than_the_count_can_say_are_refused() {
        let to = [Destination::List(b"l"); 256];
        let destinations = Destinations::Slice(&to);
        let multi = SubmitMulti {
            destinations,
            ..SubmitMulti::default()
        };
        let error = multi.encode(Command::SUBMIT_MULTI, Status::ROK, 1, &mut Vec::new());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("number_of_dests has 256")
        );
    }
}
