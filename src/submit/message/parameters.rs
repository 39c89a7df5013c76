//! Optional parameters of a record, as octets (SMPP 3.4, 5.3.2).

use crate::record::submit_sm::{Content, TagName, Tlv, TlvValue};
use smpp_protocol::tlv::{self, Shape};
use smpp_protocol::{Names, Tag, octets, tlv::Tlv as Octets};

use super::Refused;

/// Appends `parameters`. `payload`: whether message_payload is among them already.
pub(super) fn push(
    parameters: &[Tlv<'_>],
    names: &Names,
    payload: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    for parameter in parameters {
        let tag = tag(&parameter.tag, names)?;
        if tag == Tag::MESSAGE_PAYLOAD {
            let text = if payload {
                "tlvs holds message_payload, which carries the text already: remove it"
            } else {
                "tlvs holds message_payload: write it as the field of that name"
            };
            return Err(Refused::invalid(&field(&parameter.tag), text));
        }
        push_one(tag, &parameter.value, out).map_err(|refused| Refused {
            field: Some(field(&parameter.tag)),
            ..refused
        })?;
    }
    Ok(())
}

/// The tag that the record names.
pub(super) fn tag(name: &TagName<'_>, names: &Names) -> Result<Tag, Refused> {
    let name = match name {
        TagName::Number(number) => return Ok(Tag(*number)),
        // aiosmpplib's name for it.
        TagName::Name(name) if name == "destination_port" => return Ok(Tag::DEST_PORT),
        TagName::Name(name) => name,
    };
    names.tag_of(name).ok_or_else(|| {
        let own = names.tags.iter().map(|(_, name)| &**name);
        let near = Tag::ALL
            .iter()
            .filter_map(|tag| tag.name())
            .chain(own)
            .min_by_key(|known| strsim::damerau_levenshtein(name, known));
        let near = near.unwrap_or("source_port");
        let text =
            format!("tlvs: no parameter is called {name:?}; did you mean {near:?}? A vendor's own goes by its number, such as \"0x1401\", or by its name under vendor.tlvs of the ESME");
        Refused::invalid(&format!("tlvs.{name}"), text)
    })
}

/// The field of a parameter: `tlvs.source_port`, `tlvs.0x1401`.
fn field(tag: &TagName<'_>) -> String {
    match tag {
        TagName::Number(number) => format!("tlvs.{}", Tag(*number)),
        TagName::Name(name) => format!("tlvs.{name}"),
    }
}

fn push_one(tag: Tag, value: &TlvValue<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let number;
    let mut terminated;
    let value = match value {
        TlvValue::Flag(false) => return Ok(()),
        TlvValue::Flag(true) => &[],
        TlvValue::Number(value) => {
            number = value.to_be_bytes();
            let width = width(tag).filter(|w| *w == 8 || value >> (8 * w) == 0);
            let width = width.ok_or_else(|| number_refused(tag, *value))?;
            &number[8 - width..]
        }
        TlvValue::Content(Content::Octets(octets)) => octets.as_slice(),
        TlvValue::Content(Content::Text(text)) => match tag.shape() {
            Some(Shape::Integer(_)) => {
                let text = format!("tlvs: {tag} is a number, not {text:?}");
                return Err(Refused::invalid("tlvs", text));
            }
            Some(Shape::CString(_)) => {
                terminated = Vec::with_capacity(text.len() + 1);
                terminated.extend_from_slice(text.as_bytes());
                terminated.push(0);
                &terminated
            }
            Some(Shape::Octets(..)) | None => text.as_bytes(),
        },
    };
    if !(Octets { tag, value }).has_valid_length() {
        let length = octets(value.len());
        let text = match tag.shape() {
            Some(Shape::Integer(wanted)) => {
                format!("tlvs: {tag} has {length}, not {wanted}")
            }
            Some(Shape::CString(most)) => {
                format!("tlvs: {tag} has {length}, at most {most} are allowed")
            }
            Some(Shape::Octets(least, most)) => {
                format!("tlvs: {tag} has {length}, {least} to {most} are allowed")
            }
            None => format!("tlvs: {tag} has {length}"),
        };
        return Err(Refused::invalid("tlvs", text));
    }
    tlv::push_tlv(out, tag, value).map_err(|e| Refused::invalid("tlvs", format!("tlvs: {e}")))
}

/// How many octets a number takes in this parameter, if that is known.
fn width(tag: Tag) -> Option<usize> {
    match tag.shape()? {
        Shape::Integer(octets) => Some(usize::from(octets)),
        Shape::Octets(least, _) if least <= 8 => Some(usize::from(least.max(1))),
        Shape::Octets(..) | Shape::CString(_) => None,
    }
}

fn number_refused(tag: Tag, value: u64) -> Refused {
    let text = match width(tag) {
        Some(width) => {
            let room = octets(width);
            format!("tlvs: {tag} takes a number of {room}, for which {value} is too large")
        }
        None => format!(
            "tlvs: how many octets the number {value} takes in {tag} is not known: write {{\"hex\": \"...\"}}"
        ),
    };
    Refused::invalid("tlvs", text)
}
