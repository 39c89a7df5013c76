//! The picture, at the sizes of terminals.

use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::state::{Key, Processes, Top};
use super::{screen, view};
use crate::status::{
    Bind, Correlation, CorrelationPartition, Esme, History, Memory, Partition, Percentiles, Phase,
    Problem, Process, Rate, Ready, Sample, Status, Window,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn bind(name: &str, state: &str) -> Bind {
    let is_bound = state == "bound";
    Bind {
        name: name.into(),
        mode: "transceiver".into(),
        state: state.into(),
        host: Some("smsc1.example.net:2775".into()),
        reason: (!is_bound).then(|| "ESME_RINVPASWD (the password is wrong)".into()),
        code: (!is_bound).then(|| "KS-2003".into()),
        retry_in: (!is_bound).then_some(12.0),
        window: Window {
            used: 12,
            allowed: 100,
            most: 100,
        },
        rate: Some(80.0),
        round_trip: Some(0.0213),
        ..Bind::default()
    }
}

fn process(name: &str, second: i64, esmes: Vec<Esme>) -> Status {
    Status {
        at: at(second),
        process: Process {
            name: name.into(),
            deployment: "sms".into(),
            host: format!("pod-{name}"),
            software: "0.1.0".into(),
            phase: Phase::Running,
            resident_octets: Some(64 << 20),
            ..Process::default()
        },
        ready: Ready {
            ready: true,
            missing: Vec::new(),
        },
        esmes,
        correlation: Correlation {
            partitions: vec![CorrelationPartition {
                live: true,
                entries: 12_345,
                octets: 11 << 20,
                ..CorrelationPartition::default()
            }],
            ..Correlation::default()
        },
        memory: vec![Memory {
            name: "outbound records".into(),
            used: 1 << 20,
            bound: 64 << 20,
        }],
        ..Status::default()
    }
}

fn esme(name: &str, binds: Vec<Bind>) -> Esme {
    Esme {
        name: name.into(),
        rate: Rate {
            contracted: Some(200.0),
            here: Some(100.0),
        },
        binds,
        partitions: vec![Partition {
            topic: "sms.outbound".into(),
            partition: 1,
            phase: "taking over".into(),
            waits_for: Some("the end of a predecessor's transaction".into()),
            committed: 1_000,
            lag: Some(1_203),
            in_doubt: 2,
            in_flight: 12,
            ..Partition::default()
        }],
        ..Esme::default()
    }
}

/// One deployment with all that can be shown.
fn full() -> Top {
    let mut first = process(
        "p1",
        100,
        vec![
            esme(
                "acme",
                vec![bind("acme/0", "bound"), bind("acme/1", "refused")],
            ),
            esme("beta", vec![bind("beta/0", "bound")]),
        ],
    );
    first.ready = Ready {
        ready: false,
        missing: vec!["sms.outbound-1 is not open (taking over)".into()],
    };
    first.problems = vec![Problem {
        level: "error".into(),
        code: Some("KS-4001".into()),
        text: "messages are in doubt".into(),
        at: at(88),
        times: 3,
        ..Problem::default()
    }];
    let silent = process("p2", 40, vec![esme("acme", vec![bind("acme/2", "bound")])]);
    let times = Percentiles {
        p50: Some(0.004),
        p99: Some(0.120),
    };
    let sample = Sample {
        responses: 98.04,
        results: 97.0,
        receipts: 80.0,
        throttled: 1.5,
        delivered: Some(0.975),
        append_to_socket: times,
        submit_to_response: times,
        append_to_result: times,
        ..Sample::default()
    };
    let mut history = History::default();
    history.esmes.insert("acme".into(), [sample].into());
    let mut top = Top::new(1);
    let processes = Processes {
        processes: vec![first, silent],
    };
    top.heard(0, Ok((processes, Some(history))));
    top
}

fn terminal(top: &Top, width: u16, height: u16, has_colors: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| screen::draw(frame, top, has_colors))
        .unwrap();
    terminal
}

/// What stands on a screen of this size.
fn picture(top: &Top, width: u16, height: u16) -> Vec<String> {
    let terminal = terminal(top, width, height, true);
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(row).collect()
}

