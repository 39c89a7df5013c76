//! `kafka-smpp demo`: the main job in one process, on nothing but this machine.
//!
//! Kafka is librdkafka's mock cluster and the SMSC is the simulator; between them runs the
//! connector as `kafka-smpp run` runs it. The mock cluster proves nothing about guarantees; the
//! tests do, on real Kafka.

mod samples;
mod screen;

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio_util::sync::CancellationToken;

use self::samples::{Sample, samples};
use self::screen::Screen;
use crate::cli::broker::failed;
use crate::cli::events::{Reader, StartAt, topics};
use crate::cli::{Code, Failure};
use crate::codes;
use crate::config::{Config, parse};
use crate::{connector, ops};
use smsc_simulator::{Handle, Mo, Options, Simulator};

/// Show the main job on nothing but this machine
#[derive(clap::Args)]
#[command(after_help = "\
An in-process Kafka and a simulated SMSC, with the real connector between them: messages are
produced (a long one, a Cyrillic one, an emoji, a bad one), and every event is shown as it comes.

Examples:
  kafka-smpp demo
  kafka-smpp demo --messages 500
  kafka-smpp demo --keep-running")]
pub(in crate::cli) struct Args {
    /// How many messages
    #[arg(short = 'n', long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    messages: u32,
    /// Go on until Ctrl-C: a message every second, and an answer from a subscriber now and then
    #[arg(short, long)]
    keep_running: bool,
    /// How much of the connector's log to show: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log: String,
}

/// How long the events of the last message may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The mock cluster, the SMSC and the connector.
struct Stage {
    // Dropped last: the connector talks to it until it has stopped.
    kafka: MockCluster<'static, DefaultProducerContext>,
    smsc: Handle,
    config: Config,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let stage = runtime.block_on(Stage::set(&args.log))?;
    let log = ops::logging::start(&stage.config.log)
        .map_err(|error| Failure::new(Code::Software, codes::BUG, error.to_string()))?;
    let mut reader = Reader::open(
        &stage.config,
        &topics(&stage.config, &[])?,
        StartAt::Beginning,
    )?;
    let shutdown = CancellationToken::new();
    let connector = runtime.spawn(connector::run(
        stage.config.clone(),
        Some(log),
        shutdown.clone(),
    ));
    let interrupted = shutdown.clone();
    runtime.spawn(async move {
        // Without Ctrl-C there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
        interrupted.cancel();
    });

    let mut screen = Screen::new(args.messages);
    screen.say(&format!(
        "Kafka (in this process) at {}, SMSC (simulated) at {}, the connector between them.",
        stage.kafka.bootstrap_servers(),
        stage.smsc.addr()
    ))?;
    let shown = stage.play(args, &mut reader, &mut screen, &shutdown);
    shutdown.cancel();
    let stopped = runtime.block_on(async {
        let stopped = connector.await;
        stage.smsc.stop();
        stage.smsc.stopped().await;
        stopped
    });
    let summed = screen.summary();
    runtime.shutdown_timeout(Duration::from_secs(1));
    match stopped {
        Ok(ended) => ended?,
        Err(error) => return Err(Failure::new(Code::Software, codes::BUG, error.to_string())),
    }
    shown?;
    summed
}

impl Stage {
    async fn set(level: &str) -> Result<Stage, Failure> {
        let kafka = MockCluster::new(1).map_err(failed("no mock cluster"))?;
        let smsc = Simulator::start(simulator()?).await?;
        let config = parse(&configuration(&kafka.bootstrap_servers(), &smsc, level), [])?;
        for topic in config.wanted_topics(2) {
            kafka
                .create_topic(&topic.name, topic.partitions, 1)
                .map_err(failed(format!("topic {}", topic.name)))?;
        }
        Ok(Stage {
            kafka,
            smsc,
            config,
        })
    }

    /// Produces the messages and shows what comes, until everything has come.
    fn play(
        &self,
        args: &Args,
        reader: &mut Reader,
        screen: &mut Screen,
        shutdown: &CancellationToken,
    ) -> Result<(), Failure> {
        let producer: BaseProducer = self
            .config
            .kafka
            .producer()
            .create()
            .map_err(failed("no Kafka client can be made"))?;
        let mut waiting = samples(args.messages).into_iter();
        let mut answered = false;
        let mut quiet_since = Instant::now();
        let mut extra = args.messages;
        while !shutdown.is_cancelled() {
            // A few at a time, so that a person can follow.
            for sample in waiting.by_ref().take(pace(args.messages)) {
                self.produce(&producer, &sample, screen)?;
            }
            if !answered && !self.smsc.binds().is_empty() {
                self.smsc
                    .deliver(&Mo::new("491512345678", "12345", "STOP"))?;
                screen.inbound_expected(1);
                answered = true;
            }
            while let Some(event) = reader.next(Duration::from_millis(50))? {
                screen.event(&event)?;
                quiet_since = Instant::now();
            }
            if waiting.len() == 0 && screen.complete() {
                if !args.keep_running {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_secs(1));
                self.produce(&producer, &Sample::number(extra), screen)?;
                extra += 1;
                answered = !extra.is_multiple_of(10);
            }
            if quiet_since.elapsed() > TIMEOUT {
                let text = format!("no event for {} s", TIMEOUT.as_secs());
                return Err(Failure::new(Code::Software, codes::BUG, text));
            }
        }
        Ok(())
    }

    fn produce(
        &self,
        producer: &BaseProducer,
        sample: &Sample,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let mut record = BaseRecord::to("sms.outbound")
            .payload(&sample.value)
            .key(&sample.key);
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(failed("topic sms.outbound")(error));
            }
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        producer
            .flush(Duration::from_secs(10))
            .map_err(failed("topic sms.outbound"))?;
        screen.produced(sample)
    }
}

fn pace(messages: u32) -> usize {
    (messages as usize).div_ceil(20)
}

fn simulator() -> Result<Options, Failure> {
    let wrong = |text: String| Failure::new(Code::Software, codes::BUG, text);
    let mut options = Options {
        remember: 0,
        ..Options::default()
    };
    options.accounts = vec!["demo:demo".parse().map_err(wrong)?];
    options.receipts.delay = "300ms..1s".parse().map_err(wrong)?;
    options.receipts.outcomes = "DELIVRD=5,UNDELIV=1".parse().map_err(wrong)?;
    options.response_delay = "5ms..30ms".parse().map_err(wrong)?;
    options.faults = vec![
        format!("status=ESME_RINVDSTADR to={}", samples::UNREACHABLE)
            .parse()
            .map_err(wrong)?,
    ];
    Ok(options)
}

fn configuration(bootstrap: &str, smsc: &Handle, level: &str) -> String {
    format!(
        "
shutdown_timeout = \"5s\"
[kafka]
bootstrap_servers = {bootstrap:?}
application_id = \"demo\"
[log]
level = {level:?}
format = \"text\"
[[esme]]
name = \"demo\"
outbound = [\"sms.outbound\"]
hosts = [\"{}\"]
system_id = \"demo\"
password = \"demo\"
source = \"12345\"
",
        smsc.addr()
    )
}
