//! Message ids in another form.
//!
//! Many SMSCs write a message's id one way in submit_sm_resp and another way in its receipt: in
//! capitals, with zeros in front, in decimal instead of hexadecimal. `[esme.message_id]` says so; by
//! default an id is its exact text. A receipt that finds nobody by that is looked for under the form
//! that the ids of its ESME's responses have: what [`Shape`]s responses and receipts have is seen
//! from those that come. Two shapes that do not differ have no other form.
//!
//! The state of a message lies in the partition of its exact id, mostly another than that of the
//! other form. So the receipt itself goes there: see [`join`](super::join).

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::record::keys;
use smpp_protocol::Receipt;
use smpp_protocol::message_id::{Form, Pairing, Rule};

/// So many ids of a kind are looked at until older ones do not count any more.
const GENERATION: u32 = 1000;
/// Of so many receipts that found their message it counts how they did.
pub(super) const WINDOW: u32 = 200;
/// So many messages that were accepted here say more than what a partition remembers of others.
const ENOUGH: u32 = 100;
/// After so many that were looked for in vain, it is mostly not tried any more,
const VAIN: u32 = 50;
/// but for one of so many.
const PROBE: u32 = 16;

/// What ids look like.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    count: u32,
    /// Letters of either case.
    lower: bool,
    upper: bool,
    /// Characters that are no hexadecimal digit.
    text: bool,
    /// Zeros in front.
    zeros: bool,
    shortest: usize,
    longest: usize,
}

impl Traits {
    fn note(&mut self, id: &str) {
        let all = Traits {
            count: 1,
            lower: id.bytes().any(|octet| octet.is_ascii_lowercase()),
            upper: id.bytes().any(|octet| octet.is_ascii_uppercase()),
            text: !id.bytes().all(|octet| octet.is_ascii_hexdigit()),
            zeros: id.len() > 1 && id.starts_with('0'),
            shortest: id.len(),
            longest: id.len(),
        };
        *self = self.and(all);
    }

    fn and(self, other: Traits) -> Traits {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        Traits {
            count: self.count + other.count,
            lower: self.lower | other.lower,
            upper: self.upper | other.upper,
            text: self.text | other.text,
            zeros: self.zeros | other.zeros,
            shortest: self.shortest.min(other.shortest),
            longest: self.longest.max(other.longest),
        }
    }

    fn is_hex(self) -> bool {
        !self.text && (self.lower || self.upper)
    }

    fn is_decimal(self) -> bool {
        !self.text && !self.lower && !self.upper
    }
}

/// What the ids look like that stand in one place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    now: Traits,
    before: Traits,
}

impl Shape {
    /// An id has been seen there.
    pub fn note(&mut self, id: &str) {
        if self.now.count >= GENERATION {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.note(id);
    }

    fn traits(&self) -> Traits {
        self.now.and(self.before)
    }
}

/// The form that the id of a receipt has in a response, if that is another, by what ids in
/// receipts and responses look like.
pub fn other(id: &str, receipts: &Shape, responses: &Shape) -> Option<String> {
    let (mut from, to) = (receipts.traits(), responses.traits());
    from.note(id);
    let is_number = |id: &str| id.bytes().all(|octet| octet.is_ascii_digit());
    let is_hex = |id: &str| id.bytes().all(|octet| octet.is_ascii_hexdigit());
    let written = if to.count == 0 {
        // Nothing to go by: as it is most often.
        match (from.lower, from.upper) {
            (true, false) => id.to_ascii_uppercase(),
            (false, true) => id.to_ascii_lowercase(),
            _ if is_number(id) => stripped(id).to_owned(),
            _ => return None,
        }
    } else if to.is_hex() && from.is_decimal() && is_number(id) {
        let number: u128 = id.parse().ok()?;
        let digits = if to.upper {
            format!("{number:X}")
        } else {
            format!("{number:x}")
        };
        padded(&digits, to)
    } else if to.is_decimal() && from.is_hex() && is_hex(id) {
        padded(&u128::from_str_radix(id, 16).ok()?.to_string(), to)
    } else {
        let id = match (to.lower, to.upper) {
            (true, false) => id.to_ascii_lowercase(),
            (false, true) => id.to_ascii_uppercase(),
            _ => id.to_owned(),
        };
        if !to.text && is_hex(&id) {
            padded(stripped(&id), to)
        } else {
            id
        }
    };
    (written != id).then_some(written)
}

fn stripped(id: &str) -> &str {
    match id.trim_start_matches('0') {
        "" => &id[..id.len().min(1)],
        digits => digits,
    }
}

/// With zeros in front, if others have them.
fn padded(digits: &str, like: Traits) -> String {
    let fixed = like.shortest == like.longest || like.zeros;
    let width = if fixed { like.longest } else { 0 };
    format!("{digits:0>width$}")
}

/// What `[esme.message_id]` would say for two ids to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The form in responses.
    pub response: Form,
    /// The form in receipts.
    pub receipt: Form,
}

