//! Optional parameters: tag, length, value (SMPP 3.4 §5.3, SMPP 5.0 §4.8.4).

mod details;

pub use details::Detail;

use std::fmt;

use super::frame::HEADER;
use super::{DecodeError, EncodeError, Problem};

/// The longest value, in octets: its length has two octets.
pub const LONGEST: usize = u16::MAX as usize;

/// The tag of an optional parameter. Any value is kept; the known ones are constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

/// What the value of a known tag looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An unsigned big-endian number of so many octets.
    Integer(u8),
    /// Text that ends in a NUL; at most so many octets with it.
    CString(u16),
    /// Octets, at least and at most so many.
    Octets(u16, u16),
}

macro_rules! tags {
    ($($constant:ident = $tag:literal, $name:literal, $shape:expr;)*) => {
        impl Tag {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Tag = Tag($tag);
            )*

            /// Every tag of SMPP 3.4 and 5.0, in ascending order.
            pub const ALL: &'static [Tag] = &[$(Tag($tag)),*];

            /// The name in the specification, such as `message_payload`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($tag => Some($name),)*
                    _ => None,
                }
            }

            /// What the specification says about the value; `None` for an unknown tag.
            pub const fn shape(self) -> Option<Shape> {
                match self.0 {
                    $($tag => Some($shape),)*
                    _ => None,
                }
            }
        }
    };
}

use Shape::{CString, Integer, Octets};

