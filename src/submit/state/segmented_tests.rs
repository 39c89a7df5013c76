//! Conversations about messages of three segments, read as transcripts.

use crate::submit::state::pending::PendingResult;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use rdkafka::config::ClientConfig;

use super::*;
use crate::kafka::Partition;
use crate::kafka::poll;
use crate::kafka::progress::Progress;
use crate::kafka::start::Start;
use crate::record::event::SendErrorKind;
use crate::record::keys::Position;
use crate::settings::{InDoubt, Time};
use crate::submit::message::intake::Incoming;
use crate::submit::message::outgoing::{RecordContext, Rejection};
use crate::submit::options::Settings;
use crate::submit::pipeline::Pipeline;
use crate::submit::pipeline::tests::cycle;
use crate::submit::results::events::{AccountRef, Events};
use crate::submit::results::late_producer::LateProducer;
use crate::submit::state::segments::Segments;
use jiff::Timestamp;
use smpp_esme::Doubt;
use smpp_protocol::frame::push_empty;
use smpp_protocol::{Command, Status};

/// A pipeline with one bind and one partition, `outbound:0`.
struct Table {
    pipeline: Pipeline,
    bind: BindRef,
    assignment: AssignmentId,
}

impl Table {
    fn new(settings: Settings) -> Table {
        let events = Arc::new(Events::default());
        let late_producer = LateProducer::new(&ClientConfig::new(), events).unwrap();
        let pipeline = Pipeline::new(settings, late_producer, poll::Handle::default(), "me");
        let (group, _) = pipeline.add_group(10, f64::INFINITY);
        let bind = pipeline.add_bind(group, "acme-0.0".into(), true).0;
        pipeline.bound(&bind);
        let start = Start::fresh(0, 0);
        let assignment = pipeline.assigned(source(), start, group, 0);
        let table = Table {
            pipeline,
            bind,
            assignment,
        };
        table.cycle();
        table
    }

    /// A whole transaction, as far as the partition knows.
    fn cycle(&self) {
        let mut state = self.pipeline.state.lock();
        cycle(&mut state);
    }

    /// Takes in a message of three segments, or one that is whole.
    fn take(&self, offset: i64, segments: usize, in_doubt: InDoubt) {
        let outgoing = outgoing(offset, segments, in_doubt);
        self.pipeline
            .fetched(&source(), offset, Incoming::Message(outgoing, None));
        self.cycle();
    }

    /// Tokens of what the bind is handed.
    fn pick(&self, most: usize) -> Vec<u64> {
        let mut picked = Vec::new();
        self.pipeline.pick(&self.bind, most, &mut picked);
        picked.iter().map(|p| p.token).collect()
    }

    fn tell(&self, token: u64, outcome: Outcome) -> bool {
        self.pipeline.outcome(&self.bind, token, outcome)
    }

    fn accept(&self, token: u64, id: &str) {
        let look = self.tell(token, Outcome::Answered(answer(Status::ROK, id)));
        assert!(!look, "the sender has nothing to look at");
    }

    fn refuse(&self, token: u64, status: Status) -> bool {
        self.tell(token, Outcome::Answered(answer(status, "")))
    }

    /// What was gathered for the next transaction since the last look.
    fn outcomes(&self) -> Vec<String> {
        let mut state = self.pipeline.state.lock();
        let gathered = state.take_outboxes();
        let held = state.assignments.get_mut(&self.assignment).unwrap();
        for (offset, octets) in gathered.iter().filter_map(PendingResult::finishes) {
            held.partition.finish(offset, octets);
        }
        drop(state);
        gathered
            .iter()
            .map(|result| said(&result.outcome))
            .collect()
    }

    fn attempts(&self, offset: i64) -> u8 {
        let state = self.pipeline.state.lock();
        state.assignments[&self.assignment]
            .partition
            .progress()
            .attempts(offset)
    }
}

