//! What the congestion control makes of many kinds of SMSCs: each a row of a table.
//!
//! ```sh
//! cargo test -p smpp-esme --lib flow -- --nocapture
//! ```

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::simulated::{Case, Row, Smsc, run};
use super::{Flow, Sending, Siblings, Signal};

/// Says what came of it.
fn row(name: &str, case: Case) -> Row {
    let row = run(&case);
    println!("{name:40} {row}");
    row
}

fn after(milliseconds: f64) -> Smsc {
    Smsc {
        latency: Box::new(move |_, _| milliseconds / 1000.0),
        ..Smsc::default()
    }
}

#[test]
fn the_window_is_full_within_a_few_round_trips() {
    for (milliseconds, window, full) in [
        (1.0, 100, 0.08),
        (50.0, 100, 0.4),
        (300.0, 100, 2.0), // by satellite
        (50.0, 1, 0.01),
        (50.0, 10, 0.2),
        (50.0, 500, 0.5),
    ] {
        let row = row(
            &format!("{milliseconds} ms, window {window}"),
            Case {
                smsc: after(milliseconds),
                window,
                seconds: 10.0,
                from: 3.0,
                ..Case::default()
            },
        );
        let share = row.taken / (window as f64 / milliseconds * 1000.0);
        assert!(share > 0.97 && row.full_after <= full, "{share}");
        assert_eq!((row.most, row.timed_out), (window, 0));
    }
}

#[test]
fn nothing_times_out_at_a_slow_smsc() {
    for (rate, most) in [(0.3, 2), (1.0, 3), (3.0, 10), (10.0, 30), (200.0, 100)] {
        let row = row(
            &format!("{rate}/s, one at a time"),
            Case {
                smsc: Smsc {
                    serial: Box::new(move |_| rate),
                    ..Smsc::default()
                },
                seconds: 60.0,
                ..Case::default()
            },
        );
        assert!(row.taken > 0.9 * rate && row.most <= most);
        assert_eq!(row.timed_out, 0);
    }
}

#[test]
fn nothing_times_out_when_an_smsc_becomes_slow_and_it_is_fast_again_with_it() {
    let row = row(
        "100/s offered, 3/s from 10 s to 60 s",
        Case {
            smsc: Smsc {
                serial: Box::new(|t| match t {
                    10.0..60.0 => 3.0,
                    _ => 1000.0,
                }),
                ..after(20.0)
            },
            offered: Box::new(|_| 100.0),
            seconds: 90.0,
            ..Case::default()
        },
    );
    assert_eq!(row.timed_out, 0);
    assert!(row.taken > 0.97 * 100.0, "the backlog is gone");
}

#[test]
fn answers_that_are_late_in_their_own_way_do_not_make_it_small() {
    for (name, smsc, wanted) in [
        (
            "10 to 500 ms, in any order",
            Smsc {
                latency: Box::new(|_, random| 0.01 + 0.49 * random.next()),
                ..Smsc::default()
            },
            350.0,
        ),
        ("3 s, any number at once", after(3000.0), 32.0),
        (
            "0 to 4 s, in any order",
            Smsc {
                latency: Box::new(|_, random| 4.0 * random.next()),
                ..Smsc::default()
            },
            45.0,
        ),
        (
            "all at once every second",
            Smsc {
                beat: 1.0,
                ..Smsc::default()
            },
            99.0,
        ),
        (
            "all at once every 2 s",
            Smsc {
                beat: 2.0,
                ..Smsc::default()
            },
            45.0,
        ),
    ] {
        let row = row(
            name,
            Case {
                smsc,
                seconds: 80.0,
                from: 40.0,
                ..Case::default()
            },
        );
        assert!(row.taken > wanted && row.timed_out == 0);
    }
}

/// A lost answer holds its place until the response timer runs out, with any window: of 100
/// places, 1 % of the answers of ten seconds are lost.
#[test]
fn lost_answers_do_not_make_it_small() {
    for (loss, wanted) in [(0.01, 600.0), (0.5, 9.0)] {
        let row = row(
            &format!("{} % of the answers lost, 50 ms", loss * 100.0),
            Case {
                smsc: Smsc {
                    loss,
                    ..after(50.0)
                },
                seconds: 60.0,
                from: 20.0,
                ..Case::default()
            },
        );
        assert!(row.taken > wanted && row.at_last > 80);
    }
}