tags! {
    DEST_ADDR_SUBUNIT = 0x0005, "dest_addr_subunit", Integer(1);
    DEST_NETWORK_TYPE = 0x0006, "dest_network_type", Integer(1);
    DEST_BEARER_TYPE = 0x0007, "dest_bearer_type", Integer(1);
    DEST_TELEMATICS_ID = 0x0008, "dest_telematics_id", Integer(2);
    SOURCE_ADDR_SUBUNIT = 0x000D, "source_addr_subunit", Integer(1);
    SOURCE_NETWORK_TYPE = 0x000E, "source_network_type", Integer(1);
    SOURCE_BEARER_TYPE = 0x000F, "source_bearer_type", Integer(1);
    SOURCE_TELEMATICS_ID = 0x0010, "source_telematics_id", Integer(1);
    QOS_TIME_TO_LIVE = 0x0017, "qos_time_to_live", Integer(4);
    PAYLOAD_TYPE = 0x0019, "payload_type", Integer(1);
    ADDITIONAL_STATUS_INFO_TEXT = 0x001D, "additional_status_info_text", CString(256);
    RECEIPTED_MESSAGE_ID = 0x001E, "receipted_message_id", CString(65);
    MS_MSG_WAIT_FACILITIES = 0x0030, "ms_msg_wait_facilities", Integer(1);
    PRIVACY_INDICATOR = 0x0201, "privacy_indicator", Integer(1);
    SOURCE_SUBADDRESS = 0x0202, "source_subaddress", Octets(2, 23);
    DEST_SUBADDRESS = 0x0203, "dest_subaddress", Octets(2, 23);
    USER_MESSAGE_REFERENCE = 0x0204, "user_message_reference", Integer(2);
    USER_RESPONSE_CODE = 0x0205, "user_response_code", Integer(1);
    SOURCE_PORT = 0x020A, "source_port", Integer(2);
    DEST_PORT = 0x020B, "dest_port", Integer(2);
    SAR_MSG_REF_NUM = 0x020C, "sar_msg_ref_num", Integer(2);
    LANGUAGE_INDICATOR = 0x020D, "language_indicator", Integer(1);
    SAR_TOTAL_SEGMENTS = 0x020E, "sar_total_segments", Integer(1);
    SAR_SEGMENT_SEQNUM = 0x020F, "sar_segment_seqnum", Integer(1);
    SC_INTERFACE_VERSION = 0x0210, "sc_interface_version", Integer(1);
    CALLBACK_NUM_PRES_IND = 0x0302, "callback_num_pres_ind", Integer(1);
    CALLBACK_NUM_ATAG = 0x0303, "callback_num_atag", Octets(0, 65);
    NUMBER_OF_MESSAGES = 0x0304, "number_of_messages", Integer(1);
    CALLBACK_NUM = 0x0381, "callback_num", Octets(4, 19);
    DPF_RESULT = 0x0420, "dpf_result", Integer(1);
    SET_DPF = 0x0421, "set_dpf", Integer(1);
    MS_AVAILABILITY_STATUS = 0x0422, "ms_availability_status", Integer(1);
    NETWORK_ERROR_CODE = 0x0423, "network_error_code", Octets(3, 3);
    MESSAGE_PAYLOAD = 0x0424, "message_payload", Octets(0, u16::MAX);
    DELIVERY_FAILURE_REASON = 0x0425, "delivery_failure_reason", Integer(1);
    MORE_MESSAGES_TO_SEND = 0x0426, "more_messages_to_send", Integer(1);
    MESSAGE_STATE = 0x0427, "message_state", Integer(1);
    CONGESTION_STATE = 0x0428, "congestion_state", Integer(1);
    USSD_SERVICE_OP = 0x0501, "ussd_service_op", Octets(1, 1);
    BROADCAST_CHANNEL_INDICATOR = 0x0600, "broadcast_channel_indicator", Integer(1);
    BROADCAST_CONTENT_TYPE = 0x0601, "broadcast_content_type", Octets(3, 3);
    BROADCAST_CONTENT_TYPE_INFO = 0x0602, "broadcast_content_type_info", Octets(1, 255);
    BROADCAST_MESSAGE_CLASS = 0x0603, "broadcast_message_class", Integer(1);
    BROADCAST_REP_NUM = 0x0604, "broadcast_rep_num", Integer(2);
    BROADCAST_FREQUENCY_INTERVAL = 0x0605, "broadcast_frequency_interval", Octets(3, 3);
    BROADCAST_AREA_IDENTIFIER = 0x0606, "broadcast_area_identifier", Octets(1, 256);
    BROADCAST_ERROR_STATUS = 0x0607, "broadcast_error_status", Integer(4);
    BROADCAST_AREA_SUCCESS = 0x0608, "broadcast_area_success", Integer(1);
    BROADCAST_END_TIME = 0x0609, "broadcast_end_time", Octets(16, 17);
    BROADCAST_SERVICE_GROUP = 0x060A, "broadcast_service_group", Octets(1, 255);
    BILLING_IDENTIFICATION = 0x060B, "billing_identification", Octets(1, 1024);
    SOURCE_NETWORK_ID = 0x060D, "source_network_id", CString(65);
    DEST_NETWORK_ID = 0x060E, "dest_network_id", CString(65);
    SOURCE_NODE_ID = 0x060F, "source_node_id", Octets(6, 6);
    DEST_NODE_ID = 0x0610, "dest_node_id", Octets(6, 6);
    DEST_ADDR_NP_RESOLUTION = 0x0611, "dest_addr_np_resolution", Integer(1);
    DEST_ADDR_NP_INFORMATION = 0x0612, "dest_addr_np_information", Octets(10, 10);
    DEST_ADDR_NP_COUNTRY = 0x0613, "dest_addr_np_country", Octets(1, 5);
    DISPLAY_TIME = 0x1201, "display_time", Integer(1);
    SMS_SIGNAL = 0x1203, "sms_signal", Integer(2);
    MS_VALIDITY = 0x1204, "ms_validity", Octets(1, 4);
    ALERT_ON_MESSAGE_DELIVERY = 0x130C, "alert_on_message_delivery", Octets(0, 1);
    ITS_REPLY_TYPE = 0x1380, "its_reply_type", Integer(1);
    ITS_SESSION_INFO = 0x1383, "its_session_info", Octets(2, 2);
}

impl Tag {
    /// The tag of a name such as `message_payload`.
    pub fn from_name(name: &str) -> Option<Tag> {
        Self::ALL
            .iter()
            .copied()
            .find(|tag| tag.name() == Some(name))
    }

