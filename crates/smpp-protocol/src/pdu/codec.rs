//! Reading and writing fields in their order.

use crate::frame::HEADER;
use crate::{Address, Command, DecodeError, EncodeError, Header, Npi, Problem, Status, Tlvs, Ton};

/// The fields of one kind of PDU.
pub(super) trait Fields<'a>: Sized {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError>;
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// Gives a struct with [`Fields`] its public `decode` and `encode`.
macro_rules! body {
    ($($type:ident),*) => {$(
        impl<'a> $type<'a> {
            /// Reads the body of a PDU, borrowing its octet strings.
            #[inline(always)]
            pub fn decode(body: &'a [u8]) -> Result<Self, $crate::DecodeError> {
                $crate::pdu::codec::decode(body)
            }

            /// Appends the whole PDU, header included. When a field breaks the specification,
            /// `out` is left as it was.
            pub fn encode(
                &self,
                command: $crate::Command,
                status: $crate::Status,
                sequence: u32,
                out: &mut Vec<u8>,
            ) -> Result<(), $crate::EncodeError> {
                $crate::pdu::codec::encode(self, command, status, sequence, out)
            }
        }
    )*};
}
pub(super) use body;

#[inline(always)]
pub(super) fn decode<'a, F: Fields<'a>>(body: &'a [u8]) -> Result<F, DecodeError> {
    F::read(&mut Reader { body, rest: body })
}

pub(super) fn encode<'a>(
    fields: &impl Fields<'a>,
    command: Command,
    status: Status,
    sequence: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    Header {
        length: 0,
        command,
        status,
        sequence,
    }
    .encode(out);
    let written = fields.write(&mut Writer {
        out,
        command,
        status,
    });
    if written.is_err() {
        out.truncate(start);
        return written;
    }
    let length = (out.len() - start) as u32;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What fields are read from, one after another. A [`Reader`] gives them; a
