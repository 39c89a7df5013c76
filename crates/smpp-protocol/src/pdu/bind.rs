//! Sessions: the bind family and outbind (SMPP 3.4 §4.1).

use super::codec::{Fields, Source, Writer, body};
use crate::{DecodeError, EncodeError, Npi, Status, Tlvs, Ton};

/// bind_receiver, bind_transmitter, bind_transceiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bind<'a> {
    /// Which ESME this is; at most 15 octets.
    pub system_id: &'a [u8],
    /// At most 8 octets.
    pub password: &'a [u8],
    /// Kind of ESME, as agreed with the SMSC; at most 12 octets.
    pub system_type: &'a [u8],
    /// 0x33 and lower for SMPP 3.3, 0x34 for 3.4, 0x50 for 5.0.
    pub interface_version: u8,
    /// Type of number of the addresses served.
    pub addr_ton: Ton,
    /// Numbering plan of the addresses served.
    pub addr_npi: Npi,
    /// Pattern of the addresses served; at most 40 octets.
    pub address_range: &'a [u8],
}

impl<'a> Fields<'a> for Bind<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(Bind {
            system_id: reader.c_string("system_id")?,
            password: reader.c_string("password")?,
            system_type: reader.c_string("system_type")?,
            interface_version: reader.u8("interface_version")?,
            addr_ton: Ton(reader.u8("addr_ton")?),
            addr_npi: Npi(reader.u8("addr_npi")?),
            address_range: reader.c_string("address_range")?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.write_with(PASSWORD, writer)
    }
}

/// The longest password, in octets (SMPP 3.4 §5.2.2).
pub const PASSWORD: usize = 8;

/// The longest password that is sent to an SMSC known to take more than [`PASSWORD`] octets.
pub const LONG_PASSWORD: usize = 64;

impl Bind<'_> {
    fn write_with(&self, password: usize, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("system_id", self.system_id, 15)?;
        writer.c_string("password", self.password, password)?;
        writer.c_string("system_type", self.system_type, 12)?;
        writer.octets(&[self.interface_version, self.addr_ton.0, self.addr_npi.0]);
        writer.c_string("address_range", self.address_range, 40)
    }
}

/// A bind with a password of up to [`LONG_PASSWORD`] octets, which SMPP does not allow and some
/// SMSCs want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LongBind<'a>(pub Bind<'a>);

impl<'a> Fields<'a> for LongBind<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Bind::read(reader).map(LongBind)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.0.write_with(LONG_PASSWORD, writer)
    }
}

/// The response to each kind of bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BindResp<'a> {
    /// Which SMSC this is; at most 15 octets. Empty when the response had no body.
    pub system_id: &'a [u8],
    /// sc_interface_version, if any.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for BindResp<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(BindResp {
            system_id: reader.loose_c_string("system_id")?,
            tlvs: reader.tlvs(),
        })
    }

    /// A refused bind is answered without body (SMPP 3.4 §4.1.2).
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if writer.status != Status::ROK && *self == BindResp::default() {
            return Ok(());
        }
        writer.c_string("system_id", self.system_id, 15)?;
        writer.tlvs(&self.tlvs)
    }
}

/// outbind: an SMSC asks an ESME to bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outbind<'a> {
    /// Which SMSC this is; at most 15 octets.
    pub system_id: &'a [u8],
    /// At most 8 octets.
    pub password: &'a [u8],
}

impl<'a> Fields<'a> for Outbind<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let system_id = reader.c_string("system_id")?;
        Ok(Outbind {
            system_id,
            password: reader.c_string("password")?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("system_id", self.system_id, 15)?;
        writer.c_string("password", self.password, PASSWORD)
    }
}

body!(Bind, LongBind, BindResp, Outbind);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn a_refused_bind_is_answered_without_body() {
        let mut out = Vec::new();
        let refused = Status::RINVPASWD;
        let command = Command::BIND_TRANSCEIVER_RESP;
        BindResp::default()
            .encode(command, refused, 1, &mut out)
            .unwrap();
        assert_eq!(out.len(), 16);
        out.clear();
        BindResp::default()
            .encode(command, Status::ROK, 1, &mut out)
            .unwrap();
        assert_eq!(out.len(), 17);
        assert_eq!(BindResp::decode(b"").unwrap(), BindResp::default());
        assert_eq!(BindResp::decode(b"SMSC").unwrap().system_id, b"SMSC");
    }

    #[test]
    fn a_password_too_long_is_refused_and_leaves_no_trace() {
        let mut out = b"before".to_vec();
        let bind = Bind {
            system_id: b"me",
            password: b"ninechars",
            ..Bind::default()
        };
        let error = bind
            .encode(Command::BIND_RECEIVER, Status::ROK, 1, &mut out)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "password has 9 octets, at most 8 are allowed"
        );
        assert_eq!(out, b"before");
        out.clear();
        let long = LongBind(bind);
        let command = Command::BIND_RECEIVER;
        long.encode(command, Status::ROK, 1, &mut out).unwrap();
        assert_eq!(
            Bind::decode(&out[16..]).unwrap(),
            bind,
            "unless it is wanted"
        );
        let password = [b'x'; LONG_PASSWORD + 1];
        let longer = LongBind(Bind {
            password: &password,
            ..bind
        });
        let error = longer.encode(command, Status::ROK, 1, &mut out);
        assert!(error.unwrap_err().to_string().contains("at most 64"));
    }
}