    /// Whether the tag lies in the range left to vendors, 0x1400 to 0x3FFF.
    pub const fn is_vendor(self) -> bool {
        matches!(self.0, 0x1400..=0x3FFF)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "0x{:04X}", self.0),
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One optional parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// What it is.
    pub tag: Tag,
    /// Its value, as many octets as its length says.
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The value as a number when it has 1 to 4 octets.
    pub fn number(&self) -> Option<u32> {
        let grows = matches!(self.value.len(), 1..=4);
        grows.then(|| {
            self.value
                .iter()
                .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
        })
    }

    /// The value up to its first NUL, for tags whose value is a C-octet string; some peers leave
    /// the NUL out.
    pub fn text(&self) -> &'a [u8] {
        let end = self
            .value
            .iter()
            .position(|octet| *octet == 0)
            .unwrap_or(self.value.len());
        &self.value[..end]
    }

    /// Whether the length is one the specification allows; unknown tags may have any.
    pub fn has_valid_length(&self) -> bool {
        let length = self.value.len();
        match self.tag.shape() {
            Some(Shape::Integer(octets)) => length == usize::from(octets),
            Some(Shape::CString(most)) => (1..=usize::from(most)).contains(&length),
            Some(Shape::Octets(least, most)) => {
                (usize::from(least)..=usize::from(most)).contains(&length)
            }
            None => true,
        }
    }
}

/// The optional parameters of a PDU, where they lie in it.
#[derive(Clone, Copy, Default)]
pub struct Tlvs<'a> {
    region: &'a [u8],
    position: usize,
}

impl<'a> Tlvs<'a> {
    /// Parameters encoded one after another, as [`push_tlv`] does.
    pub const fn new(region: &'a [u8]) -> Self {
        Tlvs {
            region,
            position: HEADER,
        }
    }

    /// A region that begins at an octet of a PDU.
    pub(crate) const fn at(region: &'a [u8], position: usize) -> Self {
        Tlvs { region, position }
    }

    /// The region's octets, damaged ones included.
    pub const fn octets(&self) -> &'a [u8] {
        self.region
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.region.is_empty()
    }

    /// The parameters in their order, up to the first that is damaged.
    pub fn iter(&self) -> Iter<'a> {
        Iter { rest: self.region }
    }

    /// The value of the first parameter with this tag.
    pub fn get(&self, tag: Tag) -> Option<&'a [u8]> {
        self.find(tag).map(|tlv| tlv.value)
    }

    /// user_message_reference (SMPP 3.4 §5.3.2.17), if it has its two octets.
    pub fn user_message_reference(&self) -> Option<u16> {
        let value = self.get(Tag::USER_MESSAGE_REFERENCE)?;
        value.try_into().ok().map(u16::from_be_bytes)
    }

    /// The first parameter with this tag.
    pub fn find(&self, tag: Tag) -> Option<Tlv<'a>> {
        self.iter().find(|tlv| tlv.tag == tag)
    }

    /// Whether the region consists of whole parameters only.
    pub fn check(&self) -> Result<(), DecodeError> {
        let mut iter = self.iter();
        while iter.next().is_some() {}
        let left = iter.rest.len();
        if left == 0 {
            return Ok(());
        }
        let wanted = match iter.rest {
            [_, _, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => 4,
        };
        let position = self.position + self.region.len() - left;
        Err(DecodeError {
            field: "tlv",
            position,
            problem: Problem::Truncated { wanted, left },
        })
    }
}

/// Equal by octets, wherever in a PDU they lie.
impl PartialEq for Tlvs<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.region == other.region
    }
}

impl Eq for Tlvs<'_> {}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|tlv| (tlv.tag, tlv.value)))
            .finish()
    }
}

impl<'a> IntoIterator for &Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Optional parameters one after another; see [`Tlvs::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Tlv<'a>;

    #[inline]
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Tlv {
            tag: Tag(u16::from_be_bytes([head[0], head[1]])),
            value,
        })
    }
}

