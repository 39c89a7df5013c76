//! Optional parameters: walking them never leaves the region, and whole ones are written as they
//! were read.

#![no_main]

use smpp_protocol::{Concatenation, Tlvs, tlv};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|region: &[u8]| {
    let tlvs = Tlvs::new(region);
    let mut again = Vec::new();
    for tlv in &tlvs {
        assert!(tlv.value.starts_with(tlv.text()));
        let _ = (tlv.number(), tlv.has_valid_length(), tlv.tag.is_vendor());
        let found = tlvs.find(tlv.tag).map(|first| first.tag);
        assert_eq!(found, Some(tlv.tag));
        tlv::push_tlv(&mut again, tlv.tag, tlv.value).expect("it had a length before");
    }
    assert!(region.starts_with(&again));
    match tlvs.check() {
        Ok(()) => assert_eq!(again, region),
        Err(error) => {
            assert_eq!(error.position, 16 + again.len());
            assert!(again.len() < region.len());
        }
    }
    if let Some(part) = Concatenation::of_sar(&tlvs) {
        let mut written = Vec::new();
        part.push_sar(&mut written).expect("three short parameters");
        assert_eq!(Concatenation::of_sar(&Tlvs::new(&written)), Some(part));
    }
});