#[test]
fn it_finds_how_many_an_smsc_holds() {
    let of = |places: fn(f64) -> usize| Smsc {
        places: Box::new(places),
        ..after(50.0)
    };
    for (name, smsc, binds, from, wanted) in [
        ("20 places, 50 ms", of(|_| 20), 1, 10.0, 400.0),
        ("1 place, 50 ms", of(|_| 1), 1, 10.0, 19.0),
        (
            "20 places for 6 binds, 50 ms",
            Smsc {
                shared: true,
                ..of(|_| 20)
            },
            6,
            10.0,
            400.0,
        ),
        (
            "20 places, ESME_RTHROTTLED beyond",
            Smsc {
                full: Signal::TooFast,
                ..of(|_| 20)
            },
            1,
            10.0,
            400.0,
        ),
        (
            "20 places, 200 after 10 s",
            of(|t| if t < 10.0 { 20 } else { 200 }),
            1,
            30.0,
            2000.0,
        ),
        (
            "200 places, 10 after 10 s",
            of(|t| if t < 10.0 { 200 } else { 10 }),
            1,
            12.0,
            200.0,
        ),
        (
            "none for 2 s of every 10 s",
            of(|t| if t % 10.0 < 8.0 { 200 } else { 0 }),
            1,
            0.0,
            1440.0,
        ),
    ] {
        let row = row(
            name,
            Case {
                smsc,
                binds,
                seconds: 50.0,
                from,
                ..Case::default()
            },
        );
        assert!(row.taken > 0.9 * wanted && row.refused < 0.03);
        assert_eq!(row.timed_out, 0);
    }
}

/// A recipient's own queue may be full, too.
#[test]
fn a_refusal_among_many_taken_says_nothing_of_the_window() {
    let row = row(
        "1 % refused as full at random, 50 ms",
        Case {
            smsc: Smsc {
                moody: 0.01,
                ..after(50.0)
            },
            seconds: 40.0,
            from: 10.0,
            ..Case::default()
        },
    );
    assert!(row.taken > 500.0);
}

#[test]
fn a_time_in_which_nothing_is_taken_costs_little_more_than_itself() {
    for (period, length, wanted) in [(8.0, 0.5, 0.97), (1.0, 0.05, 0.9), (60.0, 20.0, 0.9)] {
        for milliseconds in [1.0, 50.0, 300.0] {
            let row = row(
                &format!("throttles {length} s of {period} s, {milliseconds} ms"),
                Case {
                    smsc: Smsc {
                        closed: Box::new(move |t| (t + period / 2.0) % period < length),
                        quick: milliseconds < 100.0, // by satellite nothing is
                        ..after(milliseconds)
                    },
                    binds: 6,
                    offered: Box::new(|_| 333.0),
                    seconds: if period > 10.0 { 120.0 } else { 48.0 },
                    ..Case::default()
                },
            );
            // What is under way when it begins is refused, too.
            assert!(row.taken > wanted * row.offered && row.refused < 0.1);
        }
    }
}

#[test]
fn it_settles_just_below_the_rate_that_the_smsc_takes() {
    for (binds, rates) in [(1, [20.0, 100.0, 1000.0]), (6, [60.0, 200.0, 1000.0])] {
        for allowed in rates {
            for (kind, burst, by_the_second) in [
                ("bucket of a second", allowed, false),
                ("bucket of a tenth", allowed / 10.0, false),
                ("by the second", 1.0, true),
            ] {
                let row = row(
                    &format!("{allowed}/s over {binds} binds, {kind}"),
                    Case {
                        smsc: Smsc {
                            allowed: Box::new(move |_| allowed),
                            burst,
                            by_the_second,
                            ..after(20.0)
                        },
                        binds,
                        seconds: 80.0,
                        from: 30.0,
                        ..Case::default()
                    },
                );
                let refused = if by_the_second { 0.08 } else { 0.02 };
                assert!(row.taken > 0.9 * allowed && row.refused < refused);
            }
        }
    }
}

#[test]
fn after_a_rest_the_next_request_tries_the_session_before_more_go() {
    let row = run(&Case {
        smsc: Smsc {
            deaf: Box::new(|t| t > 20.0),
            ..after(50.0)
        },
        offered: Box::new(|t| match t {
            ..10.0 => 1000.0,
            30.0..30.1 => 1000.0,
            _ => 0.0,
        }),
        seconds: 39.0,
        ..Case::default()
    });
    assert!(row.timed_out == 0 && row.most <= 100);
    assert_eq!(row.at_last_unanswered, 2, "of a burst of 100");
}

#[test]
fn a_burst_after_little_traffic_has_a_whole_window_soon() {
    let row = row(
        "1/s for a minute, then 3000",
        Case {
            smsc: after(50.0),
            offered: Box::new(|t| match t {
                60.0..61.0 => 3000.0,
                _ => 1.0,
            }),
            seconds: 62.5,
            from: 60.0,
            ..Case::default()
        },
    );
    assert!(row.taken * 2.5 > 2995.0, "1500 ms at 2000/s, and a second");
}

