//! Captures made here, of conversations that went well and others.

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use smpp_protocol::frame::push_empty;
use smpp_protocol::{Command, Status};

const ESME: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const SMSC: ([u8; 4], u16) = ([10, 0, 0, 2], 2775);

/// A classic capture of Ethernet frames, one a millisecond.
struct Pcap(Vec<u8>, u32);

impl Pcap {
    fn new() -> Self {
        let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
        Pcap(file, 0)
    }

    fn syn(self, sequence: u32) -> Self {
        self.frame(tcp(ESME, SMSC, sequence, true, b""))
    }

    /// From the ESME to the SMSC.
    fn out(self, sequence: u32, payload: &[u8]) -> Self {
        self.frame(tcp(ESME, SMSC, sequence, false, payload))
    }

    /// From the SMSC to the ESME.
    fn back(self, sequence: u32, payload: &[u8]) -> Self {
        self.frame(tcp(SMSC, ESME, sequence, false, payload))
    }

    fn frame(mut self, frame: Vec<u8>) -> Self {
        self.1 += 1000;
        let length = frame.len() as u32;
        for word in [1_800_000_000, self.1, length, length] {
            self.0.extend(u32::to_le_bytes(word));
        }
        self.0.extend(frame);
        self
    }
}

fn tcp(
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
    sequence: u32,
    syn: bool,
    payload: &[u8],
) -> Vec<u8> {
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, sequence, 8192);
    let packet = if syn { packet.syn() } else { packet };
    let mut frame = Vec::new();
    packet.write(&mut frame, payload).unwrap();
    frame
}

/// enquire_link requests with these sequence numbers.
fn pdus(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut octets = Vec::new();
    for number in numbers {
        push_empty(Command::ENQUIRE_LINK, Status::ROK, number, &mut octets);
    }
    octets
}

/// What is found: the sequence_number of each PDU, or what is wrong.
fn told(file: &[u8]) -> (Vec<String>, Summary) {
    let mut all = Vec::new();
    let summary = read(file, |found| {
        all.push(match found.fault {
            Some(fault) => format!("{} ({})", fault.code, found.octets.len()),
            None => found.octets[15].to_string(),
        });
        Ok(())
    });
    (all, summary.unwrap())
}

