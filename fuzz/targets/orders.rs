//! The body of `POST /steer`, and a record of the control topic: refused with a reason, or what it
//! writes is read as the same order.

#![no_main]

use kafka_smpp::fuzzing::orders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| orders(octets));
