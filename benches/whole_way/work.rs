//! What it costs: processor time of the connector and the broker, and transactions.

use std::fmt;
use std::time::{Duration, Instant};

use super::Scene;
use super::harness::http::{get, sum};
use super::harness::kafka_pid;

/// Clock ticks of /proc in a second (`getconf CLK_TCK`, the same on all Linux).
const TICKS: u64 = 100;

/// What was used so far.
#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    connector: Duration,
    broker: Duration,
    transactions: f64,
}

/// From one moment on.
pub struct Work<'a> {
    scene: &'a Scene,
    connector: u32,
    since: Used,
}

/// What was used meanwhile.
pub struct Spent {
    time: Duration,
    connector: Duration,
    broker: Duration,
    transactions: f64,
}

/// For each message.
pub struct PerMessage {
    pub connector: Duration,
    pub broker: Duration,
}

/// In shares of a core, and transactions a second.
pub struct Load {
    connector: f64,
    broker: f64,
    transactions: f64,
}

impl<'a> Work<'a> {
    /// From now on, of the connector with this process id.
    pub fn of(scene: &'a Scene, connector: u32) -> Self {
        let since = Used::so_far(scene, connector);
        Work {
            scene,
            connector,
            since,
        }
    }

    /// Until now.
    pub fn until_now(&self) -> Spent {
        let (since, now) = (self.since, Used::so_far(self.scene, self.connector));
        Spent {
            time: now.at - since.at,
            connector: now.connector - since.connector,
            broker: now.broker - since.broker,
            transactions: now.transactions - since.transactions,
        }
    }
}

impl Used {
    fn so_far(scene: &Scene, connector: u32) -> Used {
        let metrics = get(scene.http, "/metrics").map_or(String::new(), |(_, text)| text);
        Used {
            at: Instant::now(),
            connector: processor_time(connector),
            broker: kafka_pid().map_or(Duration::ZERO, processor_time),
            transactions: sum(&metrics, "kafka_smpp_transactions_committed_total", &[]),
        }
    }
}

impl Spent {
    pub fn per_message(&self, messages: usize) -> PerMessage {
        PerMessage {
            connector: self.connector / messages as u32,
            broker: self.broker / messages as u32,
        }
    }

    pub fn load(&self) -> Load {
        let seconds = self.time.as_secs_f64();
        Load {
            connector: self.connector.as_secs_f64() / seconds,
            broker: self.broker.as_secs_f64() / seconds,
            transactions: self.transactions / seconds,
        }
    }
}

impl fmt::Display for PerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connector, broker) = (self.connector, self.broker);
        write!(f, "connector {connector:.1?}, broker {broker:.1?}")
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        write!(
            f,
            "connector {:.1} %, broker {:.1} % of a core, {:.1} transactions/s",
            percent(self.connector),
            percent(self.broker),
            self.transactions
        )
    }
}

/// User and system time of a process so far.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which stands in brackets, may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok());
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Peak resident memory of a process, in MiB.
pub fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