fn said(outcome: &RecordOutcome) -> String {
    let segment_outcomes = |segment_outcomes: &Option<Box<[SegmentOutcome]>>| {
        let segment_outcomes = segment_outcomes
            .iter()
            .flat_map(|segment_outcomes| segment_outcomes.iter());
        let word = |end: &SegmentOutcome| match end {
            SegmentOutcome::Taken(id) => id.to_string(),
            SegmentOutcome::Rejected(_) => "no".into(),
            SegmentOutcome::Later(_) => "later".into(),
            SegmentOutcome::Doubt(_) => "?".into(),
            SegmentOutcome::Waiting => "-".into(),
            SegmentOutcome::InFlight => "out".into(),
        };
        segment_outcomes.map(word).collect::<Vec<_>>().join(" ")
    };
    let id = |answer: &Answer| String::from_utf8(answer.message_id.clone()).unwrap();
    match outcome {
        RecordOutcome::Taken(sent, answer, _) => {
            format!("part {} taken {}", sent.segment.unwrap(), id(answer))
        }
        RecordOutcome::Answered(sent, answer) => {
            format!(
                "{} {} [{}]",
                answer.status,
                id(answer),
                segment_outcomes(&sent.segments)
            )
        }
        RecordOutcome::Rejected(rejection) => format!(
            "{} [{}]",
            rejection.kind,
            segment_outcomes(&rejection.segments)
        ),
        RecordOutcome::PutBack(_, returned) => {
            let taken = returned.taken.as_deref().unwrap_or_default();
            format!("put back{}", taken.get(8..).unwrap_or_default())
        }
        RecordOutcome::Late(sent, answer) => {
            format!("part {} late {}", sent.segment.unwrap(), id(answer))
        }
        RecordOutcome::TooLarge(..) => unreachable!(),
    }
}

fn source() -> Partition {
    Partition {
        topic: "outbound".into(),
        partition: 0,
    }
}

fn outgoing(offset: i64, segments: usize, in_doubt: InDoubt) -> Box<Outgoing> {
    let mut pdus = Vec::new();
    for _ in 0..segments {
        push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdus);
    }
    let pdu = Bytes::from(pdus);
    Box::new(Outgoing {
        offset,
        context: Arc::new(RecordContext {
            account: Arc::new(AccountRef {
                esme: "acme".into(),
                dialect: Arc::default(),
                meters: Arc::default(),
            }),
            topic: "outbound".into(),
            partition: 0,
            position: Position {
                topic: "outbound".into(),
                partition: 0,
                offset,
            },
            appended: None,
            log_id: format!("m{offset}"),
            extra_data: None,
            source: None,
            destination: None,
            key: None,
            value: None,
            headers: None,
            truncated: false,
            operation: crate::record::outbound::Operation::SubmitSm,
            message_id: None,
        }),
        segments: Segments::split(&pdu).map(Box::new),
        pdu,
        registered: true,
        recipients: None,
        reference: None,
        expires: None,
        deadline: None,
        in_doubt,
        max_resends: 5,
        doubts: 0,
        retries: 0,
        earlier: 0,
        held_since: None,
        requires: 0,
        possible_duplicate: false,
        submitted_at: Timestamp::UNIX_EPOCH,
    })
}

fn answer(status: Status, id: &str) -> Answer {
    Answer {
        command: Command::SUBMIT_SM_RESP,
        status,
        message_id: id.into(),
        tlvs: Bytes::new(),
        received: SystemTime::UNIX_EPOCH,
    }
}

fn table() -> Table {
    Table::new(Settings::default())
}

/// A table with one message of three segments, all of them out, and their tokens.
fn all_out(in_doubt: InDoubt) -> (Table, [u64; 3]) {
    let table = table();
    table.take(0, 3, in_doubt);
    let tokens = table.pick(10);
    (table, tokens.try_into().unwrap())
}

#[test]
fn parts_go_out_together_whatever_room_there_is_and_before_anything_else() {
    let table = table();
    table.take(0, 3, InDoubt::Report);
    table.take(1, 1, InDoubt::Report);
    table.take(2, 3, InDoubt::Report);
    assert_eq!(table.pipeline.peek(&table.bind, 10).0, 7);
    let first = table.pick(2);
    assert_eq!(table.pipeline.peek(&table.bind, 10).0, 5);
    let second = table.pick(3);
    assert_eq!(second[0], first[1] + 1, "its third part first");
    assert_eq!(table.pick(10).len(), 2);
    for (token, id) in first.iter().chain(&second[..1]).zip(["A", "B", "C"]) {
        table.accept(*token, id);
    }
    let outcomes = table.outcomes();
    assert_eq!(
        outcomes[..3],
        ["part 1 taken A", "part 2 taken B", "part 3 taken C"]
    );
    assert_eq!(outcomes[3..], ["ESME_ROK A [A B C]"], "one result");
}

#[test]
fn a_throttled_part_goes_out_again_and_the_others_do_not() {
    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.accept(c, "C");
    assert!(table.refuse(b, Status::RTHROTTLED));
    assert!(table.pick(10).is_empty(), "one part is still out");
    table.accept(a, "A");
    assert!(
        table.pick(10).is_empty(),
        "no commit says yet that it is ready"
    );
    table.cycle();
    let again = table.pick(10);
    assert_eq!(again.len(), 1);
    table.accept(again[0], "B");
    assert_eq!(table.outcomes()[3], "ESME_ROK A [A B C]");
}