#[test]
fn a_fast_smsc_has_no_more_unanswered_than_it_needs_until_it_has_shown_something() {
    let row = row(
        "200 messages at once, 1 ms",
        Case {
            offered: Box::new(|t| if t < 0.0005 { 200_000.0 } else { 0.0 }),
            seconds: 2.0,
            ..Case::default()
        },
    );
    assert_eq!((row.most, row.taken), (16, 100.0));
}

#[test]
fn congestion_state_holds_and_shrinks() {
    let of = |state: u8| {
        let state = move |t: f64| (t >= 5.0).then_some(state);
        row(
            &format!("congestion_state {}", state(5.0).unwrap_or(0)),
            Case {
                smsc: Smsc {
                    congestion: Box::new(state),
                    places: Box::new(|t| if t < 5.0 { 30 } else { 100 }),
                    ..after(50.0)
                },
                seconds: 20.0,
                ..Case::default()
            },
        )
        .at_last
    };
    assert_eq!((of(79), of(85), of(95)), (100, 30, 1));
}

#[test]
fn sessions_that_die_young_are_tried_with_one_request_until_they_are_older() {
    let response = Duration::from_secs(10);
    let start = Instant::now();
    let mut flow = Flow::new(100, 2, response, Siblings::default(), start);
    let mut now = start;
    for wanted in [2, 1, 1, 1] {
        flow.began(now);
        assert_eq!(flow.allowed(), wanted);
        flow.sent(wanted, wanted, now);
        now += Duration::from_millis(200);
        flow.ended(wanted, now);
        now += Duration::from_secs(1);
    }
    // One that lives: an answer, and twice the time that the others had.
    flow.began(now);
    let answer = |flow: &mut Flow, now: Instant| {
        flow.sent(1, 1, now);
        let sending = Sending { at: now, rank: 1 };
        flow.answered(sending, Signal::Taken, None, now);
        flow.tick(0, now);
    };
    answer(&mut flow, now + Duration::from_millis(100));
    assert_eq!(flow.allowed(), 1, "not older than those");
    answer(&mut flow, now + Duration::from_millis(401));
    assert_eq!(flow.allowed(), 2);
    // Some seconds are no youth.
    flow.ended(2, now + Duration::from_secs(4));
    flow.began(now + Duration::from_secs(5));
    assert_eq!(flow.allowed(), 2);
}

#[test]
fn trouble_is_over_after_a_minute_without_a_complaint() {
    let start = Instant::now();
    let mut flow = Flow::new(100, 2, Duration::from_secs(10), Siblings::default(), start);
    flow.began(start);
    flow.sent(1, 1, start);
    let sending = Sending { at: start, rank: 1 };
    flow.answered(sending, Signal::TooFast, None, start);
    flow.tick(0, start);
    assert!(flow.pace(start).troubled && flow.pace(start).rate.is_some());
    let over = start + Duration::from_secs(60);
    assert_eq!(flow.next_tick(0).map(|at| at <= over), Some(true));
    flow.tick(0, over);
    let pace = flow.pace(over);
    assert!(!pace.troubled && pace.rate.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever an SMSC did for ten seconds, half a minute after it is well it gets all it can take.
    #[test]
    fn nothing_bad_lasts(
        kind in 0..6,
        milliseconds in 1.0..100.0,
        window in 1usize..200,
        binds in 1usize..4,
        seed in 1u64..1000,
    ) {
        let bad = |t: f64| (2.0..12.0).contains(&t);
        let places = move |t: f64| if kind == 0 && bad(t) { 0 } else { usize::MAX };
        let deaf = move |t: f64| kind == 2 && bad(t);
        let serial = move |t: f64| if kind == 3 && bad(t) { 20.0 } else { f64::INFINITY };
        let allowed = move |t: f64| if kind == 4 && bad(t) { 3.0 } else { f64::INFINITY };
        let congestion = move |t: f64| (kind == 5 && bad(t)).then_some(99);
        let row = run(&Case {
            smsc: Smsc {
                places: Box::new(places),
                closed: Box::new(move |t| kind == 1 && bad(t)),
                deaf: Box::new(deaf),
                serial: Box::new(serial),
                allowed: Box::new(allowed),
                congestion: Box::new(congestion),
                ..after(milliseconds)
            },
            binds,
            window,
            // Offered is what a window takes, or less: a rate that was limited may grow on.
            offered: Box::new(|_| 200.0),
            seconds: 60.0,
            from: 45.0,
            seed,
            ..Case::default()
        });
        let wanted = f64::min(200.0, (binds * window) as f64 / (milliseconds + 1.0) * 1000.0);
        prop_assert!(row.taken > 0.9 * wanted, "{row} of {wanted}");
    }
}
