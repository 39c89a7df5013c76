//! Progress as the metadata of a committed offset.
//!
//! One line of ASCII, fields apart by a blank, each a letter and its value:
//!
//! ```text
//! 1 wkafka-smpp.submit.7f3a n41 r120 a3x1.2x0.1x2 f4.1.12 h2.40 c9ae0b1c2
//! │ │                       │   │    │            │       │     └ CRC-32, hexadecimal
//! │ │                       │   │    │            │       └ held: run lengths
//! │ │                       │   │    │            └ finished: run lengths, or F + Base64 bitmap
//! │ │                       │   │    └ attempts of the unfinished records, run by run
//! │ │                       │   └ reservation, relative to the committed offset
//! │ │                       └ number of the producer's transaction
//! │ └ the producer's transactional.id
//! └ version
//! ```
//!
//! Three more are there when they have something to say: `s80`, records up to 80 above the
//! committed offset may be duplicates; `tmgj6k3gb`, the youngest timestamp among the records read
//! (Unix milliseconds in base 36); `e8`, the 8 records behind the reservation, which nobody had
//! read, may be sent once they are. A line with the last is of version 2, because who does not know
//! it would send these as new; all others are of version 1.
//!
//! The checksum covers the cluster id, the topic, the partition and the committed offset
//! besides the line itself: an offset that a tool translated or copied (MirrorMaker 2, a
//! script) carries the metadata of another log, and must not be believed.
//!
//! Held records go along the unfinished offsets below the reservation: `2.40` is two that may be
//! under way, then forty that are held, and what follows may be under way. They take what room
//! the rest leaves; where it is too small the shortest runs of held records are left out, which
//! can only make a successor more careful. A version that does not know the field takes them for
//! records under way.
//!
//! A reader skips fields it does not know, so that a newer version can add some; it refuses
//! another version number, which is raised only when skipping would be wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use thiserror::Error;

use super::{Limits, Progress, Runs};

/// Characters the attempts may take. Attempts come in few runs (a window was lost, a crash
/// left a stretch in doubt); in the worst case neighbouring runs are merged upwards, which
/// can only make the connector more careful, never send a record more often.
pub const ATTEMPTS_BUDGET: usize = 400;

const VERSION: &str = "1";

/// The version of a line that says what is reserved ahead.
const VERSION_AHEAD: &str = "2";

/// Runs of attempts and of held records are over single records: more than any metadata could
/// stand for, which is some 20,000, is damage, and must not become a loop.
const MOST_RECORDS: u64 = 100_000;

/// Characters of the checksum and the blank before it.
const CHECKSUM: usize = 10;

/// Which log an offset belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitScope<'a> {
    /// The cluster's id, as the brokers give it.
    pub cluster: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
}

impl CommitScope<'_> {
    fn checksum(&self, offset: i64, line: &str) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for part in [self.cluster.as_bytes(), self.topic.as_bytes()] {
            crc.update(part);
            crc.update(&[0]);
        }
        crc.update(&self.partition.to_be_bytes());
        crc.update(&offset.to_be_bytes());
        crc.update(line.as_bytes());
        crc.finalize()
    }
}

/// What committed metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The partition's progress.
    pub progress: Progress,
    /// The transactional.id of the producer that committed it.
    pub transactional_id: String,
    /// That producer's transaction number: tells whether a transaction with unknown outcome
    /// was committed.
    pub cycle: u64,
}

/// Why metadata cannot be believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// Written by a version this one cannot read.
    #[error("its version is {0:?}, this program reads versions {VERSION} and {VERSION_AHEAD}")]
    Version(String),
    /// Not what this program writes.
    #[error("it does not read as progress metadata: {0}")]
    Malformed(&'static str),
    /// It belongs to another cluster, topic, partition or offset, or was damaged.
    #[error(
        "its checksum does not fit this cluster, topic, partition and offset (was the offset copied or translated from elsewhere?)"
    )]
    Foreign,
}