#[test]
fn a_rejected_part_ends_the_message_and_the_rest_is_not_sent() {
    let table = table();
    table.take(0, 3, InDoubt::Report);
    let tokens = table.pick(2);
    table.accept(tokens[0], "A");
    table.refuse(tokens[1], Status::RINVDSTADR);
    assert!(table.pick(10).is_empty());
    assert_eq!(
        table.outcomes(),
        ["part 1 taken A", "ESME_RINVDSTADR  [A no -]"]
    );
}

#[test]
fn one_part_in_doubt_puts_the_message_in_doubt() {
    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.accept(a, "A");
    table.tell(b, Outcome::InDoubt(Doubt::Timeout));
    table.accept(c, "C");
    let outcomes = table.outcomes();
    assert_eq!(outcomes[2], "OUTCOME_UNKNOWN [A ? C]");
    // Its answer comes after all.
    table.tell(b, Outcome::Late(answer(Status::ROK, "B")));
    assert_eq!(table.outcomes(), ["part 2 late B"]);
}

#[test]
fn only_the_part_in_doubt_is_resent_after_its_doubt_is_committed() {
    let (table, [a, b, c]) = all_out(InDoubt::Resend);
    table.accept(a, "A");
    table.tell(b, Outcome::InDoubt(Doubt::Timeout));
    table.accept(c, "C");
    assert_eq!(table.attempts(0), 1);
    assert!(table.pick(10).is_empty(), "its doubt is not committed");
    table.cycle();
    let again = table.pick(10);
    assert_eq!(again.len(), 1);
    // The answer to the first sending comes while the second is out.
    table.tell(b, Outcome::Late(answer(Status::ROK, "B1")));
    table.accept(again[0], "B2");
    assert_eq!(
        table.outcomes(),
        [
            "part 1 taken A",
            "part 3 taken C",
            "part 2 late B1",
            "part 2 taken B2",
            "ESME_ROK A [A B2 C]"
        ]
    );
}

#[test]
fn a_late_answer_to_a_waiting_part_spares_its_resending() {
    let (table, [a, b, c]) = all_out(InDoubt::Resend);
    table.accept(a, "A");
    table.tell(b, Outcome::InDoubt(Doubt::Timeout));
    table.accept(c, "C");
    table.tell(b, Outcome::Late(answer(Status::ROK, "B")));
    assert_eq!(
        table.outcomes()[2..],
        ["part 2 taken B", "ESME_ROK A [A B C]"]
    );
    table.cycle();
    assert!(table.pick(10).is_empty());
}

#[test]
fn a_late_answer_counts_while_other_parts_are_out() {
    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.tell(a, Outcome::InDoubt(Doubt::Timeout));
    table.tell(a, Outcome::Late(answer(Status::ROK, "A")));
    table.accept(b, "B");
    table.accept(c, "C");
    assert_eq!(table.outcomes()[3], "ESME_ROK A [A B C]");
}

#[test]
fn a_lost_session_leaves_the_missing_parts_to_the_next() {
    let table = table();
    table.take(0, 3, InDoubt::Report);
    let first = table.pick(1);
    table.accept(first[0], "A");
    table.pipeline.unbound(&table.bind);
    assert_eq!(
        table.attempts(0),
        1,
        "a successor would not know that a part was taken"
    );
    assert!(table.pick(10).is_empty(), "nothing is reserved any more");
    table.pipeline.bound(&table.bind);
    table.cycle();
    let rest = table.pick(10);
    assert_eq!(rest.len(), 2);
    table.accept(rest[0], "B");
    table.accept(rest[1], "C");
    let outcomes = table.outcomes();
    assert_eq!(outcomes[3], "ESME_ROK A [A B C]");
}

#[test]
fn parts_that_were_not_written_are_sent_by_the_next_session() {
    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.accept(a, "A");
    table.tell(b, Outcome::NotSent);
    table.tell(c, Outcome::NotSent);
    table.pipeline.unbound(&table.bind);
    table.pipeline.bound(&table.bind);
    table.cycle();
    assert_eq!(table.pick(10).len(), 2);
}

