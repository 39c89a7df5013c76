//! Names that an SMSC's vendor gives to TLVs and to values of command_status, beside those of the
//! specification (SMPP 3.4 §5.3.2 leaves tags 0x1400 to 0x3FFF to vendors, §5.1.3 the codes 0x400
//! to 0x4FF).

use std::borrow::Cow;

use super::{Status, Tag};

/// Names of one vendor. The specification's go before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Of TLVs.
    pub tags: Vec<(Tag, Box<str>)>,
    /// Of values of command_status.
    pub statuses: Vec<(Status, Box<str>)>,
}

impl Names {
    /// The name of a tag, if it has one.
    pub fn tag(&self, tag: Tag) -> Option<&str> {
        let own = || self.tags.iter().find(|(known, _)| *known == tag);
        tag.name().or_else(|| own().map(|(_, name)| &**name))
    }

    /// The tag of a name.
    pub fn tag_of(&self, name: &str) -> Option<Tag> {
        let own = || self.tags.iter().find(|(_, known)| **known == *name);
        Tag::from_name(name).or_else(|| own().map(|(tag, _)| *tag))
    }

    /// The name of a command_status, or its number in hexadecimal.
    pub fn status(&self, status: Status) -> Cow<'_, str> {
        match self.known_status(status) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(status.to_string()),
        }
    }

    /// The name of a command_status, if it has one.
    pub fn known_status(&self, status: Status) -> Option<&str> {
        let own = || self.statuses.iter().find(|(known, _)| *known == status);
        status.name().or_else(|| own().map(|(_, name)| &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_names_stand_beside_those_of_the_specification() {
        let names = Names {
            tags: vec![
                (Tag(0x1401), "operator_id".into()),
                (Tag::SOURCE_PORT, "mine".into()),
            ],
            statuses: vec![(Status(0x0410), "ESME_RBLOCKED".into())],
        };
        assert_eq!(names.tag(Tag(0x1401)), Some("operator_id"));
        assert_eq!(names.tag(Tag(0x1402)), None);
        assert_eq!(names.tag(Tag::SOURCE_PORT), Some("source_port"));
        assert_eq!(names.tag_of("operator_id"), Some(Tag(0x1401)));
        assert_eq!(names.tag_of("dest_port"), Some(Tag::DEST_PORT));
        assert_eq!(names.status(Status(0x0410)), "ESME_RBLOCKED");
        assert_eq!(names.status(Status(0x0411)), "0x00000411");
        assert_eq!(names.status(Status::ROK), "ESME_ROK");
    }
}
