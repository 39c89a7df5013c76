//! How many messages a second go through one session: ours and those of other authors, each in a
//! process of its own, against the same simulator in its own process. They take turns, so that
//! whatever else the machine does meets them all, and medians are compared.
//!
//! ```text
//! cargo bench --bench session
//! BENCH_MESSAGES=300000 BENCH_ROUNDS=9 BENCH_WINDOW=100 cargo bench --bench session
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Not everything that tests need is needed here.
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
mod ours;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Process, cached, free_port, jars, run, scratch, setting};

const OURS: &str = "kafka-smpp";

/// How long a client may take for its messages.
const PATIENCE: Duration = Duration::from_secs(90);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` asks every bench for its tests: there are none.
    if args.iter().any(|a| a == "--list" || a == "--test") {
        return;
    }
    if let [client, port, messages, window] = &args[..]
        && client == OURS
    {
        let [messages, window] = [messages, window].map(|n| n.parse().expect("a number"));
        return println!("{:.0}", ours::run(port, messages, window));
    }
    let messages = setting("BENCH_MESSAGES", 200_000);
    let window = setting("BENCH_WINDOW", 100);
    let port = free_port();
    let _smsc = smsc(port);
    let mut clients = clients();
    for round in 1..=setting("BENCH_ROUNDS", 7) {
        for client in &mut clients {
            match client.measure(port, messages, window) {
                Some(rate) => println!("round {round}  {:12} {rate:9.0} msg/s", client.name),
                None => println!("round {round}  {:12} did not end", client.name),
            }
        }
    }
    let ours = clients.remove(0).median().expect("ours ended");
    println!("\n{messages} messages of 160 octets, window {window}, medians:");
    println!("{OURS:12} {ours:9.0} msg/s");
    for mut client in clients {
        let Some(theirs) = client.median() else {
            println!("{:12} never ended", client.name);
            continue;
        };
        let ratio = ours / theirs;
        println!(
            "{:12} {theirs:9.0} msg/s, ours is {ratio:.2} times that",
            client.name
        );
    }
}

fn smsc(port: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"));
    command
        .arg("smsc")
        .args(["--listen", &format!("127.0.0.1:{port}")]);
    let mut smsc = Process::start("smsc", &mut command, scratch("smsc").join("log"));
    smsc.wait_for_log(&port.to_string(), Duration::from_secs(10));
    smsc
}

/// An ESME and how fast it was.
struct Client {
    name: &'static str,
    command: Vec<PathBuf>,
    rates: Vec<f64>,
}

/// All clients, ours first.
fn clients() -> Vec<Client> {
    let ours = std::env::current_exe().expect("a path");
    let others = others();
    let java = |peer: &str, version: &str, source: &str| {
        let source = folder().join("java").join(source);
        let jars = jars(peer, version).join("*");
        let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
        ["java", "-Xmx512m", quiet, "-cp"]
            .map(PathBuf::from)
            .into_iter()
            .chain([jars, source])
            .collect()
    };
    let client = |name, command| Client {
        name,
        command,
        rates: Vec::new(),
    };
    vec![
        client(OURS, vec![ours, OURS.into()]),
        client("rusmppc", vec![others.clone(), "rusmppc".into()]),
        client("smpp34", vec![others, "smpp34".into()]),
        client("jSMPP", java("jsmpp", "3.0.1", "Jsmpp.java")),
        client(
            "Cloudhopper",
            java("cloudhopper", "5.0.9", "Cloudhopper.java"),
        ),
    ]
}

impl Client {
    /// Messages a second; nothing if it does not end: some clients lose an answer now and then,
    /// and wait for it for ever.
    fn measure(&mut self, port: u16, messages: u64, window: u64) -> Option<f64> {
        let [program, args @ ..] = &self.command[..] else {
            unreachable!("a program")
        };
        let numbers = [port.into(), messages, window].map(|n| n.to_string());
        let mut command = Command::new(program);
        command.args(args).args(numbers);
        let mut running = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let began = Instant::now();
        while running.try_wait().expect("its state").is_none() {
            if began.elapsed() > PATIENCE {
                running.kill().expect("it runs");
                running.wait().expect("it ends");
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = running.wait_with_output().expect("what it said");
        let error = String::from_utf8_lossy(&said.stderr);
        let rate = String::from_utf8_lossy(&said.stdout);
        let rate = rate
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{}: {rate}{error}", self.name));
        self.rates.push(rate);
        Some(rate)
    }

    fn median(&mut self) -> Option<f64> {
        self.rates.sort_by(f64::total_cmp);
        self.rates.get(self.rates.len() / 2).copied()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/session")
}

/// The program with the clients in Rust, built once.
fn others() -> PathBuf {
    let built = cached("session-others-1", |into| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--release", "--locked", "--target-dir"])
            .arg(into)
            .current_dir(folder().join("others"));
        run(&mut cargo, "crates.io is needed once");
    });
    built.join("release/others")
}