/// [`Tracer`](super::anatomy) also notes where they are.
pub(super) trait Source<'a> {
    /// One octet.
    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError>;
    /// One octet for each field.
    #[inline(always)]
    fn octets<const N: usize>(
        &mut self,
        fields: &'static [&'static str; N],
    ) -> Result<[u8; N], DecodeError> {
        let mut octets = [0; N];
        for (octet, field) in octets.iter_mut().zip(fields) {
            *octet = self.u8(field)?;
        }
        Ok(octets)
    }
    /// Four octets, the highest first.
    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError>;
    /// Text up to a NUL, which is not part of it. Its length is not judged.
    fn c_string(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError>;
    /// Text up to a NUL or to the end of the PDU, as responses may have it.
    fn loose_c_string(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError>;
    /// One octet, 0 where the PDU has ended, as responses may have it.
    fn loose_u8(&mut self, field: &'static str) -> Result<u8, DecodeError>;
    /// Octets counted by the octet before them, which is sm_length.
    fn counted(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError>;
    /// Everything that is left.
    fn tlvs(&mut self) -> Tlvs<'a>;
    /// An error about an octet that was just read.
    fn undefined(&self, field: &'static str, value: u8) -> DecodeError;
    /// What reads the same fields again.
    fn reader(&self) -> Reader<'a>;

    /// The fields up to [`Source::end_list`] are an entry of this list.
    fn entry(&mut self, _list: &'static str) {}
    /// A list ends.
    fn end_list(&mut self) {}

    /// TON, NPI and number.
    #[inline(always)]
    fn address(&mut self, names: &'static AddressNames) -> Result<Address<'a>, DecodeError> {
        let [ton, npi] = self.octets(&names.kind)?;
        Ok(Address {
            ton: Ton(ton),
            npi: Npi(npi),
            number: self.c_string(names.number)?,
        })
    }
}

/// Where the first NUL is. Texts in PDUs are so short that looking at one octet after another is
/// fastest.
#[inline]
fn nul(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|octet| *octet == 0)
}

/// Walks through a body.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) body: &'a [u8],
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The octet of the PDU that comes next.
    pub(super) fn position(&self) -> usize {
        HEADER + self.body.len() - self.rest.len()
    }

    /// So many octets.
    #[inline]
    pub(super) fn take(
        &mut self,
        field: &'static str,
        length: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let Some((octets, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(field, length));
        };
        self.rest = rest;
        Ok(octets)
    }

    /// The first of fields of one octet each that has none.
    #[cold]
    fn too_few(&mut self, fields: &[&'static str]) -> DecodeError {
        let field = fields.get(self.rest.len()).copied().unwrap_or_default();
        self.rest = &[];
        self.truncated(field, 1)
    }

    #[cold]
    fn unterminated(&self, field: &'static str) -> DecodeError {
        let problem = match self.rest.len() {
            0 => Problem::Truncated { wanted: 1, left: 0 },
            _ => Problem::Unterminated,
        };
        DecodeError {
            field,
            position: self.position(),
            problem,
        }
    }

    #[cold]
    fn truncated(&self, field: &'static str, wanted: usize) -> DecodeError {
        let problem = Problem::Truncated {
            wanted,
            left: self.rest.len(),
        };
        DecodeError {
            field,
            position: self.position(),
            problem,
        }
    }
}

impl<'a> Source<'a> for Reader<'a> {
    #[inline]
    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let Some((octet, rest)) = self.rest.split_first() else {
            return Err(self.truncated(field, 1));
        };
        self.rest = rest;
        Ok(*octet)
    }

    #[inline(always)]
    fn octets<const N: usize>(
        &mut self,
        fields: &'static [&'static str; N],
    ) -> Result<[u8; N], DecodeError> {
        let Some((octets, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.too_few(fields));
        };
        self.rest = rest;
        Ok(*octets)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let Some((word, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(field, 4));
        };
        self.rest = rest;
        Ok(u32::from_be_bytes(*word))
    }

    #[inline]
    fn c_string(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let Some((text, [_, rest @ ..])) = nul(self.rest).map(|end| self.rest.split_at(end)) else {
            return Err(self.unterminated(field));
        };
        self.rest = rest;
        Ok(text)
    }

    #[inline]
    fn loose_c_string(&mut self, _: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = nul(self.rest).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    fn loose_u8(&mut self, _: &'static str) -> Result<u8, DecodeError> {
        let Some((octet, rest)) = self.rest.split_first() else {
            return Ok(0);
        };
        self.rest = rest;
        Ok(*octet)
    }

    #[inline]
    fn counted(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u8("sm_length")?;
        self.take(field, length.into())
    }

    #[inline]
    fn tlvs(&mut self) -> Tlvs<'a> {
        let tlvs = Tlvs::at(self.rest, self.position());
        self.rest = &[];
        tlvs
    }

    fn undefined(&self, field: &'static str, value: u8) -> DecodeError {
        let problem = Problem::Undefined(value.into());
        DecodeError {
            field,
            position: self.position() - 1,
            problem,
        }
    }

    fn reader(&self) -> Reader<'a> {
        *self
    }
}

/// What an address's three fields are called.
pub(super) struct AddressNames {
    /// Of its TON and its NPI.
    kind: [&'static str; 2],
    number: &'static str,
    /// The longest number, without its NUL.
    limit: usize,
}

/// The sender of most PDUs.
pub(super) const SOURCE: AddressNames = AddressNames {
    kind: ["source_addr_ton", "source_addr_npi"],
    number: "source_addr",
    limit: 20,
};

/// The recipient of most PDUs.
pub(super) const DESTINATION: AddressNames = AddressNames {
    kind: ["dest_addr_ton", "dest_addr_npi"],
    number: "destination_addr",
    limit: 20,
};

/// The sender in data_sm and alert_notification.
pub(super) const LONG_SOURCE: AddressNames = AddressNames {
    limit: 64,
    ..SOURCE
};

/// The recipient in data_sm.
pub(super) const LONG_DESTINATION: AddressNames = AddressNames {
    limit: 64,
    ..DESTINATION
};

/// Whom an alert_notification is for.
pub(super) const ESME: AddressNames = AddressNames {
    kind: ["esme_addr_ton", "esme_addr_npi"],
    number: "esme_addr",
    limit: 64,
};

/// Appends a body, judging lengths.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// What is being written.
    pub(super) command: Command,
    /// With which status.
    pub(super) status: Status,
}

impl Writer<'_> {
    #[inline]
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Text and a NUL; `limit` does not count the NUL.
    #[inline]
    pub(super) fn c_string(
        &mut self,
        field: &'static str,
        text: &[u8],
        limit: usize,
    ) -> Result<(), EncodeError> {
        if text.len() > limit {
            return Err(EncodeError::TooLong {
                field,
                length: text.len(),
                limit,
            });
        }
        if let Some(index) = text.iter().position(|octet| *octet == 0) {
            return Err(EncodeError::Nul { field, index });
        }
        self.out.extend_from_slice(text);
        self.out.push(0);
        Ok(())
    }

    /// An SMPP time: 16 characters or none.
    #[inline]
    pub(super) fn time(&mut self, field: &'static str, time: &[u8]) -> Result<(), EncodeError> {
        if !matches!(time.len(), 0 | 16) {
            return Err(EncodeError::NotATime {
                field,
                length: time.len(),
            });
        }
        self.c_string(field, time, 16)
    }

    /// short_message after its length. 3.4 allows 254 octets, one less than 5.0.
    #[inline]
    pub(super) fn short_message(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        const LIMIT: usize = 254;
        let (field, length) = ("short_message", text.len());
        match u8::try_from(length) {
            Ok(octet) if length <= LIMIT => self.out.push(octet),
            _ => {
                return Err(EncodeError::TooLong {
                    field,
                    length,
                    limit: LIMIT,
                });
            }
        }
        self.out.extend_from_slice(text);
        Ok(())
    }

    #[inline]
    pub(super) fn address(
        &mut self,
        names: &AddressNames,
        address: &Address<'_>,
    ) -> Result<(), EncodeError> {
        self.octets(&[address.ton.0, address.npi.0]);
        self.c_string(names.number, address.number, names.limit)
    }

    #[inline]
    pub(super) fn tlvs(&mut self, tlvs: &Tlvs<'_>) -> Result<(), EncodeError> {
        tlvs.check()?;
        self.out.extend_from_slice(tlvs.octets());
        Ok(())
    }
}