/// Writes the metadata to commit beside `progress.base()`.
pub fn encode(
    progress: &Progress,
    scope: &CommitScope<'_>,
    transactional_id: &str,
    cycle: u64,
) -> String {
    let base = progress.base;
    let ahead = progress.ahead - progress.reserved;
    let version = if ahead > 0 { VERSION_AHEAD } else { VERSION };
    let mut line = format!(
        "{version} w{transactional_id} n{cycle} r{}",
        progress.reserved - base
    );
    if ahead > 0 {
        line.push_str(&format!(" e{ahead}"));
    }
    if progress.suspect_until > base {
        line.push_str(&format!(" s{}", progress.suspect_until - base));
    }
    if let Some(newest) = progress.newest.and_then(|at| u64::try_from(at).ok()) {
        line.push_str(" t");
        push_radix36(&mut line, newest);
        line.pop();
    }
    encode_attempts(progress, &mut line);
    encode_finished(&progress.finished, base, &mut line);
    encode_held(progress, &mut line);
    let crc = scope.checksum(base, &line);
    line.push_str(&format!(" c{crc:08x}"));
    line
}

/// Reads metadata committed at `offset`.
pub fn decode(offset: i64, line: &str, scope: &CommitScope<'_>) -> Result<Restored, MetadataError> {
    use MetadataError::Malformed;
    let version = line.split(' ').next().unwrap_or_default();
    if version != VERSION && version != VERSION_AHEAD {
        let shown: String = version.chars().take(12).collect();
        return Err(MetadataError::Version(shown));
    }
    let (body, crc) = line.rsplit_once(" c").ok_or(Malformed("no checksum"))?;
    let crc = u32::from_str_radix(crc, 16).map_err(|_| Malformed("checksum"))?;
    if scope.checksum(offset, body) != crc {
        return Err(MetadataError::Foreign);
    }
    let (mut transactional_id, mut cycle, mut reserved) = (None, 0, 0);
    let (mut ahead, mut suspect, mut newest) = (0, 0, None);
    let (mut attempts, mut finished, mut held) = (Vec::new(), Runs::default(), Vec::new());
    for field in body.split(' ').skip(1) {
        let Some(tag) = field.chars().next() else {
            continue;
        };
        let value = &field[tag.len_utf8()..];
        match tag {
            'w' => transactional_id = Some(value.to_owned()),
            'n' => cycle = value.parse().map_err(|_| Malformed("transaction number"))?,
            'r' => reserved = value.parse().map_err(|_| Malformed("reservation"))?,
            'e' => ahead = value.parse().map_err(|_| Malformed("reservation ahead"))?,
            's' => suspect = value.parse().map_err(|_| Malformed("suspicion"))?,
            't' => newest = Some(i64::from_str_radix(value, 36).map_err(|_| Malformed("time"))?),
            'a' => attempts = decode_attempts(value)?,
            'f' => finished = decode_runs(value, offset)?,
            'F' => finished = decode_bitmap(value, offset)?,
            'h' => held = decode_held(value)?,
            _ => {}
        }
    }
    let above = |distance: i64| offset.checked_add(distance).filter(|e| *e >= offset);
    let reserved = above(reserved).ok_or(Malformed("reservation"))?;
    let mut progress = Progress {
        base: offset,
        finished,
        reserved,
        ahead: reserved
            .checked_add(ahead)
            .filter(|end| *end >= reserved)
            .ok_or(Malformed("reservation ahead"))?,
        attempts: Default::default(),
        held: Runs::default(),
        suspect_until: above(suspect).ok_or(Malformed("suspicion"))?,
        newest,
    };
    apply_attempts(&mut progress, &attempts);
    apply_held(&mut progress, &held);
    Ok(Restored {
        progress,
        transactional_id: transactional_id.ok_or(Malformed("no writer"))?,
        cycle,
    })
}

