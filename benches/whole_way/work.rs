//! What it costs: processor time of the connector and the broker, and transactions.

use std::fmt;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use super::harness::http::{get, sum};
use super::harness::{Process, kafka_pid};
use super::{Member, Scene};

/// What was used so far.
#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    connector: Duration,
    broker: Duration,
    transactions: f64,
}

/// From one moment on.
pub struct Work {
    /// Process and port of each connector.
    connectors: Vec<(u32, u16)>,
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
#[derive(Clone, Copy)]
pub struct PerMessage {
    /// Processor time of all connectors.
    pub connector: Duration,
    /// Processor time of the broker.
    pub broker: Duration,
}

/// In shares of a core, and transactions a second.
#[derive(Clone, Copy)]
pub struct Load {
    /// All connectors.
    pub connector: f64,
    /// The broker.
    pub broker: f64,
    /// Committed by all connectors.
    pub transactions: f64,
}

impl Work {
    /// From now on, of the one connector of a scene, ours or that of somebody else.
    pub fn of(scene: &Scene, connector: &Process) -> Self {
        Work::of_these(vec![(connector.pid(), scene.http)])
    }

    /// From now on, of several together.
    pub fn of_all(members: &[Member]) -> Self {
        let these = members.iter().map(|m| (m.connector.pid(), m.http));
        Work::of_these(these.collect())
    }

    fn of_these(connectors: Vec<(u32, u16)>) -> Self {
        let since = Used::so_far(&connectors);
        Work { connectors, since }
    }

    /// Until now.
    pub fn until_now(&self) -> Spent {
        let (since, now) = (self.since, Used::so_far(&self.connectors));
        Spent {
            time: now.at - since.at,
            connector: now.connector - since.connector,
            broker: now.broker - since.broker,
            transactions: now.transactions - since.transactions,
        }
    }
}

impl Used {
    fn so_far(connectors: &[(u32, u16)]) -> Used {
        let (mut connector, mut transactions) = (Duration::ZERO, 0.0);
        for (pid, http) in connectors {
            let metrics = get(*http, "/metrics").map_or(String::new(), |(_, text)| text);
            transactions += sum(&metrics, "kafka_smpp_transactions_committed_total", &[]);
            connector += processor_time(*pid);
        }
        Used {
            at: Instant::now(),
            connector,
            broker: kafka_pid().map_or(Duration::ZERO, processor_time),
            transactions,
        }
    }
}

impl Spent {
    /// For each of so many messages.
    pub fn per_message(&self, messages: usize) -> PerMessage {
        PerMessage {
            connector: self.connector / messages as u32,
            broker: self.broker / messages as u32,
        }
    }

    /// For each second.
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

/// User and system time of all threads of a process so far, those that have ended included.
pub fn processor_time(pid: u32) -> Duration {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32));
    let now = clock.and_then(ClockId::now);
    now.expect("the clock of a process that runs").into()
}