/// Appends one optional parameter.
pub fn push_tlv(out: &mut Vec<u8>, tag: Tag, value: &[u8]) -> Result<(), EncodeError> {
    let limit = usize::from(u16::MAX);
    let Ok(length) = u16::try_from(value.len()) else {
        let field = tag.name().unwrap_or("tlv");
        return Err(EncodeError::TooLong {
            field,
            length: value.len(),
            limit,
        });
    };
    out.extend_from_slice(&tag.0.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn two() -> Vec<u8> {
        let mut region = Vec::new();
        push_tlv(&mut region, Tag::USER_MESSAGE_REFERENCE, &[1, 2]).unwrap();
        push_tlv(&mut region, Tag(0x1401), b"vendor").unwrap();
        region
    }

    #[test]
    fn parameters_are_found_by_tag_and_unknown_ones_are_kept() {
        let region = two();
        let tlvs = Tlvs::new(&region);
        assert_eq!(
            tlvs.find(Tag::USER_MESSAGE_REFERENCE).unwrap().number(),
            Some(0x0102)
        );
        assert_eq!(tlvs.get(Tag(0x1401)), Some(&b"vendor"[..]));
        assert!(Tag(0x1401).is_vendor());
        assert_eq!(tlvs.get(Tag::MESSAGE_PAYLOAD), None);
        assert_eq!(tlvs.check(), Ok(()));
    }

    #[test]
    fn damage_hides_nothing_that_lies_before_it() {
        let region = two();
        for cut in 7..region.len() {
            let tlvs = Tlvs::new(&region[..cut]);
            assert_eq!(tlvs.iter().count(), 1);
            let error = tlvs.check().unwrap_err();
            assert_eq!((error.field, error.position), ("tlv", 16 + 6));
        }
        assert!(Tlvs::new(&region[..6]).check().is_ok());
    }

    #[test]
    fn text_ends_at_its_nul_or_without_one() {
        let id = |value| Tlv {
            tag: Tag::RECEIPTED_MESSAGE_ID,
            value,
        };
        assert_eq!(id(&b"abc\0"[..]).text(), b"abc");
        assert_eq!(id(&b"abc"[..]).text(), b"abc");
        assert!(id(&b"abc\0"[..]).has_valid_length());
        assert!(!id(&b""[..]).has_valid_length());
    }

    #[test]
    fn a_value_too_long_for_its_length_field_is_refused() {
        let mut out = Vec::new();
        let error = push_tlv(&mut out, Tag::MESSAGE_PAYLOAD, &[0; 65_536]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "message_payload has 65536 octets, at most 65535 are allowed"
        );
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_its_order(
            parameters in vec((any::<u16>(), vec(any::<u8>(), 0..300)), 0..8)
        ) {
            let mut region = Vec::new();
            for (tag, value) in &parameters {
                push_tlv(&mut region, Tag(*tag), value).unwrap();
            }
            let tlvs = Tlvs::new(&region);
            prop_assert_eq!(tlvs.check(), Ok(()));
            let read: Vec<_> = tlvs.iter().map(|tlv| (tlv.tag.0, tlv.value.to_vec())).collect();
            prop_assert_eq!(&read, &parameters);
            for (tag, _) in &parameters {
                let first = parameters.iter().find(|(other, _)| other == tag).map(|(_, v)| &v[..]);
                prop_assert_eq!(tlvs.get(Tag(*tag)), first);
            }
        }

        #[test]
        fn any_octets_are_whole_parameters_and_at_most_one_damaged(region: Vec<u8>) {
            let tlvs = Tlvs::new(&region);
            let whole: usize = tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum();
            match tlvs.check() {
                Ok(()) => prop_assert_eq!(whole, region.len()),
                Err(error) => prop_assert_eq!(error.position, HEADER + whole),
            }
        }
    }

    #[test]
    fn the_table_ascends_and_names_lead_back() {
        assert!(Tag::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for tag in Tag::ALL {
            assert_eq!(Tag::from_name(&tag.to_string()), Some(*tag));
        }
        assert_eq!(Tag(0x9999).to_string(), "0x9999");
    }
}
