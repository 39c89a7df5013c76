//! What a deployment may say, as `/processes` and `/history` have it.

use std::f64::consts::PI;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What the connector would answer.
#[derive(Clone)]
pub struct Deployment {
    pub processes: Vec<Value>,
    pub history: Value,
}

/// `seconds` ago, as times are written.
fn ago(seconds: f64) -> String {
    let before = SignedDuration::from_secs_f64(seconds);
    format!("{:.3}", Timestamp::now() - before)
}

/// Three processes and two ESMEs, and nothing is wrong.
pub fn well() -> Deployment {
    let processes = (0..3).map(|at| process(at, vec![acme(at), beta(at)]));
    Deployment {
        processes: processes.collect(),
        history: json!({"step": 10, "esmes": {"acme": hour(6, 430.0, &calm), "beta": hour(3, 60.0, &calm)}}),
    }
}

/// An SMSC has lost a host: four of six binds are gone, and the others are too slow for what comes.
pub fn outage() -> Deployment {
    let mut all = well();
    lose_a_host(&mut all);
    all.history["esmes"]["acme"] = hour(6, 430.0, &lost_host);
    all
}

fn lose_a_host(all: &mut Deployment) {
    let refused = "cannot connect to smsc1.example.net:2775: Connection refused";
    let backoff = json!({"state": "backoff", "host": "smsc1.example.net:2775", "reason": refused, "retry_in": 12.4});
    for (at, process) in all.processes.iter_mut().enumerate() {
        for number in [0, 1] {
            if at < 2 {
                unbound(&mut process["esmes"][0]["binds"][number], &backoff);
            }
            let lag = 61_204 - 9_000 * at as i64 + 1_331 * number as i64;
            let waiting = &mut process["esmes"][0]["partitions"][number];
            waiting["lag"] = json!(lag);
            waiting["end"] = json!(waiting["committed"].as_i64().unwrap_or_default() + lag);
            waiting["waits_for"] = json!(if at < 2 {
                "a bind that is bound"
            } else {
                "the SMSC, which throttles"
            });
        }
    }
    let bind = &mut all.processes[2]["esmes"][0]["binds"][0];
    bind["throttled"] = json!(true);
    bind["rate"] = json!(41.5);
    all.processes[2]["esmes"][0]["responses"]["ESME_RTHROTTLED"] = json!(8_412);
    all.processes[0]["problems"] = json!([problems()[1]]);
}

/// Nearly everything that can be wrong is.
pub fn wrong() -> Deployment {
    let mut all = well();
    lose_a_host(&mut all);
    let password = json!({"state": "refused", "host": "gw.beta.example:3550", "reason": "the SMSC answered bind_transceiver with ESME_RINVPASWD", "retry_in": 287.0});
    for process in &mut all.processes {
        unbound(&mut process["esmes"][1]["binds"][0], &password);
    }
    for process in &mut all.processes {
        process["esmes"][1]["partitions"][0]["lag"] = json!(4_120);
    }
    all.processes[2]["esmes"][0]["results"]["OUTCOME_UNKNOWN"] = json!(14);
    let still = &mut all.processes[2]["esmes"][0]["partitions"][1];
    still["phase"] = json!("standing still");
    still["waits_for"] = json!("an operator: the log ends below what was read of it");
    all.processes[0]["ready"] =
        json!({"ready": false, "missing": ["no bind of beta is bound", "2 binds of acme"]});
    all.processes[2]["memory"][0]["used"] = json!(250_000_000);
    all.processes[2]["correlation"]["partitions"][1]["live"] = json!(false);
    all.processes[1]["at"] = json!(ago(1.2));
    let gone = process(3, vec![]);
    all.processes.push(gone);
    all.processes[3]["at"] = json!(ago(48.0));
    all.processes[0]["problems"] = problems();
    all.history = json!({"step": 10, "esmes": {"acme": hour(6, 430.0, &lost_host), "beta": hour(3, 60.0, &dead)}});
    all
}

/// Operators have asked for much.
pub fn steered() -> Deployment {
    let mut all = well();
    for process in &mut all.processes {
        process["esmes"][0]["steering"] = json!({
            "paused": [
                {"unbound": false, "by": "anna", "reason": "campaign 4711 goes to the wrong numbers", "since": ago(900.0)},
                {"what": "sms.bulk", "unbound": false, "by": "ben", "since": ago(300.0)},
            ],
            "max_tps": 200.0, "window": 20,
        });
        process["esmes"][0]["rate"]["here"] = json!(200.0 / 3.0);
        process["esmes"][1]["steering"] = json!({
            "paused": [], "maintenance": {"from": ago(600.0), "until": ago(-3000.0), "by": "anna"},
        });
        process["esmes"][1]["binds"][0] = json!({"name": "beta-0", "mode": "transceiver", "state": "closed", "submits": true, "paused": true, "drained": true});
    }
    all
}

