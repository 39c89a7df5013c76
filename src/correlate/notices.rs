//! What is said of correlating: every line of this part at `info` and above.

use std::fmt;

use rdkafka::error::KafkaError;

use crate::codes;
use crate::kafka::Partition;
use crate::record::json::Invalid;
use crate::repeated::Within;

plain_telemetry::notices! {
    /// What is said of correlating.
    pub(crate) static NOTICES;

    /// An ESME's receipts write message ids in another form than its responses. They find their
    /// messages by recipient and value, some seconds later than by an exact id: set what `setting`
    /// says.
    warn[codes::IDS_HAVE_ANOTHER_FORM] IdsHaveAnotherForm<'a> "receipts have message ids in another form than responses have, and find their messages by recipient and value, some seconds later: {matched} of the last {of} receipts match as {form}. Set `setting` for this ESME, and they match exactly" {
        /// The ESME.
        value esme: &'a str,
        /// How many such receipts since the last such line.
        value receipts: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// What to set.
        value setting: &'a str,
        /// The form, in short.
        inline form: &'a str,
        /// How many of the last receipts match in that form.
        value matched: u32,
        /// Of how many.
        value of: u32,
        /// The id of a response.
        value response_id: &'a str,
        /// The id of its receipt.
        value receipt_id: &'a str,
    }

    /// Receipts of an ESME match none of its messages. The text says what to look at.
    warn[codes::RECEIPTS_FIND_NO_MESSAGE] ReceiptsFindNoMessage<'a> "receipts find no message, and are published with correlated: false. Compare the id of a receipt with that of a response: [esme.message_id] says how one is written in the other's place. Does another program send through this account, or do receipts come to the bind of another ESME? Were the messages submitted longer ago than correlate.receipt_ttl, or is their answer later than correlate.early_receipt_grace?" {
        /// The ESME.
        value esme: &'a str,
        /// How many such receipts since the last such line.
        value receipts: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The id of such a receipt.
        value receipt_id: &'a str,
        /// The id of a recent response, if there was one.
        value response_id: Option<&'a str>,
    }

    /// An ESME's messages wait for receipts, and none comes for much longer than is usual. Messages go on
    /// being sent. Ask the SMSC's operator; see whether the binds that receive are up, in this process
    /// and the others, and whether many messages are scheduled for later (`schedule_delivery_time`).
    warn[codes::RECEIPTS_STOPPED] ReceiptsStopped<'a> "no receipts come: messages that ask for one were accepted, and for much longer than is usual none has come. Is a bind up that receives? Ask the SMSC's operator" {
        /// The ESME.
        value esme: &'a str,
        /// How many messages were accepted since the last receipt, of the partitions of this process.
        value messages: i64,
        /// In so many milliseconds nine of ten receipts came before, if that is known.
        value usual_ms: Option<i64>,
        /// After so many milliseconds without any this is said.
        value limit_ms: i64,
    }

    /// Receipts of an ESME come again.
    info ReceiptsAgain<'a> "receipts come again" {
        /// The ESME.
        value esme: &'a str,
        /// How many messages were accepted since the last receipt before this one.
        value messages: i64,
    }

    /// Whether receipts have messages under another form of their ids cannot be known, because a
    /// partition of the correlation topic is not read. The text says what holds it up.
    warn[codes::CORRELATION_NOT_READ] PartitionNotReadToItsEnd<'a> "receipts whose ids have another form are published with correlated: false although their messages may be known: this partition could not be read to its end in 15 minutes, or more receipts waited for that than there is memory for. Lines above say what holds it up: a record that needs its schema from the registry, the right to read the topic (READ), a transaction that nobody ends, a partition without a leader. [esme.message_id] for these ESMEs lets their receipts match without this way" {
        /// How many such receipts since the last such line.
        value receipts: u64,
        /// Since when; `0s` in the first line.
        debug within: Within,
        /// The correlation topic.
        value topic: &'a str,
        /// The partition.
        value partition: i32,
    }

    /// The correlation topic was deleted and created again, or lost its last records. What it holds is
    /// read anew; receipts of messages that are not in it are published without them.
    warn[codes::INTERNAL_LOG_LOST] CorrelationLogBeginsAnew<'a> "the correlation topic ends below what was read of it: it lost its tail, or was created anew; taken over anew with what is there" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
    }

    /// A partition is restored and makes no progress, and its receipts wait. The text says what to
    /// look at.
    warn[codes::CORRELATION_NOT_READ] RestoreMakesNoProgress<'a> "reading what is remembered of messages makes no progress, and their receipts wait for it. May this user read the topic (READ), and write to it (WRITE)? Has its partition a leader?" {
        /// The correlation topic.
        value topic: &'a str,
        /// The partition.
        value partition: i32,
        /// Since how many seconds.
        value seconds: u64,
        /// What the client says of it.
        value trouble: &'a str,
    }

    /// Somebody else writes to the correlation topic, which is nobody's but the connector's.
    warn[codes::FOREIGN_RECORD] ForeignRecord<'a> "a foreign record in the correlation topic is skipped" {
        /// The partition.
        value partition: i32,
        /// The record's key.
        value key: &'a str,
    }

    /// A record of the correlation topic makes no sense, and the receipts of its message are published
    /// without it. It may be of a later version than this one.
    warn[codes::FOREIGN_RECORD] CorrelationRecordSkipped<'a> "a correlation record cannot be read, it is skipped" {
        /// The partition.
        value partition: i32,
        /// The record's key.
        debug key: &'a dyn fmt::Debug,
        /// Why.
        display error: &'a dyn fmt::Display,
    }

    /// A partition's messages are read, and its receipts are consumed from now on.
    info Restored<'a> "correlation restored" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
        /// The offset of the first delivery to be consumed.
        value offset: i64,
        /// How many messages are remembered.
        value entries: usize,
        /// How many receipts wait for their messages.
        value parked: usize,
        /// How many octets that takes.
        value octets: usize,
        /// How many segments of inbound messages wait for others.
        value parts: usize,
    }

    /// Partitions moved while a transaction was under way, as in every rolling restart. Its results go
    /// again, here or from whoever has the partitions now.
    info TransactionFenced<'a> "transaction aborted, its results go again" {
        /// What Kafka says.
        value reason: &'a str,
    }

    /// Topics of events are not there any more. Create them again, or take them out of the
    /// configuration.
    warn[codes::TOPIC_MISSING] TopicMissing<'a> "a topic is missing; correlation waits until it is back" {
        /// Which.
        debug topics: &'a dyn fmt::Debug,
    }

    /// A topic takes a record neither as it is nor later, for example because it is too large. What
    /// goes in its place is named; raise the topic's `max.message.bytes`.
    error[codes::RECORD_REFUSED] RecordRefused<'a> "Kafka refuses a record for good" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
        /// How Kafka says so.
        debug code: &'a dyn fmt::Debug,
        /// The topic that refuses it.
        display topic: &'a str,
        /// The record's key.
        display key: &'a str,
        /// What goes in its place.
        value instead: &'a str,
    }

    /// The system's clock was wrong and is right again; times that were taken from it mean nothing.
    warn[codes::CLOCK] ClockPutRight "the clock was more than a day off and has been put right; correlation reads its partitions anew" {}

    /// Somebody else writes to the topic of deliveries, or a record in it is of a later version.
    error[codes::FOREIGN_RECORD] DeliverySkipped<'a> "a delivery that is not ours is skipped" {
        /// Its partition.
        display partition: &'a Partition,
        /// Its offset.
        value offset: i64,
        /// Why it cannot be read.
        display error: &'a dyn fmt::Display,
    }

    /// The topic of deliveries lost records that were not consumed: its retention is shorter than the
    /// time that correlation was away, or it was created anew.
    error[codes::DELIVERIES_DELETED] DeliveriesDeleted<'a> "deliveries were deleted before they were consumed, or their topic recreated" {
        /// What the client says.
        display error: &'a KafkaError,
    }

    /// Kafka did not say whether a transaction was committed, and it cannot be found out otherwise.
    warn[codes::TRANSACTION_UNKNOWN] TransactionEndUnknown<'a> "its last transaction has an unknown end: taken over anew" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
    }

    /// What is remembered of a message was read before and cannot be read now, which is a bug. What
    /// was to be published goes without it.
    error[codes::BUG] EntryUnreadable<'a> "a correlation record does not read any more" {
        /// Why.
        display error: &'a Invalid,
        /// The message, if that is known.
        value identity: Option<&'a str>,
    }

    /// Correlation has ended, with everything written that it had.
    info CorrelationEnded "correlation ended" {}

    /// A thread of correlation panicked, which is a bug.
    error[codes::BUG] ThreadPanicked<'a> "a thread of correlation panicked" {
        /// Which.
        value name: &'a str,
    }

    /// The correlation topic cannot be read; its receipts wait.
    warn[codes::CORRELATION_NOT_READ] CorrelationNotReadable<'a> "the correlation partition cannot be read, trying again" {
        /// Why.
        display error: &'a KafkaError,
        /// The correlation topic.
        value topic: &'a str,
        /// The partition.
        value partition: i32,
    }

    /// A record of the correlation topic cannot be read yet, most often because the schema registry does
    /// not say its schema. Receipts of its partition wait.
    warn[codes::RECORD_WAITS] CorrelationWaits<'a> "a correlation record has to wait, and its partition with it" {
        /// The partition.
        value partition: i32,
        /// The record's offset.
        value offset: i64,
        /// What it waits for.
        value why: &'a str,
    }

    /// That record could be read.
    info CorrelationReadOn "the correlation partition is read on" {
        /// The partition.
        value partition: i32,
        /// The record's offset.
        value offset: i64,
    }

    /// Kafka does not say what is committed of all partitions in one answer; it is asked for each.
    warn[codes::KAFKA_FAILED] CommittedNotReadAtOnce "committed offsets of the deliveries cannot be read at once" {
        /// Why.
        display error: KafkaError,
    }

    /// Nothing is committed for a partition: it is new, or its group was deleted.
    info FromTheBeginning<'a> "no committed offset: from the beginning" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
        /// The first offset of its log.
        value offset: i64,
    }

    /// Receipts and messages were deleted before they were correlated: the retention of the topic of
    /// deliveries is shorter than the time that correlation was away. Raise it.
    warn[codes::DELIVERIES_DELETED] DeletedBeforeCorrelated<'a> "deliveries were deleted before they were correlated (topic retention); going on with what is left" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
        /// The offset that was to be consumed next.
        value offset: i64,
        /// The first offset that is left.
        value low: i64,
    }

    /// The topic of deliveries lost its last records, or was created anew.
    warn[codes::INTERNAL_LOG_LOST] DeliveriesLostTail<'a> "the log of deliveries ends below what was read of it: it lost its tail, or the topic was created anew; going on with what is younger" {
        /// Which partition of the deliveries.
        display partition: &'a Partition,
        /// The offset that was to be consumed next.
        value offset: i64,
        /// The end of the log.
        value high: i64,
        /// Where it goes on.
        value to: i64,
    }
}