#[test]
fn a_small_terminal_shows_what_is_wrong_first_and_the_rest_by_scrolling() {
    let mut top = full();
    let shown = picture(&top, 80, 24);
    assert_eq!(
        shown,
        [
            "kafka-smpp top  sms  2 processes, 1 silent  22:15:00Z  NOT READY",
            "all  1 acme  2 beta",
            "not ready: pod-p1: sms.outbound-1 is not open (taking over)",
            "",
            "acme  1 of 2 binds bound  rate 100 of 200/s  lag 1,203  in doubt 2",
            "  submits 98.0/s  results 97/s  receipts 80/s  delivered 97.5 %  throttled 1.5/s",
            "  p50 / p99  to socket 4.0 ms / 120 ms  answer 4.0 ms / 120 ms  result 4.0 ms /",
            "    120 ms  receipt - / -",
            "  BIND             STATE      HOST                      WINDOW    RATE     TRIP",
            "  acme/0           bound      smsc1.example.net:2775    12/100      80    21 ms",
            "  acme/1           refused    smsc1.example.net:2775    12/100      80    21 ms",
            "    KS-2003 ESME_RINVPASWD (the password is wrong); again in 12.0 s",
            "  PARTITION             PHASE             COMMITTED      LAG IN DOUBT IN FLIGHT",
            "  sms.outbound-1        taking over            1000    1,203        2        12",
            "    waits for the end of a predecessor's transaction",
            "",
            "beta  1 of 1 bind bound  rate 100 of 200/s  lag 1,203  in doubt 2",
            "  BIND             STATE      HOST                      WINDOW    RATE     TRIP",
            "  beta/0           bound      smsc1.example.net:2775    12/100      80    21 ms",
            "  PARTITION             PHASE             COMMITTED      LAG IN DOUBT IN FLIGHT",
            "  sms.outbound-1        taking over            1000    1,203        2        12",
            "    waits for the end of a predecessor's transaction",
            "",
            "q quit  ↑↓ scroll  tab, 1-9 an ESME  0 all  p hold  9 lines more",
        ]
    );
    top.key(Key::Bottom, screen::height(24), view::page(&top, 80).len());
    let shown = picture(&top, 80, 24);
    let process = |name: &str, state: &str| {
        let host = format!("pod-{name}");
        format!("{name:22} {host:23} {state:14}     64 MiB 0.1.0")
    };
    assert_eq!(
        shown[13..],
        [
            "",
            "CORRELATION  12,345 messages, 0 receipts without one, 0 parts, 11 MiB",
            "  outbound records 1 MiB of 64 MiB",
            "",
            "PROCESS                HOST                    STATE              MEMORY VERSION",
            &process("p1", "not ready"),
            &process("p2", "silent 60 s"),
            "",
            "LAST IN THE LOG",
            "KS-4001 12.0 s ago, 3 times: messages are in doubt",
            "q quit  ↑↓ scroll  tab, 1-9 an ESME  0 all  p hold",
        ]
    );
}

#[test]
fn a_large_terminal_shows_all_and_one_esme_alone() {
    let mut top = full();
    let shown = picture(&top, 140, 40);
    let all = shown.join("\n");
    for words in ["acme/1", "beta/0", "LAST IN THE LOG", "silent 60 s"] {
        assert!(all.contains(words), "{all}");
    }
    assert!(!all.contains("lines more"), "{all}");
    assert!(
        !all.contains("acme/2"),
        "what is silent has no binds\n{all}"
    );
    top.key(Key::Choose(2), screen::height(40), 40);
    let all = picture(&top, 140, 40).join("\n");
    assert!(all.contains("beta/0") && !all.contains("acme/0"), "{all}");
}

#[test]
fn no_size_breaks_it() {
    let mut top = full();
    for (width, height) in [(1, 1), (2, 2), (10, 3), (20, 5), (79, 4), (300, 100)] {
        top.scroll = 1_000;
        assert_eq!(picture(&top, width, height).len(), usize::from(height));
    }
    assert!(picture(&Top::new(1), 80, 24)[0].starts_with("kafka-smpp top"));
}

#[test]
fn names_of_others_move_no_cursor() {
    let evil = "a\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{202e}b";
    let mut broken = bind(evil, evil);
    broken.host = Some(evil.into());
    broken.reason = Some(evil.into());
    broken.code = Some(evil.into());
    let mut account = esme(evil, vec![broken]);
    account.partitions[0].topic = evil.into();
    account.partitions[0].phase = evil.into();
    account.partitions[0].waits_for = Some(evil.into());
    let mut status = process(evil, 1, vec![account]);
    status.process.deployment = evil.into();
    status.process.software = evil.into();
    status.ready = Ready {
        ready: false,
        missing: vec![evil.into()],
    };
    status.memory[0].name = evil.into();
    status.problems = vec![Problem {
        level: evil.into(),
        code: Some(evil.into()),
        text: evil.into(),
        ..Problem::default()
    }];
    let mut top = Top::new(2);
    let processes = Processes {
        processes: vec![status],
    };
    top.heard(0, Ok((processes, None)));
    top.heard(1, Err(evil.into()));
    let lines = view::head(&top, 80).into_iter().chain(view::page(&top, 80));
    let text: String = lines.map(|line| line.text()).collect();
    assert!(text.contains("a\u{fffd}[2J"), "{text}");
    let bad = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!text.contains(bad), "{text:?}");
    assert!(picture(&top, 80, 24).iter().all(|row| !row.contains(bad)));
}

#[test]
fn without_colors_what_is_wrong_still_stands_out() {
    let top = full();
    for has_colors in [true, false] {
        let terminal = terminal(&top, 80, 24, has_colors);
        let cells = terminal.backend().buffer().content();
        let is_colored = cells.iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(is_colored, has_colors);
    }
}
