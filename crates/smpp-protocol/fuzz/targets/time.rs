//! SMPP times, dates of receipts and message ids.

#![no_main]

use smpp_protocol::message_id::{Form, Rule};
use smpp_protocol::receipt::When;
use smpp_protocol::time::{self, Time};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(Time::Absolute(zoned)) = time::parse(text) {
        let written = time::absolute(&zoned).expect("it was one before");
        assert_eq!(written.len(), 16);
        let Ok(Time::Absolute(read)) = time::parse(&written) else {
            panic!("{written} was written for {text}");
        };
        assert_eq!(read.timestamp(), zoned.timestamp());
        assert_eq!(read.offset(), zoned.offset());
    }
    let _ = When::parse(text);
    for form in Form::ALL {
        let once = Rule::from(*form).normalise(text);
        // Numbers have become decimal; everything else stays as it is.
        let again = if *form == Form::Hex {
            Form::Text
        } else {
            *form
        };
        assert_eq!(Rule::from(again).normalise(&once), once);
    }
});
