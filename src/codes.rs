//! The codes of errors, and what each means.
//!
//! Everything that goes wrong and that a person gets to see has a code, such as `KS-1204`: what ends
//! a command, each fault of a configuration, each line of the log at `warn` and `error`, and the
//! kinds of `SendError`. A code stands for what a person has to do, so several places that want the
//! same have one. Its page in `docs/errors` is part of the program, which prints it with
//! `kafka-smpp explain`.
//!
//! The table below is the only place where codes are made. The compiler refuses one without a page,
//! one outside the range of its part, one that stands there twice, and one that nothing uses.

use std::fmt;
use std::ops::RangeInclusive;

pub use plain_telemetry::ErrorCode;

/// A text that a person reads, with the code by which it is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded {
    /// Its code.
    pub code: ErrorCode,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Coded {
    /// A text with its code.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Coded {
            code,
            text: text.into(),
        }
    }
}

/// The text with its code before it, for a list of several.
impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.text)
    }
}

/// The codes of one part of the program.
pub(crate) struct Part {
    /// What they are about.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the index names it"))]
    pub about: &'static str,
    /// Which numbers it may have.
    numbers: RangeInclusive<u16>,
    /// Those that it has.
    pub pages: &'static [Page],
}

/// What is said of one code.
pub(crate) struct Page {
    number: u16,
    /// Whether only another crate of ours uses it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for a test"))]
    elsewhere: bool,
    /// The code.
    pub code: ErrorCode,
    /// The page, in Markdown.
    pub text: &'static str,
}

impl Page {
    /// What its first line says, after the code.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.split_once(": ").map_or(first, |(_, title)| title)
    }
}

/// All pages, in the order of their numbers.
pub(crate) fn pages() -> impl Iterator<Item = &'static Page> {
    PARTS.iter().flat_map(|part| part.pages)
}

/// The page of a code as people write it: `KS-1204`, `ks-1204`, `1204`.
///
/// # Errors
///
/// The page whose code is most like it, if there is none of that code.
pub(crate) fn find(word: &str) -> Result<&'static Page, &'static Page> {
    let word = word.trim().to_ascii_uppercase();
    let digits = word.strip_prefix("KS").unwrap_or(&word);
    let digits = digits.trim_start_matches(['-', '_', ' ']);
    let number = digits.parse::<u16>().unwrap_or_default();
    if let Some(page) = pages().find(|page| page.number == number) {
        return Ok(page);
    }
    let likeness = |page: &&Page| {
        let edits = strsim::osa_distance(digits, &page.number.to_string());
        (edits, page.number.abs_diff(number))
    };
    Err(pages().min_by_key(likeness).unwrap_or(&PARTS[0].pages[0]))
}

/// Whether each part keeps to its numbers, and each number comes after the one before it.
const fn is_in_order(parts: &[Part]) -> bool {
    let (mut part, mut last) = (0, 0);
    while part < parts.len() {
        let Part { numbers, pages, .. } = &parts[part];
        let mut page = 0;
        while page < pages.len() {
            let number = pages[page].number;
            if number <= last || number < *numbers.start() || number > *numbers.end() {
                return false;
            }
            (last, page) = (number, page + 1);
        }
        part += 1;
    }
    true
}

/// A code, unless another crate of ours has it.
macro_rules! code {
    (_ $number:literal) => {};
    ($name:ident $number:literal) => {
        pub(crate) const $name: ErrorCode = ErrorCode::new(concat!("KS-", $number));
    };
}

/// Whether a code has no name here.
macro_rules! is_elsewhere {
    (_) => {
        true
    };
    ($name:ident) => {
        false
    };
}

/// Declares the codes of each part: the number, which is also the name of the page, and the name in
/// the code. Without a name (`_`) it is a code that only another crate of ours uses.
macro_rules! codes {
    ($($about:literal $first:literal..=$last:literal {
        $($number:literal $name:tt,)*
    })*) => {
        $($(code!($name $number);)*)*

        pub(crate) const PARTS: &[Part] = &[$(Part {
            about: $about,
            numbers: RangeInclusive::new($first, $last),
            pages: &[$(Page {
                number: $number,
                elsewhere: is_elsewhere!($name),
                code: ErrorCode::new(concat!("KS-", $number)),
                text: include_str!(concat!("../docs/errors/KS-", $number, ".md")),
            },)*],
        },)*];

        const _: () = assert!(is_in_order(PARTS), "a number is not in its range, or not in order");
    };
}