impl Remedy {
    const fn new(response: Form, receipt: Form) -> Self {
        Remedy { response, receipt }
    }

    const ALL: [Remedy; 5] = [
        Remedy::new(Form::CaseInsensitive, Form::CaseInsensitive),
        Remedy::new(Form::Decimal, Form::Decimal),
        Remedy::new(Form::Hex, Form::Hex),
        Remedy::new(Form::Hex, Form::Decimal),
        Remedy::new(Form::Decimal, Form::Hex),
    ];

    /// The first that makes one of the id of a response and that of a receipt. Whatever else is
    /// set about ids stays as it is.
    pub fn of(set: &Pairing, response: &str, receipt: &Receipt<'_>) -> Option<Remedy> {
        let with = |rule: &Rule, form| Rule {
            form,
            ..rule.clone()
        };
        Remedy::ALL.into_iter().find(|remedy| {
            let pairing = Pairing {
                response: with(&set.response, remedy.response),
                receipt: with(&set.receipt, remedy.receipt),
                receipted_message_id: None,
            };
            pairing.of_receipt(receipt) == Some(pairing.of_response(response))
        })
    }

    fn index(self) -> usize {
        let mut all = Remedy::ALL.iter();
        all.position(|one| *one == self).unwrap_or(0)
    }
}

/// How an SMSC goes about its ids.
#[derive(Debug, Default)]
struct Habit {
    responses: Shape,
    receipts: Shape,
    /// How many of the responses came while this process ran, up to [`ENOUGH`].
    fresh: u32,
    /// An id of a response.
    sample: String,
    /// How quickly it uses ids again.
    pace: Pace,
    /// Of the recent receipts that found their message: by its exact id,
    exact: u32,
    /// and by each remedy.
    others: [u32; Remedy::ALL.len()],
    /// How many were looked for recently under another form, and how many of them in vain.
    sought: u32,
    vain: u32,
    /// How many were not, because it is in vain mostly.
    skipped: u32,
}

/// How quickly an SMSC uses its ids again: of recent messages, how many had an id that another
/// had within minutes before.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    messages: u32,
    again: u32,
}

impl Pace {
    fn note(&mut self, again: bool) {
        self.messages += 1;
        self.again += u32::from(again);
        if self.messages >= 2 * GENERATION {
            self.messages /= 2;
            self.again /= 2;
        }
    }

    /// More than one in 50, which random ids do not reach by chance.
    fn is_hasty(self) -> bool {
        self.again > 1 && self.again * 50 > self.messages
    }
}

impl Habit {
    fn response(&mut self, id: &str, again: bool) {
        self.responses.note(id);
        self.pace.note(again);
        self.sample.clear();
        self.sample.push_str(id);
    }

    fn other(&self) -> u32 {
        self.others.iter().sum()
    }

    fn count(&mut self) {
        if self.exact + self.other() > WINDOW {
            self.exact -= self.exact / 10;
            self.others.iter_mut().for_each(|n| *n -= *n / 10);
        }
    }

    /// Whether to look for a receipt under another form is worth the way.
    fn is_worth(&mut self) -> bool {
        let in_vain = self.vain >= VAIN && u64::from(self.vain) * 10 > u64::from(self.sought) * 9;
        self.skipped = if in_vain {
            (self.skipped + 1) % PROBE
        } else {
            0
        };
        self.skipped == 0
    }
}

/// How receipts of an ESME have found their messages recently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// What would make most of those that did not have the exact id match exactly.
    pub remedy: Remedy,
    /// How many of these there are,
    pub matched: u32,
    /// of so many.
    pub of: u32,
}

/// How the SMSCs of all ESMEs go about their ids, as far as this process sees it. It is no more than
/// what is seen anew after a restart: what is looked for first, not what is found.
#[derive(Debug, Default)]
pub struct Habits(Mutex<HashMap<Box<str>, Habit>>);

impl Habits {
    fn of<T>(&self, identity: &str, look: impl FnOnce(&mut Habit, &str) -> T) -> T {
        let (esme, id) = keys::esme_and_id(identity);
        let mut all = self.0.lock();
        look(all.entry_ref(esme).or_default(), id)
    }