#[test]
fn what_is_put_back_names_the_parts_taken() {
    let table = Table::new(Settings {
        max_hold: Time::seconds(0),
        ..Settings::default()
    });
    table.take(0, 3, InDoubt::Report);
    let tokens = table.pick(10);
    table.accept(tokens[0], "A");
    table.refuse(tokens[1], Status::RSYSERR);
    table.accept(tokens[2], "C");
    assert_eq!(table.outcomes()[2], "put back 1=41 3=43");
}

#[test]
fn a_lane_that_is_gone_hears_of_its_parts_no_more() {
    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.accept(a, "A");
    table.pipeline.removed(&[table.assignment]);
    let (b, c) = (
        table.refuse(b, Status::RINVDSTADR),
        table.tell(c, Outcome::NotSent),
    );
    assert!(b && c, "the sender looks at what is due");
    let state = table.pipeline.state.lock();
    assert!(state.assignments.is_empty() && state.segmented.by_token.is_empty());
}

/// The outcome of a message in one part that was gathered alone.
fn only_fate(table: &Table) -> RecordOutcome {
    let gathered = table.pipeline.state.lock().take_outboxes();
    let [result]: [PendingResult; 1] = gathered.try_into().unwrap();
    result.outcome
}

#[test]
fn an_answer_to_an_early_attempt_says_that_a_later_one_may_have_arrived_too() {
    let table = table();
    table.take(0, 1, InDoubt::Resend);
    let first = table.pick(1)[0];
    table.tell(first, Outcome::InDoubt(Doubt::Timeout));
    table.cycle();
    let second = table.pick(1)[0];
    table.tell(second, Outcome::InDoubt(Doubt::Timeout));
    table.tell(first, Outcome::Late(answer(Status::ROK, "A")));
    let RecordOutcome::Answered(sent, _) = only_fate(&table) else {
        panic!("no result");
    };
    assert_eq!((sent.attempt, sent.possible_duplicate), (1, true));
}

#[test]
fn an_answer_that_settles_the_only_doubt_is_no_duplicate() {
    let table = table();
    table.take(0, 1, InDoubt::Resend);
    let first = table.pick(1)[0];
    table.tell(first, Outcome::InDoubt(Doubt::Timeout));
    table.tell(first, Outcome::Late(answer(Status::ROK, "A")));
    let RecordOutcome::Answered(sent, _) = only_fate(&table) else {
        panic!("no result");
    };
    assert!(!sent.possible_duplicate);
}

#[test]
fn a_record_that_was_put_back_is_not_resent_more_often_than_allowed() {
    let table = Table::new(Settings {
        max_hold: Time::millis(0),
        ..Settings::default()
    });
    let mut resent_once = outgoing(0, 1, InDoubt::Resend);
    resent_once.max_resends = 1;
    table
        .pipeline
        .fetched(&source(), 0, Incoming::Message(resent_once, None));
    table.cycle();
    let first = table.pick(1)[0];
    table.tell(first, Outcome::InDoubt(Doubt::Timeout));
    table.cycle();
    let second = table.pick(1)[0];
    table.refuse(second, Status::RSYSERR);
    let RecordOutcome::PutBack(_, returned) = only_fate(&table) else {
        panic!("not put back");
    };
    assert_eq!((returned.earlier, returned.doubts), (1, 1));

    let mut back = outgoing(1, 1, InDoubt::Resend);
    back.max_resends = 1;
    (back.earlier, back.doubts) = (returned.earlier, returned.doubts);
    table
        .pipeline
        .fetched(&source(), 1, Incoming::Message(back, None));
    table.cycle();
    let third = table.pick(1)[0];
    table.tell(third, Outcome::InDoubt(Doubt::Timeout));
    let RecordOutcome::Rejected(rejection) = only_fate(&table) else {
        panic!("sent a third time into doubt");
    };
    assert_eq!(
        (rejection.kind, rejection.attempt),
        (SendErrorKind::OutcomeUnknown, 3)
    );
}

#[test]
fn a_generic_nack_takes_nothing_whatever_its_status() {
    let nack = || Answer {
        command: Command::GENERIC_NACK,
        ..answer(Status::ROK, "")
    };
    let table = table();
    table.take(0, 1, InDoubt::Report);
    let token = table.pick(1)[0];
    table.tell(token, Outcome::Answered(nack()));
    let RecordOutcome::Answered(_, answer) = only_fate(&table) else {
        panic!("no result");
    };
    assert!(!accepted(&answer));

    let (table, [a, b, c]) = all_out(InDoubt::Report);
    table.accept(a, "A");
    table.tell(b, Outcome::Answered(nack()));
    table.accept(c, "C");
    assert_eq!(table.outcomes()[2], "ESME_ROK  [A no C]");
}