codes! {
    "Commands, and what they are given" 1000..=1099 {
        1001 USAGE,
        1002 UNKNOWN_NAME,
        1003 INPUT_UNREADABLE,
        1004 INPUT_OUTPUT,
        1005 INPUT_MALFORMED,
        1006 CAPTURE_UNREADABLE,
        1007 ALPHABET_TABLE,
        1020 NOT_ACCEPTED,
        1021 NOT_DELIVERED,
        1022 FATE_UNKNOWN,
        1023 NOTHING_IN_TIME,
        1030 OFFSET_OUTSIDE_LOG,
        1031 OFFSETS_MISSING,
        1032 GROUP_HAS_MEMBERS,
        1033 NOT_TO_REBUILD,
        1034 MIRRORED_OTHERWISE,
        1035 RESULTS_NOT_MATCHED,
        1040 REPLAY_DISPLACED,
        1041 REPLAY_WAITS,
        1042 REPLAY_LOST,
        1043 REPLAY_SKIPS,
        1050 ERASE_INCOMPLETE,
    }
    "The configuration: how it is read" 1100..=1199 {
        1101 CONFIG_UNREADABLE,
        1102 CONFIG_NOT_TOML,
        1103 CONFIG_WRONG,
        1104 UNKNOWN_KEY,
        1105 WRONG_TYPE,
        1106 UNKNOWN_VARIABLE,
        1107 VARIABLE_UNREADABLE,
        1108 SECRET_FILE,
        1109 SECRET_MALFORMED,
        1110 SET_TWICE,
        1111 FILE_MISSING,
        1112 SETTING_UNUSED,
    }
    "The configuration: what it says" 1200..=1299 {
        1201 OUT_OF_RANGE,
        1202 CONTRADICTION,
        1203 SETTING_MISSING,
        1204 NAME_MALFORMED,
        1205 STANDS_TWICE,
        1206 EXCLUDES,
        1207 NEEDS_ANOTHER,
        1208 ADDRESS_MALFORMED,
        1209 NOT_SMPP_TEXT,
        1210 SAME_ACCOUNT,
        1211 TOO_MANY_BINDS,
        1212 LOG_LEVEL,
        1213 KAFKA_PROPERTY,
        1214 FORMAT_IMPOSSIBLE,
        1215 UNKNOWN_VALUE,
        1216 VENDOR_NAME,
        1217 WITHOUT_SPANS,
        1218 WITHOUT_LOGIN,
    }
    "SMSCs and binds" 2000..=2099 {
        2001 _,
        2002 NOT_BOUND,
        2003 _,
        2004 _,
        2005 _,
        2006 _,
        2007 NO_CONNECTION,
        2008 _,
        2009 _,
        2010 THROTTLED,
        2011 SPEAKS_SMPP_33,
        2012 _,
        2013 _,
        2014 _,
        2015 _,
        2016 _,
        2017 _,
        2018 _,
    }
    "Kafka: connections and rights" 3000..=3099 {
        3001 KAFKA_DENIED,
        3002 KAFKA_LOGIN,
        3003 KAFKA_SASL,
        3004 KAFKA_TLS_OR_NOT,
        3005 KAFKA_CERTIFICATE,
        3006 KAFKA_CLIENT_CERTIFICATE,
        3007 KAFKA_TLS,
        3008 KAFKA_NAME,
        3009 KAFKA_UNREACHABLE,
        3010 KAFKA_CLIENT,
        3011 KAFKA_FAILED,
        3012 CONSUMER_FATAL,
        3013 DISPLACED,
        3014 LIBRDKAFKA,
        3015 BROKER_AWAY,
        3016 PRODUCER_RENEWED,
        3017 BROKER_SETTING_UNKNOWN,
        3018 SESSION_TIMEOUT,
        3019 KAFKA_LACKS,
        3020 NO_GROUP_PROTOCOL,
        3021 TOKEN_ENDPOINT,
        3022 TOKEN_UNUSABLE,
        3023 KAFKA_TOKEN,
        3024 TOKEN_MISSING,
        3025 NO_ADMIN,
        3026 TOKEN_REFUSED,
    }
    "Kafka: topics" 3100..=3199 {
        3101 TOPIC_MISSING,
        3102 TOPIC_CLEANUP,
        3103 INTERNAL_TOPICS_DIFFER,
        3104 TOPIC_NOT_CREATED,
        3105 TOPIC_DIFFERS,
        3106 COMMIT_METADATA_SHORT,
        3107 PARTITIONS_UNEVEN,
        3108 BATCH_REFUSED,
        3109 TOPIC_TAKES_NOTHING,
        3110 TOPIC_REFUSES,
        3111 RECORD_REFUSED,
        3112 INTERNAL_PARTITIONS_CHANGED,
        3113 TOPIC_CREATED_ANEW,
    }
    "Kafka: partitions, offsets and transactions" 3200..=3299 {
        3201 DELETED_BEFORE_SENT,
        3202 LOG_LOST_TAIL,
        3203 OFFSET_METADATA,
        3204 OFFSETS_GONE,
        3205 POSITION_OUTSIDE_LOG,
        3206 TAKEOVER_WAITS,
        3207 PRODUCERS_TRANSACTION,
        3208 OPEN_TRANSACTION,
        3209 LAST_COMMIT_UNKNOWN,
        3210 TRANSACTION_UNKNOWN,
        3211 ASSIGNMENT_REFUSED,
    }
    "Submitting" 4000..=4099 {
        4001 IN_DOUBT,
        4002 TAKEN_OVER_IN_DOUBT,
        4003 LOST_AND_BACK,
        4004 LATE_ANSWER_LOST,
        4005 NOT_DRAINED,
    }
    "What SMSCs deliver" 4100..=4199 {
        4101 INBOUND_BUFFER_FULL,
        4102 DELIVERIES_LATE,
        4103 DELIVERIES_FORBIDDEN,
        4104 DELIVERY_LOST,
        4105 DELIVERY_UNWRITABLE,
        4106 NOTIFICATIONS_LOST,
    }
    "Correlating" 4200..=4299 {
        4201 IDS_HAVE_ANOTHER_FORM,
        4202 RECEIPTS_FIND_NO_MESSAGE,
        4203 CORRELATION_NOT_READ,
        4204 INTERNAL_LOG_LOST,
        4205 FOREIGN_RECORD,
        4206 DELIVERIES_DELETED,
        4207 RECEIPTS_STOPPED,
    }
    "The schema registry and formats" 5000..=5099 {
        5001 REGISTRY_AWAY,
        5002 REGISTRY_SETUP,
        5003 SCHEMA_UNREGISTERED,
        5004 SCHEMA_REFUSED,
        5005 SCHEMA_MISSING,
        5006 NO_REGISTERED_FORMAT,
        5007 RECORD_WAITS,
        5008 SCHEMA_FITS_NOTHING,
    }
    "Records that end as errors" 6000..=6099 {
        6001 INVALID_RECORD,
        6002 ENCODING,
        6003 EXPIRED,
        6004 OUTCOME_UNKNOWN,
        6005 REJECTED_LOCALLY,
        6006 EVENT_TOO_LARGE,
        6007 EVENT_REFUSED,
        6008 REPLAYED,
    }
    "The process and the machine" 7000..=7099 {
        7001 BUG,
        7002 NO_THREAD,
        7003 NO_RANDOM,
        7004 MACHINE,
        7005 CLOCK,
        7010 HTTP_LISTEN,
        7011 HTTP_CERTIFICATE,
        7012 HTTP_NO_ANSWER,
        7020 TRACE_INCOMPLETE,
        7021 SPANS_LOST,
        7040 ORDER_MALFORMED,
        7041 NO_CONTROL_TOPIC,
        7042 CONTROL_UNREADABLE,
    }
    "The simulated SMSC" 9000..=9099 {
        9001 SIMULATOR_CANNOT_LISTEN,
        9002 SIMULATOR_JOURNAL,
        9003 SIMULATOR_OPTIONS,
        9004 SIMULATOR_MESSAGE,
        9005 _,
    }
}

#[cfg(test)]
mod tests;