/// A process that says nothing but that it is one.
pub fn bare() -> Deployment {
    let process = json!({"version": 1, "at": ago(0.0), "process": {"host": "new-1", "name": "n", "phase": "starting"},
        "ready": {"ready": false, "missing": ["Kafka has not answered yet"]}});
    Deployment {
        processes: vec![process],
        history: json!({"step": 10, "esmes": {}}),
    }
}

/// Many binds and partitions.
pub fn crowded() -> Deployment {
    let mut all = well();
    all.processes.truncate(1);
    let esme = &mut all.processes[0]["esmes"][0];
    esme["binds"] = (0..64).map(|at| bind("acme", at)).collect();
    esme["partitions"] = (0..64).map(|at| partition("sms.outbound", at)).collect();
    all.processes[0]["esmes"][0]["binds"][63]["state"] = json!("connecting");
    all
}

/// What must not become anything but text.
pub const HOSTILE: &str =
    "<img src=x onerror=\"window.struck=1\"><script>window.struck=2</script>&amp;'\"";

/// Every text that comes from elsewhere is hostile, long, or both.
pub fn hostile() -> Deployment {
    let mut all = wrong();
    let long = "ω".repeat(300);
    for process in &mut all.processes {
        process["process"]["host"] = json!(format!("{HOSTILE}{long}"));
        process["process"]["software"] = json!(HOSTILE);
        process["ready"] = json!({"ready": false, "missing": [HOSTILE, long]});
        process["kafka"]["cluster"] = json!(format!("{HOSTILE}{long}"));
        process["memory"][0]["name"] = json!(HOSTILE);
        process["transactions"][0]["aborted"] = json!({HOSTILE: 3});
        process["correlation"]["counts"][HOSTILE] = json!(4);
        process["problems"] = json!([{"name": HOSTILE, "level": "error", "text": format!("{HOSTILE}\u{202e}{long}"), "about": HOSTILE, "at": ago(5.0), "times": 3}]);
        let Some(esme) = process["esmes"].get_mut(0) else {
            continue;
        };
        esme["name"] = json!(HOSTILE);
        esme["topics"] = json!([HOSTILE, long]);
        for map in ["responses", "results", "receipts", "counts"] {
            esme[map] = json!({HOSTILE: 7, long.as_str(): 9, "__proto__": 5, "constructor": 6});
        }
        for bind in [0, 1] {
            for name in ["name", "mode", "state", "host", "peer", "reason"] {
                esme["binds"][bind][name] = json!(format!("{HOSTILE}{long}"));
            }
        }
        for name in ["topic", "phase", "waits_for"] {
            esme["partitions"][0][name] = json!(format!("{HOSTILE}{long}"));
        }
        esme["steering"] = json!({"paused": [{"what": HOSTILE, "unbound": true, "by": HOSTILE, "reason": long, "since": "javascript:alert(1)"}],
            "maintenance": {"from": HOSTILE, "until": HOSTILE, "by": HOSTILE}});
    }
    // Names that mean something to an object of JavaScript.
    for process in &mut all.processes {
        let Some(esme) = process["esmes"].get_mut(1) else {
            continue;
        };
        esme["name"] = json!("constructor");
        esme["binds"][0]["state"] = json!("toString");
        esme["partitions"][0]["phase"] = json!("valueOf");
        process["process"]["phase"] = json!("hasOwnProperty");
    }
    let samples = all.history["esmes"]["acme"].take();
    all.history["esmes"] = json!({HOSTILE: samples});
    all
}

fn unbound(bind: &mut Value, with: &Value) {
    for gone in ["peer", "since", "round_trip", "rate"] {
        if let Some(bind) = bind.as_object_mut() {
            bind.remove(gone);
        }
    }
    for (name, value) in with.as_object().into_iter().flatten() {
        bind[name] = value.clone();
    }
    bind["window"] = json!({"used": 0, "allowed": 0, "most": 100});
    bind["counts"] = json!({"in_doubt": 37, "timeouts": 4, "failures": 19});
}