    /// A message was accepted; `again` if another had its id within minutes before.
    pub(super) fn response(&self, identity: &str, again: bool) {
        self.of(identity, |habit, id| {
            habit.fresh = ENOUGH.min(habit.fresh + 1);
            habit.response(id, again);
        });
    }

    /// One was accepted days ago, perhaps. A partition remembers thousands of them, so where enough is
    /// known of what the SMSC does now, they do not count.
    pub(super) fn old_response(&self, identity: &str, again: bool) {
        self.of(identity, |habit, id| {
            if habit.fresh < ENOUGH {
                habit.response(id, again);
            }
        });
    }

    /// A receipt came.
    pub(super) fn receipt(&self, identity: &str) {
        // What has no id has a checksum in its place.
        self.of(identity, |habit, id| {
            if !id.starts_with('#') {
                habit.receipts.note(id);
            }
        });
    }

    /// Whether ids are used again within minutes.
    pub(super) fn is_hasty(&self, identity: &str) -> bool {
        self.of(identity, |habit, _| habit.pace.is_hasty())
    }

    /// A receipt found its message by its exact id.
    pub(super) fn exact(&self, identity: &str) {
        self.of(identity, |habit, _| {
            habit.exact += 1;
            habit.count();
        });
    }

    /// One found it by another form.
    pub(super) fn found(&self, identity: &str, remedy: Remedy) -> Matched {
        self.of(identity, |habit, _| {
            habit.others[remedy.index()] += 1;
            habit.vain = 0;
            habit.count();
            let most = (0..Remedy::ALL.len()).max_by_key(|at| habit.others[*at]);
            let most = most.unwrap_or_default();
            Matched {
                remedy: Remedy::ALL[most],
                matched: habit.others[most],
                of: habit.exact + habit.other(),
            }
        })
    }

    /// One was looked for under another form, and nobody was found.
    pub(super) fn missed(&self, identity: &str) {
        self.of(identity, |habit, _| habit.vain += 1);
    }

    /// Whether the receipts of this ESME are better looked for under another form at once.
    pub(super) fn prefers_other(&self, identity: &str) -> bool {
        self.of(identity, |habit, _| {
            let other = habit.other();
            other > 2 && other > habit.exact
        })
    }

    /// Under which identity a receipt is to be looked for, if not under its own.
    pub(super) fn seek(&self, identity: &str) -> Option<String> {
        let (esme, _) = keys::esme_and_id(identity);
        self.of(identity, |habit, id| {
            if id.is_empty() || id.starts_with('#') {
                return None;
            }
            let other = other(id, &habit.receipts, &habit.responses)?;
            if !habit.is_worth() {
                return None;
            }
            habit.sought += 1;
            if habit.sought >= 20 * VAIN {
                habit.sought /= 2;
                habit.vain /= 2;
            }
            Some(keys::identity(esme, &other))
        })
    }

