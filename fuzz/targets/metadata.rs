//! What stands beside a committed offset. Its checksum keeps damage out, so that alone would keep
//! a fuzzer out too: it is put right here, and everything behind it must hold.

#![no_main]

use kafka_smpp::kafka::progress::{CommitScope, metadata};
use libfuzzer_sys::fuzz_target;

const HERE: CommitScope<'static> = CommitScope {
    cluster: "c",
    topic: "sms.outbound",
    partition: 3,
};

fuzz_target!(|input: (i64, &str)| {
    let (offset, line) = input;
    let _ = metadata::decode(offset, line, &HERE);
    let body = format!("1 {line}");
    let line = format!("{body} c{:08x}", checksum(offset, &body));
    let Ok(read) = metadata::decode(offset, &line, &HERE) else {
        return;
    };
    let progress = &read.progress;
    assert_eq!(progress.base(), offset);
    assert!(progress.reserved() >= offset);
    let written = metadata::encode(progress, &HERE, &read.transactional_id, read.cycle);
    let again = metadata::decode(offset, &written, &HERE);
    if !read.transactional_id.contains(' ') {
        let again = again.expect("what we wrote");
        assert_eq!(again.progress.reserved(), progress.reserved());
        assert_eq!(again.progress.known_end(), progress.known_end());
    }
});

/// As the documentation of the format has it.
fn checksum(offset: i64, body: &str) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for part in [HERE.cluster, HERE.topic] {
        crc.update(part.as_bytes());
        crc.update(&[0]);
    }
    crc.update(&HERE.partition.to_be_bytes());
    crc.update(&offset.to_be_bytes());
    crc.update(body.as_bytes());
    crc.finalize()
}