#[test]
fn each_pdu_comes_with_its_connection_direction_and_time() {
    let capture = Pcap::new()
        .syn(99)
        .out(100, &pdus([1, 2])[..20])
        .back(500, &pdus([7]))
        .out(120, &pdus([1, 2])[20..]);
    let mut all = Vec::new();
    read(&capture.0[..], |found| {
        all.push(format!("{} {}", found.octets[15], found.origin));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        all,
        [
            "1 2027-01-15T08:00:00.002Z  10.0.0.1:40000 > 10.0.0.2:2775  packet 2",
            "7 2027-01-15T08:00:00.003Z  10.0.0.2:2775 > 10.0.0.1:40000  packet 3",
            "2 2027-01-15T08:00:00.004Z  10.0.0.1:40000 > 10.0.0.2:2775  packet 4",
        ]
    );
}

#[test]
fn segments_come_twice_overlapping_and_out_of_order() {
    let octets = pdus(1..=4);
    let start = u32::MAX - 20;
    let at = |index: u32| start.wrapping_add(index);
    let capture = Pcap::new()
        .syn(start.wrapping_sub(1))
        .syn(start.wrapping_sub(1))
        .out(at(0), &octets[..16])
        .out(at(40), &octets[40..])
        .out(at(0), &octets[..16])
        .out(at(24), &octets[24..48])
        .out(at(8), &octets[8..30])
        .out(at(16), &octets[16..40]);
    let (told, summary) = told(&capture.0);
    assert_eq!(told, ["1", "2", "3", "4"]);
    assert_eq!((summary.packets, summary.pdus, summary.skipped), (8, 4, 0));
}

#[test]
fn a_capture_that_begins_inside_a_pdu_is_read_from_the_next() {
    let capture = Pcap::new().out(7, &pdus([1, 2, 3])[5..]);
    let (told, summary) = told(&capture.0);
    assert_eq!(told, ["2", "3"]);
    assert_eq!(summary.skipped, 11);
}

#[test]
fn what_was_not_captured_is_told_and_reading_goes_on() {
    let octets = pdus(1..=4);
    let capture = Pcap::new()
        .syn(99)
        .out(100, &octets[..20])
        .out(140, &octets[40..]);
    assert_eq!(told(&capture.0).0, ["1", "not_captured (4)", "4"]);
    // A capture without end does not wait for ever.
    let many = pdus(0..5000);
    let mut capture = Pcap::new().syn(99).out(100, &octets[..16]);
    for (index, part) in many.chunks(1600).enumerate() {
        capture = capture.out(132 + 1600 * index as u32, part);
    }
    let (told, summary) = told(&capture.0);
    assert_eq!(told[..3], ["1", "not_captured (0)", "0"]);
    assert_eq!(summary.pdus, 5001);
}

#[test]
fn a_stream_that_ends_inside_a_pdu_and_one_out_of_step_are_told() {
    let capture = Pcap::new().syn(99).out(100, &pdus([1, 2])[..30]);
    assert_eq!(told(&capture.0).0, ["1", "cut_off (14)"]);
    let octets = [pdus([1]), b"\xFF\xFFsomething else.".to_vec(), pdus([2])].concat();
    let capture = Pcap::new().syn(99).out(100, &octets);
    assert_eq!(told(&capture.0).0, ["1", "out_of_step (16)", "2"]);
}

#[test]
fn the_same_ports_again_are_another_connection() {
    let capture = Pcap::new()
        .syn(99)
        .out(100, &pdus([1]))
        .syn(5000)
        .out(5001, &pdus([2]));
    assert_eq!(told(&capture.0).0, ["1", "2"]);
}

#[test]
fn other_traffic_gives_nothing() {
    let capture = Pcap::new()
        .syn(99)
        .out(100, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        .frame(vec![0; 60])
        .frame(vec![]);
    let (told, summary) = told(&capture.0);
    assert!(told.is_empty());
    assert_eq!((summary.packets, summary.skipped), (4, 37));
}

#[test]
fn a_file_that_ends_inside_a_packet_is_read_so_far() {
    let capture = Pcap::new()
        .syn(99)
        .out(100, &pdus([1]))
        .out(116, &pdus([2]));
    let (told, summary) = told(&capture.0[..capture.0.len() - 3]);
    assert_eq!(told, ["1"]);
    assert!(summary.cut);
}

/// Blocks of pcapng in big-endian order.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (padded as u32 + 12).to_be_bytes();
    let mut block = [kind.to_be_bytes(), length].concat();
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

#[test]
fn pcapng_has_interfaces_each_with_its_link_and_clock() {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
    let section = words(&[0x1A2B_3C4D, 0x0001_0000, u32::MAX, u32::MAX]);
    // Ethernet in microseconds; raw IP in nanoseconds (if_tsresol 9).
    let ethernet = words(&[1 << 16, 0]);
    let raw = words(&[101 << 16, 0, 0x0009_0001, 0x0900_0000, 0]);
    let packet = |interface: u32, time: u64, frame: &[u8]| {
        let length = frame.len() as u32;
        let header = [interface, (time >> 32) as u32, time as u32, length, length];
        block(6, &[words(&header), frame.to_vec()].concat())
    };
    let first = tcp(ESME, SMSC, 100, false, &pdus([1]));
    let second = tcp(ESME, SMSC, 116, false, &pdus([2]));
    let file = [
        block(0x0A0D_0D0A, &section),
        block(1, &ethernet),
        block(1, &raw),
        packet(0, 1_800_000_000_000_001, &first),
        packet(1, 1_800_000_000_000_000_002, &second[14..]),
        packet(7, 0, &first),
    ]
    .concat();
    assert!(is_capture(&file));
    let mut all = Vec::new();
    let summary = read(&file[..], |found| {
        let at = found.origin.at.map(|at| at.to_string());
        all.push((found.octets[15], at.unwrap()));
        Ok(())
    });
    assert_eq!(
        all,
        [
            (1, "2027-01-15T08:00:00.000001Z".to_owned()),
            (2, "2027-01-15T08:00:00.000000002Z".to_owned()),
        ]
    );
    assert_eq!(summary.unwrap().packets, 2);
}

#[test]
fn a_link_that_is_not_read_is_named_as_the_reason() {
    let mut capture = Pcap::new().syn(99).0;
    capture[20] = 105;
    let error = read(&capture[..], |_| Ok(())).unwrap_err();
    assert!(error.text().contains("Ethernet"), "{}", error.text());
    assert!(error.text().contains("link type 105 "), "{}", error.text());
}

#[test]
fn a_block_shorter_than_its_own_lengths_is_damage() {
    let section = b"\x0A\x0D\x0D\x0A\x1C\0\0\0\x4D\x3C\x2B\x1A\x01\0\0\0\
        \xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1C\0\0\0";
    for length in [8, 11] {
        let process_information = [1, 0, 0, 0x80, length, 0, 0, 0, 0, 0, 0, 0];
        for cut in [8, 11, 12] {
            let file = [&section[..], &process_information[..cut]].concat();
            let (told, summary) = told(&file);
            assert!(summary.damage.is_some(), "{length}, {cut}: {summary}");
            assert!(told.is_empty());
        }
    }
}

#[test]
fn damage_does_not_hide_what_came_before_it() {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
    let mut file = block(
        0x0A0D_0D0A,
        &words(&[0x1A2B_3C4D, 0x0001_0000, u32::MAX, u32::MAX]),
    );
    file.extend(block(1, &words(&[1 << 16, 0])));
    for number in 0..60 {
        let frame = tcp(ESME, SMSC, 100 + 16 * number, false, &pdus([number]));
        let length = frame.len() as u32;
        let header = words(&[0, 0, 0, length, length]);
        file.extend(block(6, &[header, frame].concat()));
    }
    // Half a PDU, of which the rest is lost.
    let frame = tcp(ESME, SMSC, 100 + 16 * 60, false, &pdus([60])[..9]);
    let length = frame.len() as u32;
    file.extend(block(
        6,
        &[words(&[0, 0, 0, length, length]), frame].concat(),
    ));
    let whole: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    for (damage, said) in [
        (words(&[6, 8, 0, 0]), "shorter than its own lengths"),
        (words(&[6, 0x7FFF_FFF0, 0, 0]), "ends inside a packet"),
        (words(&[6, 24, 0, 0, 0, 24]), ""),
        (block(6, &words(&[0, 0, 0, 4000, 4000])), ""),
        (vec![0; 5], "ends inside a packet"),
    ] {
        let (told, summary) = told(&[&file[..], &damage].concat());
        assert_eq!(told[..60], whole, "{summary}");
        assert_eq!(told[60..], ["cut_off (9)"], "{summary}");
        assert!(summary.is_damaged(), "{summary}");
        assert!(summary.to_string().contains(said), "{summary}: {said}");
    }
}

#[test]
fn what_a_capture_holds_instead_of_smpp_is_said() {
    let said = |capture: Pcap| told(&capture.0).1.to_string();
    assert_eq!(said(Pcap::new()), "0 packets, 0 PDUs");
    assert_eq!(said(Pcap::new().out(9, &pdus([1]))), "1 packet, 1 PDU");
    let tls = Pcap::new()
        .syn(99)
        .out(100, b"\x16\x03\x01\0\x4A\x01\0\0\x46\x03\x03");
    assert_eq!(
        said(tls),
        "2 packets, 0 PDUs; 11 octets of TCP before any PDU; a stream without PDUs looks like TLS"
    );
    let mut fragment = tcp(ESME, SMSC, 100, false, &pdus([1]));
    fragment[20] |= 0x20;
    let udp = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(ESME.0, SMSC.0, 64)
        .udp(53, 53);
    let mut query = Vec::new();
    udp.write(&mut query, b"who?").unwrap();
    assert_eq!(
        said(Pcap::new().frame(fragment).frame(query)),
        "2 packets, 0 PDUs; 1 fragment of IP packets, which are not put together; without TCP: 1 packet"
    );
}

/// What is found when the packets of PDU 1 and 2 are of such a link and `wrapped` so.
fn through(link: u16, wrapped: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<String> {
    let mut capture = Pcap::new();
    capture.0[20..22].copy_from_slice(&link.to_le_bytes());
    for number in [1, 2] {
        let frame = tcp(ESME, SMSC, 100 + 16 * (number - 1), false, &pdus([number]));
        capture = capture.frame(wrapped(frame));
    }
    told(&capture.0).0
}

#[test]
fn packets_are_found_in_many_wrappings() {
    let before = |header: &'static [u8]| move |f: Vec<u8>| [header, &f[14..]].concat();
    let tagged = |tags: &'static [u8]| move |f: Vec<u8>| [&f[..12], tags, &f[12..]].concat();
    let ipv6 = |f: Vec<u8>| {
        let payload = f.len() - 34 + 8;
        // Hop-by-hop options before TCP.
        let header = [&[0x60, 0, 0, 0, 0, payload as u8, 0, 64][..], &[7; 32]].concat();
        [&header, &[6, 0, 1, 4, 0, 0, 0, 0][..], &f[34..]].concat()
    };
    let of_no_length = |mut f: Vec<u8>| {
        f[16..18].fill(0);
        f
    };
    let with_options = |mut f: Vec<u8>| {
        f[46] = 0x60;
        f[17] += 4;
        f.splice(54..54, [1, 1, 1, 1]);
        f
    };
    let sll = b"\0\0\0\x01\0\x06\x02\x02\x02\x02\x02\x02\0\0\x08\0";
    let sll2 = b"\x08\0\0\0\0\0\0\x02\0\x01\0\x06\x02\x02\x02\x02\x02\x02\0\0";
    let all = [
        ("Linux cooked", through(113, before(sll))),
        ("Linux cooked, version 2", through(276, before(sll2))),
        ("loopback", through(0, before(&[2, 0, 0, 0]))),
        ("a VLAN", through(1, tagged(&[0x81, 0, 0, 9]))),
        (
            "two",
            through(1, tagged(&[0x88, 0xA8, 0, 9, 0x81, 0, 0, 8])),
        ),
        ("IPv6 with options", through(101, ipv6)),
        ("padding", through(1, |f| [f, vec![0; 6]].concat())),
        ("no length, as the card cuts it", through(1, of_no_length)),
        ("options of TCP", through(1, with_options)),
    ];
    for (what, told) in all {
        assert_eq!(told, ["1", "2"], "{what}");
    }
}

#[test]
fn what_a_connection_does_besides_sending_changes_nothing() {
    let capture = Pcap::new()
        .syn(99)
        .out(100, &pdus([1]))
        .out(115, &[1])
        .out(116, &pdus([2]));
    assert_eq!(
        told(&capture.0).0,
        ["1", "2"],
        "a keep-alive of one old octet"
    );
    let capture = Pcap::new()
        .syn(99)
        .out(100, &pdus([1, 3])[..26])
        .syn(7000)
        .out(7001, &pdus([2]));
    assert_eq!(
        told(&capture.0).0,
        ["1", "cut_off (10)", "2"],
        "another connection"
    );
    // Of the second packet 70 octets were captured.
    let mut capture = Pcap::new().out(100, &pdus([1])).out(116, &pdus([2, 3])[..]);
    let second = 24 + 16 + 70;
    capture.0[second + 8..second + 12].copy_from_slice(&70_u32.to_le_bytes());
    capture.0.truncate(second + 16 + 70);
    assert_eq!(told(&capture.0).0, ["1", "2"]);
}

#[test]
fn classic_captures_come_in_both_orders_of_octets_and_damaged() {
    let little = Pcap::new().out(100, &pdus([1])).0;
    let mut big = little.clone();
    let words = [0, 8, 12, 16, 20, 24, 28, 32, 36].map(|at| at..at + 4);
    for word in words.into_iter().chain([4..6, 6..8]) {
        big[word].reverse();
    }
    assert_eq!(told(&big).0, ["1"]);
    assert!(
        read(&little[..23], |_| Ok(())).is_err(),
        "less than its header"
    );
    let mut huge = little.clone();
    huge.extend([
        0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F,
    ]);
    let (told, summary) = told(&huge);
    assert_eq!(told, ["1"]);
    assert!(summary.is_damaged());
}

#[test]
fn pcapng_has_sections_blocks_of_other_kinds_and_odd_clocks() {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
    let section = block(
        0x0A0D_0D0A,
        &words(&[0x1A2B_3C4D, 0x0001_0000, u32::MAX, u32::MAX]),
    );
    let interface = block(1, &words(&[1 << 16, 0]));
    // Units of 2^-127 s (if_tsresol 0xFF).
    let odd = block(1, &words(&[1 << 16, 0, 0x0009_0001, 0xFF00_0000, 0]));
    let frame = |number| tcp(ESME, SMSC, 84 + 16 * number, false, &pdus([number]));
    let simple = |number| {
        let frame = frame(number);
        block(3, &[words(&[frame.len() as u32]), frame].concat())
    };
    let timed = |number| {
        let frame = frame(number);
        let length = frame.len() as u32;
        block(6, &[words(&[0, 7, 7, length, length]), frame].concat())
    };
    let file = [
        section.clone(),
        interface,
        simple(1),
        block(0x8000_0001, &[1, 2, 3, 4]),
        simple(2),
        section,
        odd,
        timed(3),
    ];
    assert_eq!(told(&file.concat()).0, ["1", "2", "3"]);
}

#[test]
fn raw_ip_has_three_numbers() {
    for link in [101, 12, 14, 228] {
        let mut capture = Pcap::new();
        capture.0[20] = link;
        let frame = tcp(ESME, SMSC, 100, false, &pdus([1]))[14..].to_vec();
        assert_eq!(told(&capture.frame(frame).0).0, ["1"], "{link}");
    }
}

#[test]
fn files_that_are_no_capture_are_known() {
    for (begin, what) in [
        (&b"\x1F\x8B\x08\0"[..], "gzip"),
        (b"\x28\xB5\x2F\xFD\x04", "zstd"),
        (b"\xFD7zXZ\0\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"\x34\xCD\xB2\xA1", "Kuznetzov"),
        (b"snoop\0\0\0", "snoop"),
    ] {
        assert!(is_other(begin).unwrap().contains(what), "{what}");
        assert!(!is_capture(begin));
    }
    assert_eq!(is_other(b"0000001000"), None);
    assert_eq!(is_other(&Pcap::new().0), None);
}

proptest! {
    #[test]
    fn any_cut_any_order_and_any_repeats_give_the_same_pdus(
        cuts in prop::collection::vec(1..63_usize, 0..6),
        order in any::<prop::sample::Index>(),
        repeat in any::<prop::sample::Index>(),
    ) {
        let octets = pdus(1..=4);
        let mut cuts = cuts;
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1]).collect();
        parts.push(parts[repeat.index(parts.len())].clone());
        let turn = order.index(parts.len());
        parts.rotate_left(turn);
        let mut capture = Pcap::new().syn(99);
        for part in parts {
            capture = capture.out(100 + part.start as u32, &octets[part]);
        }
        prop_assert_eq!(told(&capture.0).0, ["1", "2", "3", "4"]);
    }

    #[test]
    fn any_octets_are_read_to_an_end(octets in prop::collection::vec(any::<u8>(), 0..300), kind in 0..5_usize) {
        let magic = [
            0xA1B2_C3D4_u32.to_be_bytes(),
            0xD4C3_B2A1_u32.to_be_bytes(),
            0xA1B2_3C4D_u32.to_be_bytes(),
            0x4D3C_B2A1_u32.to_be_bytes(),
            0x0A0D_0D0A_u32.to_be_bytes(),
        ][kind];
        let _ = read(&[&magic, &octets[..]].concat()[..], |_| Ok(()));
    }

    #[test]
    fn a_damaged_capture_is_read_to_an_end(at in 0..200_usize, by: u8) {
        let mut capture = Pcap::new().syn(99).out(100, &pdus(1..=3)).0;
        let at = at % capture.len();
        capture[at] ^= by;
        let _ = read(&capture[..], |_| Ok(()));
    }
}