/// Attempts go along the unfinished offsets in order: `3x1.2x0` is three records with one
/// attempt, then two with none. Trailing zeros are left out.
fn encode_attempts(progress: &Progress, line: &mut String) {
    let Some((&last, _)) = progress.attempts.last_key_value() else {
        return;
    };
    let mut runs: Vec<(u64, u8)> = Vec::new();
    for offset in progress.finished.gaps(progress.base, last + 1) {
        let n = progress.attempts(offset);
        match runs.last_mut() {
            Some((len, count)) if *count == n => *len += 1,
            _ => runs.push((1, n)),
        }
    }
    loop {
        let text = runs
            .iter()
            .map(|(l, n)| format!("{l}x{n}"))
            .collect::<Vec<_>>()
            .join(".");
        if text.len() <= ATTEMPTS_BUDGET {
            line.push_str(" a");
            line.push_str(&text);
            return;
        }
        runs = runs
            .chunks(2)
            .map(|pair| {
                pair.iter()
                    .fold((0, 0), |(l, n), (len, c)| (l + len, n.max(*c)))
            })
            .collect();
    }
}

fn decode_attempts(value: &str) -> Result<Vec<(u64, u8)>, MetadataError> {
    let bad = MetadataError::Malformed("attempts");
    let mut most = MOST_RECORDS;
    value
        .split('.')
        .map(|run| {
            let (len, n) = run.split_once('x').ok_or(bad.clone())?;
            let len: u64 = len.parse().map_err(|_| bad.clone())?;
            most = most.checked_sub(len).ok_or(bad.clone())?;
            Ok((len, n.parse().map_err(|_| bad.clone())?))
        })
        .collect()
}

fn apply_attempts(progress: &mut Progress, runs: &[(u64, u8)]) {
    let mut counts = runs
        .iter()
        .flat_map(|&(len, n)| std::iter::repeat_n(n, len as usize));
    let mut attempts = std::collections::BTreeMap::new();
    for offset in progress.finished.gaps(progress.base, i64::MAX) {
        let Some(n) = counts.next() else { break };
        if n > 0 {
            attempts.insert(offset, n);
        }
    }
    progress.attempts = attempts;
}

fn encode_finished(finished: &Runs, base: i64, line: &mut String) {
    let Some(end) = finished.end() else { return };
    let mut runs = String::new();
    let mut at = base;
    for (start, stop) in finished.iter() {
        push_radix36(&mut runs, (start - at) as u64);
        push_radix36(&mut runs, (stop - start) as u64);
        at = stop;
    }
    runs.pop();
    let octets = usize::try_from(end - base)
        .unwrap_or(usize::MAX)
        .div_ceil(8);
    if runs.len() <= octets.saturating_mul(4) / 3 {
        line.push_str(" f");
        line.push_str(&runs);
        return;
    }
    let mut bits = vec![0u8; octets];
    for (start, stop) in finished.iter() {
        for bit in (start - base) as usize..(stop - base) as usize {
            bits[bit / 8] |= 0x80 >> (bit % 8);
        }
    }
    line.push_str(" F");
    BASE64.encode_string(&bits, line);
}

/// The lengths of the runs of unfinished records below the reservation: under way, held, under
/// way, and so on, up to the last that is held.
fn held_runs(progress: &Progress) -> Vec<u64> {
    let mut runs = vec![0u64];
    for offset in progress.unfinished() {
        let held = progress.held.contains(offset);
        if held != runs.len().is_multiple_of(2) {
            runs.push(0);
        }
        if let Some(last) = runs.last_mut() {
            *last += 1;
        }
    }
    if runs.len() % 2 == 1 {
        runs.pop();
    }
    runs
}

fn encode_held(progress: &Progress, line: &mut String) {
    if progress.held.end().is_none() {
        return;
    }
    let mut runs = held_runs(progress);
    let room = Limits::default()
        .metadata
        .saturating_sub(line.len() + CHECKSUM);
    while !runs.is_empty() {
        let mut text = String::from(" h");
        for run in &runs {
            push_radix36(&mut text, *run);
        }
        text.pop();
        if text.len() <= room {
            line.push_str(&text);
            return;
        }
        runs = without_shortest(&runs, (text.len() - room).div_ceil(4).max(1));
    }
}