fn process(at: usize, esmes: Vec<Value>) -> Value {
    json!({
        "version": 1, "at": ago(0.4 * at as f64),
        "process": {"name": format!("k3v9-{at}f2a"), "host": format!("sms-connector-7d9c-{}", ["x2lqp", "8hj4t", "m0zrw", "q5k1d"][at]),
            "software": "0.1.0", "started_at": ago(93_000.0), "phase": "running", "resident_octets": 146_800_640},
        "ready": {"ready": true, "missing": []},
        "live": {"live": true, "stuck": []},
        "esmes": esmes,
        "correlation": {
            "partitions": [correlated(3 * at), correlated(3 * at + 1), correlated(3 * at + 2)],
            "counts": {"correlated": 1_204_112, "ambiguous": 3, "uncorrelated": 812, "parked": 40_221, "repeated": 97, "overdue": 1_310, "assembled": 644},
        },
        "deliveries": {"counts": {"receipts": 1_205_021, "inbound": 8_820, "parts": 1_932}},
        "transactions": [transactions("submit", 812_004, 3_920_115), transactions("correlate", 604_100, 2_310_777)],
        "memory": [
            {"name": "records of outbound topics", "used": 31_400_000, "bound": 268_435_456},
            {"name": "what SMSCs deliver", "used": 220_000, "bound": 67_108_864},
        ],
        "kafka": {"cluster": "5L6g3nShT-eMCtK--X86sw", "clients": [client("submit consumer", 0), client("submit producer", 41), client("correlate consumer", 0), client("deliver producer", 3)]},
        "problems": [],
    })
}

fn acme(process: usize) -> Value {
    let binds = [2 * process, 2 * process + 1];
    json!({
        "name": "acme", "topics": ["sms.otp", "sms.bulk"],
        "rate": {"contracted": 600.0, "here": 200.0},
        "binds": binds.map(|at| bind("acme", at)),
        "partitions": [partition("sms.otp", binds[0]), partition("sms.otp", binds[1]), partition("sms.bulk", binds[0]), partition("sms.bulk", binds[1])],
        "steering": {"paused": []},
        "responses": {"ESME_ROK": 1_300_114, "ESME_RTHROTTLED": 61, "ESME_RINVDSTADR": 2_202, "ESME_RSUBMITFAIL": 18},
        "results": {"ACCEPTED": 1_300_114, "REFUSED": 2_220, "INVALID_RECORD": 12, "EXPIRED": 4},
        "receipts": {"DELIVERED": 1_160_021, "UNDELIVERABLE": 61_402, "EXPIRED": 22_018, "REJECTED": 410, "ENROUTE": 5_120},
        "counts": {},
    })
}

fn beta(process: usize) -> Value {
    json!({
        "name": "beta", "topics": ["sms.beta"],
        "rate": {},
        "binds": [bind("beta", process)],
        "partitions": [partition("sms.beta", process)],
        "steering": {"paused": []},
        "responses": {"ESME_ROK": 188_020}, "results": {"ACCEPTED": 188_020}, "receipts": {"DELIVERED": 180_411, "UNDELIVERABLE": 3_101}, "counts": {},
    })
}

fn bind(esme: &str, at: usize) -> Value {
    let (host, peer) = match esme {
        "acme" => (
            format!("smsc{}.example.net:2775", at % 2 + 1),
            format!("192.0.2.{}:2775", at % 2 + 10),
        ),
        _ => ("gw.beta.example:3550".into(), "198.51.100.7:3550".into()),
    };
    json!({
        "name": format!("{esme}-{at}"), "mode": "transceiver", "state": "bound", "host": host, "peer": peer, "since": ago(61_000.0),
        "submits": true, "window": {"used": 17 + at % 5, "allowed": 80, "most": 100}, "contracted_rate": 100.0, "throttled": false,
        "round_trip": 0.021 + 0.002 * at as f64, "counts": {"in_doubt": 0, "timeouts": 0, "failures": 1, "answered": 402_110},
    })
}

fn partition(topic: &str, at: usize) -> Value {
    let committed = 2_110_345 + 777 * at as i64;
    json!({
        "topic": topic, "partition": at, "phase": "open", "committed": committed, "position": committed + 61, "end": committed + 64, "lag": 64,
        "reserved": committed + 52, "unfinished": 61, "waiting": 9, "delayed": 0, "ready": 31, "in_flight": 21, "octets": 48_400,
    })
}

fn correlated(at: usize) -> Value {
    json!({"partition": at, "live": true, "next": 4_400_100 + at, "entries": 31_020 + 12 * at, "parked": 14, "parts": 2, "octets": 12_400_000 + 9_000 * at, "gathered": 3})
}

fn transactions(pipeline: &str, committed: u64, records: u64) -> Value {
    json!({"pipeline": pipeline, "committed": committed, "aborted": {"a rebalance": 3}, "records": records,
        "took": {"le": [0.005, 0.01, 0.05, 0.1, 1.0], "counts": [10, committed - 5_000, 4_000, 900, 90, 0], "sum": 6_000.0}})
}

