//! Any octets as a capture of network traffic, pcap or pcapng.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    kafka_smpp::cli::read_capture(octets);
});