/// The runs without the `count` shortest of those that are held, which count as under way.
fn without_shortest(runs: &[u64], count: usize) -> Vec<u64> {
    let mut held: Vec<(u64, usize)> = (1..runs.len()).step_by(2).map(|i| (runs[i], i)).collect();
    held.sort_unstable();
    held.truncate(count);
    let dropped: std::collections::BTreeSet<usize> = held.into_iter().map(|(_, i)| i).collect();
    let mut left = vec![0u64];
    for (index, run) in runs.iter().enumerate() {
        let is_held = index % 2 == 1 && !dropped.contains(&index);
        if is_held != left.len().is_multiple_of(2) {
            left.push(0);
        }
        if let Some(last) = left.last_mut() {
            *last += run;
        }
    }
    if left.len() % 2 == 1 {
        left.pop();
    }
    left
}

fn decode_held(value: &str) -> Result<Vec<u64>, MetadataError> {
    let bad = MetadataError::Malformed("held");
    let runs: Result<Vec<u64>, _> = value
        .split('.')
        .map(|run| u64::from_str_radix(run, 36))
        .collect();
    runs.map_err(|_| bad)
}

/// Runs that go beyond the reservation say nothing.
fn apply_held(progress: &mut Progress, runs: &[u64]) {
    let mut unfinished = progress.unfinished().take(MOST_RECORDS as usize);
    let mut held = Runs::default();
    for (index, run) in runs.iter().enumerate() {
        // A run longer than a machine's word cannot be walked to its end anyway.
        let run = usize::try_from(*run).unwrap_or(usize::MAX);
        for offset in unfinished.by_ref().take(run) {
            if index % 2 == 1 {
                held.insert(offset, offset + 1);
            }
        }
    }
    drop(unfinished);
    progress.held = held;
}

fn push_radix36(text: &mut String, mut n: u64) {
    let mut digits = [0u8; 13];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize];
        n /= 36;
        if n == 0 {
            break;
        }
    }
    text.extend(digits[at..].iter().map(|&d| char::from(d)));
    text.push('.');
}

fn decode_runs(value: &str, base: i64) -> Result<Runs, MetadataError> {
    let bad = MetadataError::Malformed("finished runs");
    let mut runs = Runs::default();
    let mut at = base;
    let mut open = true;
    for len in value.split('.') {
        let len = i64::from_str_radix(len, 36).map_err(|_| bad.clone())?;
        let next = at.checked_add(len).filter(|_| len > 0).ok_or(bad.clone())?;
        if !open {
            runs.insert(at, next);
        }
        (at, open) = (next, !open);
    }
    Ok(runs)
}