/// A pipeline with a partition whose first record a predecessor may have sent, or whose records below
/// `suspect_until` may have been.
fn taken_over(in_doubt: bool, suspect_until: i64) -> Table {
    let table = Table::new(Settings::default());
    let mut progress = Progress::new(0);
    if in_doubt {
        progress.reserve(1);
        progress.take_over(1);
    }
    progress.suspect(suspect_until);
    let start = Start {
        progress,
        ..Start::fresh(0, 0)
    };
    table.pipeline.removed(&[table.assignment]);
    let assignment = table
        .pipeline
        .assigned(source(), start, table.bind.group, 0);
    let table = Table {
        assignment,
        ..table
    };
    table.cycle();
    table
}

#[test]
fn a_record_in_doubt_that_is_refused_when_it_is_read_again_is_not_said_never_to_have_been_sent() {
    for kind in [
        SendErrorKind::Expired,
        SendErrorKind::InvalidRecord,
        SendErrorKind::Encoding,
        SendErrorKind::RejectedLocally,
    ] {
        for (in_doubt, suspect_until, expected, attempt) in [
            (false, 0, kind, 0),
            (false, 1, kind, 0),
            (true, 0, SendErrorKind::OutcomeUnknown, 1),
        ] {
            let table = taken_over(in_doubt, suspect_until);
            // As it is read: of its partition nothing is known there.
            let context = outgoing(0, 1, InDoubt::Report).context;
            let rejection = Rejection::new(0, context, kind, "the reason".into());
            let incoming = Incoming::Rejected(Box::new(rejection));
            table.pipeline.fetched(&source(), 0, incoming);
            let mut state = table.pipeline.state.lock();
            let partition = &mut state
                .assignments
                .get_mut(&table.assignment)
                .unwrap()
                .partition;
            let [rejection] = &partition.plan(Instant::now(), true)[..] else {
                panic!("one result");
            };
            assert_eq!((rejection.kind, rejection.attempt), (expected, attempt));
            assert_eq!(rejection.possible_duplicate, in_doubt || suspect_until > 0);
            assert!(rejection.text.ends_with("the reason"), "{}", rejection.text);
        }
    }
}

#[test]
fn who_gives_up_a_message_does_not_take_back_what_a_segment_was_answered() {
    let table = table();
    table.take(0, 2, InDoubt::Report);
    let tokens = table.pick(2);
    table.accept(tokens[0], "A");
    assert_eq!(table.outcomes(), ["part 1 taken A"]);
    for token in &tokens {
        let mut state = table.pipeline.state.lock();
        state.abandoned(*token, Now::read());
    }
    let RecordOutcome::Rejected(rejection) = only_fate(&table) else {
        panic!("it is in doubt");
    };
    let segments = rejection.segments.unwrap();
    assert_eq!(segments[0], SegmentOutcome::Taken("A".into()));
    assert_eq!(segments[1], SegmentOutcome::Doubt(Doubt::GivenUp));
}

#[test]
fn an_answer_to_a_segment_that_was_given_up_is_not_lost() {
    let table = table();
    table.take(0, 2, InDoubt::Report);
    let tokens = table.pick(2);
    for token in &tokens {
        let mut state = table.pipeline.state.lock();
        state.abandoned(*token, Now::read());
    }
    only_fate(&table);
    table.tell(tokens[1], Outcome::Answered(answer(Status::ROK, "B")));
    assert_eq!(table.outcomes(), ["part 2 late B"]);
}

#[test]
fn a_late_refusal_of_a_segment_that_is_out_again_is_published_and_of_one_that_waits_is_not() {
    let table = table();
    table.take(0, 2, InDoubt::Resend);
    let first = table.pick(2);
    table.accept(first[1], "B");
    table.tell(first[0], Outcome::InDoubt(Doubt::Timeout));
    table.outcomes();
    table.tell(first[0], Outcome::Late(answer(Status::RTHROTTLED, "")));
    assert_eq!(table.outcomes(), Vec::<String>::new(), "it waits");

    let table = self::table();
    table.take(0, 2, InDoubt::Resend);
    let first = table.pick(2);
    table.accept(first[1], "B");
    table.tell(first[0], Outcome::InDoubt(Doubt::Timeout));
    table.outcomes();
    table.cycle();
    assert_eq!(table.pick(2).len(), 1, "it is out again");
    table.tell(first[0], Outcome::Late(answer(Status::RTHROTTLED, "")));
    assert_eq!(table.outcomes(), ["part 1 late "]);
}
