//! A real Kafka broker: KRaft, one process, on 127.0.0.1.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::PATIENCE;
use super::client::Kafka;
use super::fetch::{cached, jars_of_kafka, progress, run, source};
use super::process::{Process, free_port, its_turn, scratch};
use super::tokens::TokenEndpoint;

/// The id of most clusters.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// The file of [`loaded_classes`].
const CLASSES: &str = "classes.jsa";
/// What Java is told where much is started and little is asked.
const SMALL_JAVA: &[&str] = &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// What kafka-server-start.sh tells it.
const KAFKAS_OWN_JAVA: &[&str] = &[
    "-server",
    "-Xmx1G",
    "-Xms1G",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
/// Compaction and retention that can be watched.
const WATCHED: &str = "
log.cleaner.backoff.ms=500
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
";

/// A broker of our own; it ends with the value, or with the test process.
pub struct Broker {
    jars: PathBuf,
    dir: PathBuf,
    ports: Ports,
    java: &'static [&'static str],
    process: Process,
}

/// Where a broker listens, and where it says that it does.
#[derive(Clone, Copy)]
struct Ports {
    own: u16,
    advertised: u16,
}

impl Ports {
    /// Free ones, with nothing in between.
    fn direct() -> Ports {
        let own = free_port();
        Ports {
            own,
            advertised: own,
        }
    }
}

/// The broker that all share; the first who asks for it says how it is started.
static SHARED: OnceLock<(Option<Broker>, Kafka)> = OnceLock::new();

/// The broker all tests share, each with its own topics and groups: the one at
/// `KAFKA_BOOTSTRAP`, or one started here.
pub fn kafka() -> Kafka {
    shared().1.clone()
}

/// The process of the broker all tests share, if it was started here, and is there by now.
pub fn kafka_pid() -> Option<u32> {
    SHARED.get()?.0.as_ref().map(Broker::pid)
}

/// As [`kafka`], for who measures: Java as Kafka's own script starts it, and compaction and retention as often
/// as Kafka does them by default, with these properties besides. The first that is asked for is the one that
/// all share.
pub fn kafka_to_measure(properties: &str) -> Kafka {
    shared_as(|| Broker::start_to_measure(properties)).1.clone()
}

fn shared() -> &'static (Option<Broker>, Kafka) {
    // Nobody kills it, and on a busy machine it must not seem dead.
    shared_as(|| Broker::start(Ports::direct(), 60_000, ""))
}

fn shared_as(start: impl FnOnce() -> Broker) -> &'static (Option<Broker>, Kafka) {
    SHARED.get_or_init(|| match std::env::var("KAFKA_BOOTSTRAP") {
        Ok(bootstrap) => (None, Kafka::at(bootstrap)),
        Err(_) => {
            let broker = start();
            let kafka = broker.kafka();
            (Some(broker), kafka)
        }
    })
}

/// A broker with an authorizer.
pub struct Secured {
    /// The broker; its own port is for superusers.
    pub broker: Broker,
    /// Where users log in.
    pub port: u16,
}

impl Secured {
    /// Who carries out commands of kafka-acls.sh.
    pub fn acls(&self) -> Acls {
        let _turn = its_turn();
        let mut java = java(&self.broker.jars, &self.broker.dir, SMALL_JAVA);
        java.arg(source("kafka").join("Acls.java"))
            .arg(format!("127.0.0.1:{}", self.broker.ports.own))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = java.spawn().expect("java starts");
        let commands = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut acls = Acls {
            child,
            commands,
            answers,
        };
        assert_eq!(acls.answer(), "ready");
        acls
    }
}

/// Carries out commands of kafka-acls.sh.
pub struct Acls {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Acls {
    /// Carries out `command`, which must be right.
    pub fn run(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("it takes commands");
        assert_eq!(self.answer(), "done", "{command}");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().to_owned()
    }
}

impl Drop for Acls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    /// Starts a broker for one test: to be killed, frozen or restarted.
    pub fn start_private() -> Broker {
        Broker::start(Ports::direct(), 3000, "")
    }

    /// As [`start_private`](Self::start_private), but clients are told to come through a
    /// proxy on this port. Where it forwards to is told before the broker is asked whether it answers:
    /// a client that has learnt the proxy's address asks there.
    pub fn start_behind(proxy: u16, forward_to: impl FnOnce(u16)) -> Broker {
        let ports = Ports {
            advertised: proxy,
            ..Ports::direct()
        };
        forward_to(ports.own);
        Broker::start(ports, 3000, "")
    }