fn decode_bitmap(value: &str, base: i64) -> Result<Runs, MetadataError> {
    let bad = MetadataError::Malformed("finished bitmap");
    let bits = BASE64.decode(value).map_err(|_| bad.clone())?;
    // What is committed is the lowest unfinished record.
    if bits.first().is_some_and(|octet| octet & 0x80 != 0) {
        return Err(bad);
    }
    let mut runs = Runs::default();
    for bit in 0..bits.len() * 8 {
        if bits[bit / 8] & (0x80 >> (bit % 8)) != 0 {
            let offset = base.checked_add(bit as i64);
            let next = offset.and_then(|offset| offset.checked_add(1));
            let (offset, next) = offset.zip(next).ok_or(bad.clone())?;
            runs.insert(offset, next);
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: CommitScope<'static> = CommitScope {
        cluster: "MkU3OEVBNTcwNTJENDM2Qk",
        topic: "sms.outbound",
        partition: 3,
    };
    const TRANSACTIONAL_ID: &str = "kafka-smpp.submit.0123456789abcdef0123456789abcdef";

    #[test]
    fn reads_as_the_documentation_says() {
        let mut p = Progress::new(1000);
        p.reserve(1010);
        p.finish(1001);
        p.finish(1004);
        p.doubt(1000);
        p.doubt(1003);
        let line = encode(&p, &HERE, "w", 41);
        assert!(
            line.starts_with("1 ww n41 r10 a1x1.1x0.1x1 FSA c"),
            "a bitmap: {line}"
        );
        p.finish_range(1011, 2000);
        let line = encode(&p, &HERE, "w", 42);
        assert!(
            line.contains(" f1.1.2.1.6.rh c"),
            "run lengths are shorter now: {line}"
        );
    }

    #[test]
    fn an_offset_from_elsewhere_is_not_believed() {
        let line = encode(&Progress::new(7), &HERE, "w", 1);
        assert!(decode(7, &line, &HERE).is_ok());
        assert_eq!(decode(8, &line, &HERE), Err(MetadataError::Foreign));
        for there in [
            CommitScope {
                cluster: "other",
                ..HERE
            },
            CommitScope {
                topic: "sms.outbound2",
                ..HERE
            },
            CommitScope {
                partition: 4,
                ..HERE
            },
        ] {
            assert_eq!(decode(7, &line, &there), Err(MetadataError::Foreign));
        }
    }

    #[test]
    fn another_version_and_plain_words_are_refused_as_such() {
        assert!(matches!(decode(0, "3 wx c0", &HERE), Err(MetadataError::Version(v)) if v == "3"));
        assert!(decode(0, "committed by hand", &HERE).is_err());
    }

    #[test]
    fn what_is_held_reads_back_as_far_as_there_is_room() {
        let mut p = Progress::new(1000);
        p.finish_range(1010, 1500);
        p.reserve(3000);
        p.hold((1004..1012).chain(1600..2990));
        let line = encode(&p, &HERE, TRANSACTIONAL_ID, 1);
        assert!(line.contains(" h4.6.2s.12m c"), "{line}");
        let back = decode(1000, &line, &HERE).unwrap().progress;
        let under_way = |p: &Progress| p.under_way().collect::<Vec<_>>();
        assert_eq!(under_way(&back), under_way(&p));
        assert_eq!(under_way(&p).len(), 4 + 100 + 10);

        // Every second of 19,000 records, and a long run behind them.
        let mut p = Progress::new(0);
        p.reserve(20_000);
        p.hold((0..19_000).step_by(2).chain(19_000..20_000));
        let line = encode(&p, &HERE, TRANSACTIONAL_ID, 1);
        assert!(line.len() <= Limits::default().metadata, "{}", line.len());
        let back = decode(0, &line, &HERE).unwrap().progress;
        assert!(under_way(&p).iter().all(|o| !back.held.contains(*o)));
        let held = 20_000 - back.under_way().count();
        assert!(held > 1900, "the long run and most of the room: {held}");
    }

    #[test]
    fn unknown_fields_of_a_neighbouring_version_are_skipped() {
        let mut p = Progress::new(5);
        p.finish(9);
        let line = encode(&p, &HERE, "w", 1);
        let body = line.rsplit_once(" c").unwrap().0.to_owned() + " zsomething";
        let line = format!("{body} c{:08x}", HERE.checksum(5, &body));
        assert_eq!(decode(5, &line, &HERE).unwrap().progress, p);
    }

    #[test]
    fn what_may_be_a_duplicate_is_said_until_it_is_passed() {
        let mut p = Progress::new(100);
        p.suspect(180);
        p.read(1_760_000_000_123);
        p.read(1_760_000_000_000);
        let line = encode(&p, &HERE, "w", 1);
        assert!(line.starts_with("1 ww n1 r0 s80 tmgj6k3gb c"), "{line}");
        assert_eq!(decode(100, &line, &HERE).unwrap().progress, p);
        p.finish_range(100, 150);
        let line = encode(&p, &HERE, "w", 2);
        assert_eq!(
            decode(150, &line, &HERE).unwrap().progress.suspect_until(),
            180
        );
        p.finish_range(150, 180);
        assert!(
            !encode(&p, &HERE, "w", 3).contains(" s"),
            "all of it is passed"
        );
    }

    #[test]
    fn only_what_is_reserved_ahead_needs_the_second_version() {
        let mut p = Progress::new(100);
        p.reserve(103);
        p.reserve_ahead(107);
        let line = encode(&p, &HERE, "w", 1);
        assert!(line.starts_with("2 ww n1 r3 e4 c"), "{line}");
        assert_eq!(decode(100, &line, &HERE).unwrap().progress, p);
        p.reserve_ahead(103);
        let line = encode(&p, &HERE, "w", 1);
        assert!(line.starts_with("1 ww n1 r3 c"), "{line}");
    }

    /// A checksum is no promise: what fits it is read or refused like anything else.
    #[test]
    fn what_no_log_can_hold_is_refused() {
        let sealed = |offset: i64, body: &str| {
            let line = format!("{body} c{:08x}", HERE.checksum(offset, body));
            decode(offset, &line, &HERE)
        };
        let many = vec!["1000000x1"; 400].join(".");
        for (offset, body, field) in [
            (i64::MAX, "1 ww n1 r0 FQA", "finished bitmap"),
            (7, "1 ww n1 r0 FgA", "finished bitmap"),
            (i64::MAX - 1, "1 ww n1 r0 f1.5", "finished runs"),
            (7, &*format!("1 ww n1 r0 a{many}"), "attempts"),
            (i64::MAX, "1 ww n1 r1", "reservation"),
            (7, "1 ww n1 r9 h1.-1", "held"),
            (7, "1 ww n1 r9 h", "held"),
            (i64::MAX, "2 ww n1 r0 e1", "reservation ahead"),
            (7, "2 ww n1 r0 e-1", "reservation ahead"),
            (i64::MAX, "1 ww n1 r0 s1", "suspicion"),
            (7, "1 ww n1 r0 s-1", "suspicion"),
            (7, "1 ww n1 r0 t!", "time"),
        ] {
            assert_eq!(
                sealed(offset, body),
                Err(MetadataError::Malformed(field)),
                "{body}"
            );
        }
    }

    fn progress() -> impl Strategy<Value = Progress> {
        let ops = prop::collection::vec((0i64..30_000, 0u8..4), 0..3000);
        let rest = (
            0i64..20_000,
            0i64..1 << 60,
            0i64..i64::MAX,
            prop::bool::ANY,
            1i64..50,
            0i64..=1000,
        );
        (0i64..1 << 40, ops, rest).prop_map(
            |(base, ops, (above, suspect, newest, dense, every, ahead))| {
                let limits = Limits::default();
                let mut p = Progress::new(base);
                for (at, what) in ops {
                    let offset = base + if dense { at % 4000 } else { at };
                    if offset < p.base() || !p.admits(offset, limits) {
                        continue;
                    }
                    match what {
                        0 => p.doubt(offset),
                        _ => {
                            p.finish(offset);
                        }
                    }
                }
                p.reserve(p.base() + above);
                p.reserve_ahead(p.reserved() + ahead);
                p.suspect(base + suspect);
                p.read(newest);
                let hold: Vec<i64> = p.unfinished().filter(|o| o % every != 0).collect();
                p.hold(hold.into_iter());
                p
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip_within_the_limit(p in progress(), cycle: u64) {
            let line = encode(&p, &HERE, TRANSACTIONAL_ID, cycle);
            prop_assert!(line.is_ascii() && line.len() <= Limits::default().metadata, "{}", line.len());
            let back = decode(p.base(), &line, &HERE).unwrap();
            prop_assert_eq!((back.transactional_id.as_str(), back.cycle), (TRANSACTIONAL_ID, cycle));
            prop_assert_eq!(back.progress.reserved(), p.reserved());
            prop_assert_eq!(back.progress.ahead(), p.ahead());
            prop_assert_eq!(&back.progress.finished, &p.finished);
            for offset in p.under_way() {
                prop_assert!(!back.progress.held.contains(offset), "never held that was not");
            }
            prop_assert_eq!(back.progress.suspect_until(), p.suspect_until().max(p.base()));
            prop_assert_eq!(back.progress.newest(), p.newest());
            for (offset, n) in &p.attempts {
                prop_assert!(back.progress.attempts(*offset) >= *n, "never fewer attempts");
            }
        }

        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,200}", offset: i64) {
            let _ = decode(offset, &line, &HERE);
        }

        #[test]
        fn damage_is_noticed(p in progress(), at: prop::sample::Index, bit in 0u8..7) {
            let line = encode(&p, &HERE, TRANSACTIONAL_ID, 1);
            let mut octets = line.clone().into_bytes();
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            if let Ok(damaged) = String::from_utf8(octets)
                && let Ok(read) = decode(p.base(), &damaged, &HERE)
            {
                prop_assert_eq!(read.progress.finished, p.finished, "only the checksum's case may differ");
            }
        }
    }
}