fn client(name: &str, queued: u64) -> Value {
    json!({"name": name, "brokers_up": 3, "brokers_down": 0, "queued": queued, "queued_octets": queued * 320, "round_trip": 0.0021, "timeouts": 0,
        "octets_in": 88_400_221, "octets_out": 12_400_221, "rebalances": 2})
}

fn problems() -> Value {
    json!([
        {"name": "bind_refused", "level": "error", "at": ago(14.0), "times": 9,
            "text": "the SMSC refuses the bind: ESME_RINVPASWD esme=beta bind=beta-0 host=gw.beta.example:3550",
            "about": "The account is wrong, or locked. Compare `system_id` and `password` with what the SMSC's operator says; it is tried again after `esme.reconnect.refused`."},
        {"name": "bind_failed", "level": "warn", "at": ago(31.0), "times": 204,
            "text": "a bind failed: cannot connect to smsc1.example.net:2775: Connection refused esme=acme bind=acme-1",
            "about": "The SMSC's host or port, or a firewall. All hosts are tried, then it waits, longer each time."},
        {"name": "log_lost_its_tail", "level": "error", "at": ago(7_200.0), "times": 1,
            "text": "the log ends below what was read of it topic=sms.otp partition=5",
            "about": "If the topic was created anew: `kafka-smpp offsets reset --to earliest`. If records were lost: `--to latest`."},
    ])
}

/// How one sample differs from the usual, at `part` (0 to 1) of the hour.
struct Turn {
    pace: f64,
    bound: u64,
    lag: f64,
    slow: f64,
    delivered: f64,
    throttled: f64,
}

fn calm(_: f64) -> Turn {
    Turn {
        pace: 1.0,
        bound: 6,
        lag: 380.0,
        slow: 1.0,
        delivered: 0.94,
        throttled: 0.0,
    }
}

/// Four of six binds are lost after 35 minutes.
fn lost_host(part: f64) -> Turn {
    if part < 0.58 {
        return Turn {
            throttled: if (part - 0.2).abs() < 0.02 { 30.0 } else { 0.0 },
            ..calm(part)
        };
    }
    let since = part - 0.58;
    Turn {
        pace: 0.2,
        bound: 2,
        lag: 400.0 + since * 700_000.0,
        slow: 6.0 + since * 60.0,
        delivered: 0.71,
        throttled: 22.0,
    }
}

fn dead(part: f64) -> Turn {
    if part < 0.9 {
        calm(part)
    } else {
        Turn {
            pace: 0.0,
            bound: 0,
            lag: (part - 0.9) * 120_000.0,
            ..calm(part)
        }
    }
}

fn hour(binds: u64, pace: f64, turn: &dyn Fn(f64) -> Turn) -> Value {
    (0..360)
        .map(|at| sample(binds, pace, f64::from(at), &turn(f64::from(at) / 360.0)))
        .collect()
}

fn sample(binds: u64, pace: f64, at: f64, turn: &Turn) -> Value {
    let bound = turn.bound.min(binds);
    let noise = |of: f64| ((at * 12.9898 + of).sin() * 43_758.545).fract();
    let wave = 1.0 + 0.12 * (at / 75.0 * PI).sin() + 0.07 * (at / 31.0).sin() + 0.04 * noise(1.0);
    let (usual, slow) = (1.0 + 0.08 * noise(2.0), 1.0 + 0.22 * noise(3.0).powi(3));
    let results = pace * wave * turn.pace;
    let took = |p50: f64, p99: f64| {
        if results > 0.0 {
            json!({"p50": p50 * usual, "p99": p99 * slow})
        } else {
            json!({})
        }
    };
    let mut sample = json!({
        "at": ago(10.0 * (359.0 - at)), "responses": results * 1.02 + turn.throttled, "throttled": turn.throttled, "results": results,
        "receipts": results * 0.97, "lag": (turn.lag * wave) as i64, "bound": bound, "binds": binds,
        "window_used": (bound as f64 * 18.0 * wave.min(1.2) * turn.slow.min(4.0)) as u64, "window_allowed": bound * 80,
        "append_to_socket": took(0.031, 0.088), "submit_to_response": took(0.042 * turn.slow, 0.18 * turn.slow),
        "append_to_result": took(0.09 * turn.slow, 0.31 * turn.slow), "submit_to_receipt": took(2.4, 9.0),
    });
    if results > 0.0 {
        sample["delivered"] = json!((turn.delivered + 0.01 * (at / 7.0).sin()).min(1.0));
    }
    sample
}