    /// A broker for one test, with these properties besides.
    pub fn start_with(properties: &str) -> Broker {
        Broker::start(Ports::direct(), 3000, properties)
    }

    /// A broker for one test that allows nothing to nobody, but everything to who comes in the
    /// clear, as tests do. These users, with their passwords, may log in with SASL/PLAIN where
    /// `Secured::port` says.
    pub fn start_secured(users: &[(&str, &str)]) -> Secured {
        let port = free_port();
        let users: String = (users.iter())
            .map(|(user, password)| format!(" user_{user}=\"{password}\""))
            .collect();
        let properties = format!(
            "
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required{users};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
# A wrong password is answered at once.
connection.failed.authentication.delay.ms=0
"
        );
        let broker = Broker::start_on(Ports::direct(), Some(port), 60_000, &properties);
        Secured { broker, port }
    }

    /// A broker for one test where who comes in the clear may do everything, as tests do, and where
    /// `Secured::port` says one logs in with the tokens of this endpoint.
    pub fn start_with_tokens(endpoint: &TokenEndpoint) -> Secured {
        let port = free_port();
        let broker = Broker::start_on(
            Ports::direct(),
            Some(port),
            60_000,
            &endpoint.broker_properties(),
        );
        Secured { broker, port }
    }

    fn start(ports: Ports, session_millis: u32, more: &str) -> Broker {
        Broker::start_on(ports, None, session_millis, more)
    }

    /// A cluster for one test that has another id than those of all others.
    pub fn start_another() -> Broker {
        Broker::start_as(
            "QW5vdGhlckNsdXN0ZXJJZA",
            Ports::direct(),
            None,
            60_000,
            WATCHED,
            SMALL_JAVA,
        )
    }

    fn start_to_measure(properties: &str) -> Broker {
        Broker::start_as(
            CLUSTER,
            Ports::direct(),
            None,
            60_000,
            properties,
            KAFKAS_OWN_JAVA,
        )
    }

    fn start_on(ports: Ports, sasl: Option<u16>, session_millis: u32, more: &str) -> Broker {
        let more = WATCHED.to_owned() + more;
        Broker::start_as(CLUSTER, ports, sasl, session_millis, &more, SMALL_JAVA)
    }

    fn start_as(
        cluster: &str,
        ports: Ports,
        sasl: Option<u16>,
        session_millis: u32,
        more: &str,
        java: &'static [&'static str],
    ) -> Broker {
        let jars = jars_of_kafka("kafka");
        progress("starting a Kafka broker");
        let dir = scratch("kafka");
        std::fs::write(
            dir.join("server.properties"),
            properties(&dir, ports, sasl, session_millis) + more,
        )
        .expect("a file");
        let _turn = its_turn();
        let begun = Instant::now();
        format_storage(&jars, &dir, cluster);
        let process = launch(&jars, &dir, java);
        let mut broker = Broker {
            jars,
            dir,
            ports,
            java,
            process,
        };
        broker.wait_until_it_answers();
        progress(&format!(
            "Kafka answers after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
        broker
    }

    /// A client of this broker.
    pub fn kafka(&self) -> Kafka {
        Kafka::at(format!("127.0.0.1:{}", self.ports.advertised))
    }

    /// Kills it; its data stays for [`restart`](Self::restart).
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        self.process.kill9();
        let _turn = its_turn();
        self.process = launch(&self.jars, &self.dir, self.java);
        self.wait_until_it_answers();
    }

    /// Takes the last batch off a partition's log, as when the machine lost power before its disk
    /// had it. Only while the broker is not running.
    pub fn lose_last_batch(&self, topic: &str, partition: i32) {
        let folder = self.dir.join("logs").join(format!("{topic}-{partition}"));
        let log = folder.join("00000000000000000000.log");
        let octets = std::fs::read(&log).expect("the first segment");
        // Each batch begins with its base offset (8 octets) and the length of what follows (4).
        let mut last = 0;
        let mut next = 0;
        while let Some(head) = octets.get(next..next + 12) {
            last = next;
            let length = u32::from_be_bytes(head[8..].try_into().expect("4 octets"));
            next += 12 + length as usize;
        }
        assert_eq!(next, octets.len(), "whole batches");
        let log = std::fs::OpenOptions::new().write(true).open(log);
        log.and_then(|log| log.set_len(last as u64)).expect("cut");
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// The broker's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.ports.own
    }

    fn wait_until_it_answers(&mut self) {
        wait_until_it_answers(&mut self.process, self.ports.own);
    }
}

