//! What is said of submitting: every line of this part at `info` and above.

use std::fmt;
use std::time::Duration;

use smpp_protocol::Status;

use crate::codes;
use crate::kafka::Partition;
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of submitting.
    pub(crate) static NOTICES;

    /// Messages are in doubt: an SMSC may have taken them, and its answer is not known. The text says
    /// why, what becomes of them, and what can be done.
    warn[codes::IN_DOUBT] InDoubt<'a> "{words}" {
        /// Why, what becomes of them, and what can be done.
        inline words: &'a str,
        /// The bind that had them.
        value bind: &'a str,
        /// How many since the last such line.
        value in_doubt: u64,
        /// How many of them are sent again.
        value resent: u64,
        /// How many of them are reported as OUTCOME_UNKNOWN.
        value reported: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// Of which partitions; only some are named if there are many.
        value partitions: &'a str,
    }

    /// The binds that partitions share ended with an error, which is a bug.
    error[codes::BUG] BindGroupEndedBadly<'a> "a group of binds ended badly" {
        /// What happened.
        display error: &'a dyn fmt::Display,
    }

    /// The SMSC has refused nothing as too much for a minute.
    info TakesEverythingAgain<'a> "the SMSC takes everything again: it refused nothing as too much for a minute" {
        /// Which bind.
        value bind: &'a str,
        /// How many messages it keeps unanswered at most by now.
        value window: usize,
    }

    /// An SMSC takes fewer messages than it is offered. What it refused is sent again; if this goes
    /// on, set `max_tps`, `max_tps_per_bind` or `window` to what the contract allows.
    warn[codes::THROTTLED] Throttled<'a> "{words}" {
        /// What the SMSC says by its status, and what can be done.
        inline words: &'a str,
        /// Which bind.
        value bind: &'a str,
        /// How many messages it refused since the last such line.
        value refused: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// With which command_status, the latest.
        display status: Status,
        /// How many messages the bind keeps unanswered at most by now.
        value window: usize,
        /// How many messages a second it sends at most by now.
        value rate: &'a str,
    }

    /// The SMSC answers a bind as one of SMPP 3.3, and is sent no optional parameters. Set
    /// `interface_version`, so that this is known before the first bind.
    warn[codes::SPEAKS_SMPP_33] SpeaksSmpp33<'a> "the SMSC speaks SMPP 3.3 (sc_interface_version {version}): it is sent no optional parameters. Set interface_version = \"3.3\"" {
        /// The version that it names, in hexadecimal.
        inline version: &'a str,
        /// Which bind.
        value bind: &'a str,
    }

    /// At the end of the process the last transaction has no answer. Whoever takes the partitions
    /// over finds out what became of it.
    warn[codes::LAST_COMMIT_UNKNOWN] LastTransactionUnanswered "Kafka does not answer the last transaction in time" {}

    /// The process ends: it takes no more records and waits for the answers to what is out.
    info Draining "draining" {
        /// Messages without an answer.
        value outstanding: usize,
    }

    /// The process ends before SMSCs have answered everything. Raise `shutdown_timeout` if they are
    /// slow, and the grace period of whatever ends the process with it.
    warn[codes::NOT_DRAINED] NotDrained "some messages are not answered in time; they are in doubt" {
        /// Messages without an answer.
        value outstanding: usize,
    }

    /// Records of an ESME wait because no bind is up. The lines about its binds say why.
    warn[codes::NOT_BOUND] WaitForBind<'a> "records wait for a bind, because none of their partition is up; what is said of the binds has the reason" {
        /// The ESME.
        display esme: &'a str,
        /// How many partitions wait.
        value partitions: usize,
        /// One of them.
        display one: &'a Partition,
    }

    /// Somebody changed the number of partitions of an internal topic, by which receipts find their
    /// messages. Do as the text says, or receipts are lost.
    error[codes::INTERNAL_PARTITIONS_CHANGED] InternalPartitionsChanged<'a> "the number of partitions of an internal topic was changed, which loses receipts: where one is looked for follows from that number. This process goes on with the number it began with; start no other and do not start it again until all messages have their receipts, then create this topic and its twin (topics.correlation, topics.deliveries) anew with equal numbers" {
        /// Which topic.
        value topic: &'a str,
        /// How many partitions it had when the process began.
        value then: i32,
        /// How many it has now.
        value now: i32,
    }

    /// What had happened to a partition's last records could not be written before it was given up:
    /// whoever has it next finds them in doubt.
    warn[codes::LAST_COMMIT_UNKNOWN] LastCommitFailed "the last commit of a partition did not succeed in time; its successor will find records in doubt" {}

    /// A topic was deleted and created again: its offsets mean other records now.
    warn[codes::TOPIC_CREATED_ANEW] TopicCreatedAnew<'a> "the topic was created anew; its former state is dropped" {
        /// Which partition.
        display partition: &'a Partition,
        /// Where it goes on, if that is not its beginning.
        value base: Option<i64>,
        /// The offset that was to be read next, if records were being read.
        value next: Option<i64>,
        /// The end of the new log, if records were being read.
        value high: Option<i64>,
    }

    /// Partitions that another process gets are given up: what is out is answered or in doubt, and
    /// that is written.
    info GivenUp "partitions given up" {
        /// How long that took.
        debug elapsed: Duration,
        /// Whether they were lost before, so that nothing could be written.
        value lost: bool,
    }

    /// Kafka says that the next offset to be read is not in the log. It is looked at whether the log
    /// lost its tail, lost its beginning (retention), or is another one.
    warn[codes::POSITION_OUTSIDE_LOG] PositionOutsideLog<'a> "a position lies outside its log" {
        /// What the client says.
        display error: &'a dyn fmt::Display,
    }

    /// A partition is taken over from a process that ended without saying what became of some records.
    /// That process's log, or its absence, says why.
    warn[codes::TAKEN_OVER_IN_DOUBT] TakenOverInDoubt<'a> "taken over with records in doubt: whoever had this partition before ended without saying what became of them (it died, was frozen, or lost Kafka: its own log says which), so the SMSC may have taken them; each is sent again, and its result says possible_duplicate, or is reported as OUTCOME_UNKNOWN (submit.in_doubt, or in_doubt in a record, decides that)" {
        /// Which partition.
        display partition: &'a Partition,
        /// Everything before this offset is finished.
        value base: i64,
        /// How many records are in doubt.
        value in_doubt: usize,
    }

    /// A partition is taken over.
    info TakenOver<'a> "taken over" {
        /// Which partition.
        display partition: &'a Partition,
        /// Everything before this offset is finished.
        value base: i64,
    }

    /// An SMSC answered after its message's result was published, and Kafka does not take what says
    /// so. The message's result stands; its receipts find no message.
    error[codes::LATE_ANSWER_LOST] LateAnswerLost<'a> "a late answer is lost: Kafka did not take it" {
        /// Why, the latest.
        value error: &'a str,
        /// How many since the last such line.
        value answers: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic that it was for.
        value topic: &'a str,
    }

    /// An SMSC's answer that came after its message's result is published beside it.
    info LateAnswerPublished<'a> "late answer published" {
        /// How many since the last such line.
        value answers: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The topic, the latest.
        value topic: &'a str,
    }

    /// The process ends before Kafka has taken answers that came late.
    error[codes::LATE_ANSWER_LOST] LateAnswersNotFlushed "late answers may be lost: Kafka did not take them in time" {}

    /// A topic does not take the results of some messages as they are, for example because they are
    /// too large. A shorter result takes the place of each: raise the topic's `max.message.bytes`.
    warn[codes::RECORD_REFUSED] ResultsRefused<'a> "records are refused by their topic; what can be said shorter is" {
        /// The assignment of the partition, as in other lines at `debug`.
        value assignment: u64,
        /// The topic that refuses them.
        value topic: &'a str,
        /// How it says so.
        display code: &'a dyn fmt::Display,
        /// How many results.
        value count: usize,
    }

    /// Partitions moved while a transaction was under way, as in every rolling restart. Its results
    /// go again, or whoever has the partitions now finds their records in doubt.
    info TransactionRefused<'a> "transaction refused; it is tried again" {
        /// What Kafka says.
        value why: &'a str,
    }

    /// Topics of records or results are not there any more. Create them again, or take them out of
    /// the configuration.
    error[codes::TOPIC_MISSING] TopicsGone<'a> "these topics are gone; their partitions are left out until they are back" {
        /// Which.
        debug topics: &'a dyn fmt::Debug,
    }

    /// The answer to a message of which a result was published before is not published, because its
    /// topic refuses even the short form. Raise the topic's `max.message.bytes`.
    error[codes::RECORD_REFUSED] ShortAnswerDropped<'a> "even the short record of an answer is refused by its topic; it is dropped" {
        /// How the topic says so.
        display code: &'a dyn fmt::Display,
    }

    /// A message is to be tried again later, behind the others of its topic, and that topic is gone.
    warn[codes::TOPIC_MISSING] CannotBePutBack<'a> "it cannot be put back onto its topic, which is not there; it waits here" {
        /// The message.
        value log_id: &'a str,
        /// Its topic.
        value topic: &'a str,
    }

    /// A partition was lost for a moment, and nothing came of it.
    info LostAndBack<'a> "this partition was lost and is back, and nobody had it meanwhile" {
        /// Which partition.
        display partition: &'a Partition,
        /// Results that could not be written meanwhile, and are now.
        value results: usize,
    }

    /// A partition was lost because Kafka was away for longer than `kafka.session_timeout`, and is
    /// back.
    warn[codes::LOST_AND_BACK] LostAndBackInDoubt<'a> "this partition was lost and is back, and nobody had it meanwhile; records that were with a bind are in doubt: each is sent again, and its result says possible_duplicate, or is reported as OUTCOME_UNKNOWN (submit.in_doubt, or in_doubt in a record, decides that). It was lost because Kafka was away for longer than kafka.session_timeout" {
        /// Which partition.
        display partition: &'a Partition,
        /// How many records are in doubt.
        value in_doubt: usize,
        /// Results that could not be written meanwhile, and are now.
        value results: usize,
    }
}