    /// An id of a response, if there was any.
    pub(super) fn sample(&self, identity: &str) -> Option<String> {
        let sample = self.of(identity, |habit, _| habit.sample.clone());
        (!sample.is_empty()).then_some(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(ids: &[&str]) -> Shape {
        let mut shape = Shape::default();
        ids.iter().for_each(|id| shape.note(id));
        shape
    }

    #[test]
    fn an_id_is_written_as_the_responses_write_theirs() {
        for (why, responses, receipts, id, other_form) in [
            (
                "capitals",
                &["1a2b", "99cf"][..],
                &["77FE"][..],
                "1A2B",
                Some("1a2b"),
            ),
            ("small", &["1A2B", "99CF"], &["77fe"], "1a2b", Some("1A2B")),
            ("of a text", &["msg-7f"], &[], "MSG-7F", Some("msg-7f")),
            (
                "decimal",
                &["5f3a9c12", "1b2c3d4"],
                &[],
                "1597676562",
                Some("5f3a9c12"),
            ),
            (
                "decimal, shorter",
                &["5f3a9c12", "1b2c3d4"],
                &["1597676562"],
                "28492756",
                Some("1b2c3d4"),
            ),
            (
                "padded decimal",
                &["5f3a9c12"],
                &[],
                "00000000001597676562",
                Some("5f3a9c12"),
            ),
            (
                "of padded capitals",
                &["0012D687", "5F3A9C12"],
                &[],
                "1234567",
                Some("0012D687"),
            ),
            (
                "hexadecimal",
                &["1597676562", "16"],
                &[],
                "5F3A9C12",
                Some("1597676562"),
            ),
            (
                "hexadecimal of digits",
                &["1597676562", "16"],
                &["a"],
                "10",
                Some("16"),
            ),
            (
                "zeros left out",
                &["0000000123", "0000000124"],
                &[],
                "123",
                Some("0000000123"),
            ),
            ("zeros", &["123", "1240"], &[], "0000000123", Some("123")),
            (
                "zeros and capitals",
                &["abc", "abcd"],
                &[],
                "00ABC",
                Some("abc"),
            ),
            ("nothing but zeros", &["0", "12"], &[], "000", Some("0")),
            ("the same", &["1a2b", "99cf"], &["77fe"], "1a2c", None),
            (
                "all digits by chance",
                &["1a2b", "99cf"],
                &["77fe"],
                "1234",
                None,
            ),
            ("both decimal", &["9", "10"], &["10", "16"], "16", None),
            ("cases mixed", &["aBc", "AbC"], &[], "ABC", None),
            (
                "too long for a number",
                &["ab"],
                &[],
                "9999999999999999999999999999999999999999",
                None,
            ),
            ("nothing known", &[], &[], "ABC", Some("abc")),
            ("nothing known", &[], &[], "0012", Some("12")),
            ("nothing known", &[], &[], "12", None),
        ] {
            let found = other(id, &shape(receipts), &shape(responses));
            assert_eq!(found.as_deref(), other_form, "{why}");
        }
    }

    #[test]
    fn what_is_found_names_its_remedy() {
        let receipt = |id: &'static str| Receipt {
            text_id: Some(id.into()),
            ..Receipt::default()
        };
        for (response, id, response_form, receipt_form) in [
            ("7f", "7F", Form::CaseInsensitive, Form::CaseInsensitive),
            ("12", "0012", Form::Decimal, Form::Decimal),
            ("7f", "007F", Form::Hex, Form::Hex),
            ("5F3A9C12", "1597676562", Form::Hex, Form::Decimal),
            ("1597676562", "5f3a9c12", Form::Decimal, Form::Hex),
        ] {
            let remedy = Remedy::of(&Pairing::default(), response, &receipt(id));
            let expected = Remedy::new(response_form, receipt_form);
            assert_eq!(remedy, Some(expected), "{response} {id}");
        }
        let other = Remedy::of(&Pairing::default(), "7f", &receipt("80"));
        assert_eq!(other, None);
    }

    #[test]
    fn what_is_of_late_counts_and_what_is_in_vain_is_given_up() {
        let habits = Habits::default();
        let hex = Remedy::new(Form::Hex, Form::Hex);
        for n in 0..120 {
            habits.exact("a/1");
            let matched = habits.found("a/1", hex);
            assert_eq!(matched.remedy, hex);
            assert!(
                matched.matched <= matched.of && matched.of <= WINDOW + 1,
                "{n}"
            );
        }
        assert!(!habits.prefers_other("a/1"), "as many as by the exact id");
        for _ in 0..9 {
            habits.found("a/1", hex);
        }
        assert!(habits.prefers_other("a/1") && !habits.prefers_other("b/1"));

        habits.response("c/7f", false);
        let mut tried = 0;
        for _ in 0..1000 {
            if habits.seek("c/7F").is_some() {
                tried += 1;
                habits.missed("c/7F");
            }
        }
        assert!((50..200).contains(&tried), "{tried}");
        habits.found("c/7f", hex);
        assert_eq!(
            habits.seek("c/7F").as_deref(),
            Some("c/7f"),
            "one was found"
        );
        assert_eq!(habits.seek("c/#0011aabb"), None, "no id");
        assert_eq!(habits.sample("c/").as_deref(), Some("7f"));
    }

    #[test]
    fn what_a_partition_remembers_teaches_only_whoever_knows_nothing() {
        for (fresh, other) in [(0, "1A2B"), (ENOUGH, "1a2b")] {
            let habits = Habits::default();
            for _ in 0..fresh {
                habits.response("a/5e6f", false);
            }
            for n in 0..3000 {
                habits.old_response(&format!("a/{:X}", 0xa000u32 + n), n % 10 == 0);
            }
            let id = if fresh == 0 { "a/1a2b" } else { "a/1A2B" };
            assert_eq!(habits.seek(id), Some(format!("a/{other}")));
            assert_eq!(habits.is_hasty("a/1"), fresh == 0);
        }
    }

    #[test]
    fn an_smsc_is_hasty_if_more_than_chance_repeats_its_ids() {
        let habits = Habits::default();
        for n in 0..5000u32 {
            habits.response("a/1", n % 1000 == 0);
            habits.response("b/1", n % 40 == 0);
        }
        assert!(!habits.is_hasty("a/1") && habits.is_hasty("b/1"));
    }
}