fn wait_until_it_answers(process: &mut Process, port: u16) {
    let direct = Kafka::at(format!("127.0.0.1:{port}"));
    let probe: BaseConsumer = direct.config().create().expect("a client");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) if !metadata.brokers().is_empty() => return,
            _ => {
                let ended = process.ended();
                assert!(ended.is_none(), "Kafka ended: {ended:?}");
                assert!(Instant::now() < deadline, "Kafka does not answer");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Makes the folders that the broker of `dir` keeps its data in, for a cluster of that id. The first for a
/// cluster is made by Kafka's own tool; it is a Java program, so the others are copies.
fn format_storage(jars: &Path, dir: &Path, cluster: &str) {
    type Made = HashMap<(PathBuf, String), PathBuf>;
    static MADE: Mutex<Option<Made>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
    let made = made.get_or_insert_default();
    let of = (jars.to_owned(), cluster.to_owned());
    let logs = dir.join("logs");
    let kept = made.entry(of).or_insert_with(|| {
        run(
            java(jars, dir, SMALL_JAVA)
                .args(["kafka.tools.StorageTool", "format"])
                .args(["-t", cluster, "-c", "server.properties"]),
            "formatting Kafka's storage",
        );
        let kept = scratch("formatted");
        copy_files(&logs, &kept);
        kept
    });
    copy_files(kept, &logs);
}

fn copy_files(from: &Path, into: &Path) {
    std::fs::create_dir_all(into).expect("a folder");
    for file in std::fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), into.join(file.file_name())).expect("copied");
    }
}

fn launch(jars: &Path, dir: &Path, flags: &[&str]) -> Process {
    let mut command = java(jars, dir, flags);
    command.arg(format!(
        "-XX:SharedArchiveFile={}",
        loaded_classes(jars).display()
    ));
    // Kafka asks nobody for the keys of tokens whom its command line does not name.
    let properties = std::fs::read_to_string(dir.join("server.properties")).expect("a file");
    if let Some((_, url)) = properties.split_once("jwks.endpoint.url=") {
        let url = url.lines().next().expect("an address");
        let allowed = "org.apache.kafka.sasl.oauthbearer.allowed.urls";
        command.arg(format!("-D{allowed}={url}"));
    }
    command.args(["kafka.Kafka", "server.properties"]);
    Process::start("Kafka", &mut command, dir.join("server.log"))
}

/// The classes that a broker loads at its start, as Java keeps them: with these it needs half the CPU time.
/// Java does without where it cannot use them.
fn loaded_classes(jars: &Path) -> PathBuf {
    let jars_name = jars.file_name().expect("a folder").to_string_lossy();
    let folder = cached(&format!("{jars_name}-started"), |into| {
        let (dir, ports) = (scratch("kafka"), Ports::direct());
        let properties = properties(&dir, ports, None, 60_000);
        std::fs::write(dir.join("server.properties"), properties).expect("a file");
        format_storage(jars, &dir, CLUSTER);
        let mut command = java(jars, &dir, SMALL_JAVA);
        let archive = into.join(CLASSES);
        command
            .arg(format!("-XX:ArchiveClassesAtExit={}", archive.display()))
            .args(["kafka.Kafka", "server.properties"]);
        let mut process = Process::start("Kafka", &mut command, dir.join("server.log"));
        wait_until_it_answers(&mut process, ports.own);
        process.signal(SIGTERM);
        process.wait(PATIENCE);
    });
    folder.join(CLASSES)
}

fn java(jars: &Path, dir: &Path, flags: &[&str]) -> Command {
    let mut java = Command::new("java");
    java.current_dir(dir)
        .args(flags)
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(jars.join("*"));
    java
}

fn properties(
    dir: &Path,
    Ports { own, advertised }: Ports,
    sasl: Option<u16>,
    session_millis: u32,
) -> String {
    let controller = free_port();
    let logs = dir.join("logs");
    let sasl = sasl.map_or(String::new(), |port| format!(",SASL://127.0.0.1:{port}"));
    format!(
        "
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller}{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}{sasl}
controller.listener.names=CONTROLLER
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.session.timeout.ms=3000
group.consumer.session.timeout.ms=30000
# 3000: a broker killed with -9 is back in 4 s instead of 14.
broker.session.timeout.ms={session_millis}
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=8388608
",
        logs = logs.display()
    )
}
