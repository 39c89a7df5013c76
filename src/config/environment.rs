//! Names of variables: which are ours, which were meant to be, and for which key.
//!
//! A variable that is misspelt would change nothing and say nothing, so what looks like one of
//! ours is one, or an error. Kubernetes and Docker name variables after services in nearly the
//! same way (`KAFKA_SMPP_SERVICE_HOST`); those are theirs.

use super::example::keys;
use super::load::PREFIX;

/// The variable that names the file, which is no key.
const FILE: &str = "KAFKA_SMPP_CONFIG";

/// Our name, without what follows it.
const OURS: &str = "KAFKA_SMPP";

/// Whose a variable is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// Ours: what stands behind [`PREFIX`].
    Ours(&'a str),
    /// It was meant to be ours: the path as far as it can be guessed.
    Misspelt(&'a str),
    /// Somebody else's.
    Others,
}

/// Whose the variable of this name is.
pub(super) fn whose(name: &str) -> Whose<'_> {
    if name == FILE || is_of_a_service(name) {
        return Whose::Others;
    }
    if let Some(path) = name.strip_prefix(PREFIX) {
        return Whose::Ours(path);
    }
    let ours = name.get(..OURS.len()).filter(|start| is_like(start));
    if ours.is_some_and(|_| name[OURS.len()..].starts_with(['_', '.', '-'])) {
        return Whose::Misspelt(name[OURS.len()..].trim_start_matches(['_', '.', '-']));
    }
    match name.split_once("__") {
        Some((start, path)) if is_like(start) => Whose::Misspelt(path),
        _ => Whose::Others,
    }
}

/// Whether it is our name but for case, dashes and one slip of a finger.
fn is_like(start: &str) -> bool {
    let plain = start.to_uppercase().replace(['-', '.'], "_");
    strsim::damerau_levenshtein(&plain, OURS) <= 1
}

/// Whether Kubernetes or Docker name a service's variable so.
fn is_of_a_service(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(OURS) else {
        return false;
    };
    let is_upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !rest.starts_with('_') || !rest.chars().all(is_upper) {
        return false;
    }
    let is_of_port = |rest: &str| {
        // PORT_2775_TCP, PORT_2775_TCP_ADDR, ...
        let Some((_, behind)) = rest.split_once("_PORT_") else {
            return false;
        };
        let mut words = behind.split('_');
        let is_number = words.next().is_some_and(|n| n.parse::<u16>().is_ok());
        is_number
            && words
                .next()
                .is_some_and(|w| ["TCP", "UDP", "SCTP"].contains(&w))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || rest == "_PORT"
        || (rest.ends_with("_PORT") && !rest.starts_with("__"))
        || is_of_port(rest)
}

/// The variable that was probably meant by a name of ours that means nothing; `esmes` are the
/// names of the ESMEs that are configured.
pub(super) fn meant(path: &str, esmes: &[String]) -> Option<String> {
    let wanted = plain(path);
    if strsim::jaro_winkler(&wanted, "CONFIG") > 0.9 {
        return Some(FILE.to_owned());
    }
    let known = variables(esmes);
    let exact = known.iter().find(|known| plain(known) == wanted);
    let near = || {
        let likeness = |known: &String| strsim::jaro_winkler(&plain(known), &wanted);
        let near = known.iter().map(|known| (likeness(known), known));
        let near = near.filter(|(likeness, _)| *likeness > 0.9);
        let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
        best.map(|(_, known)| known)
    };
    let meant = exact.or_else(near)?;
    Some(format!("{PREFIX}{meant}"))
}

/// The variable that differs from a name of ours in its underscores only.
pub(super) fn same_words(path: &str, esmes: &[String]) -> Option<String> {
    if plain(path) == "CONFIG" {
        return Some(FILE.to_owned());
    }
    let mut known = variables(esmes).into_iter();
    let same = known.find(|known| known != path && plain(known) == plain(path))?;
    Some(format!("{PREFIX}{same}"))
}

/// A path without the difference between the underscores of a name and those between names.
fn plain(path: &str) -> String {
    let words = path.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("_").to_uppercase()
}

/// What stands behind the prefix in all variables that there are.
fn variables(esmes: &[String]) -> Vec<String> {
    let found = keys()
        .into_iter()
        .map(|path| path.join("__").to_uppercase());
    let (mut esme, mut rest): (Vec<_>, Vec<_>) = found.partition(|path| path.starts_with("ESME__"));
    let numbers = (0..esmes.len().max(1)).map(|n| n.to_string());
    let names = esmes.iter().map(|name| plain(name));
    let called: Vec<String> = names.chain(numbers).collect();
    for path in esme.drain(..) {
        let key = path.trim_start_matches("ESME__");
        rest.extend(called.iter().map(|name| format!("ESME__{name}__{key}")));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_ours_or_was_meant_to_be_or_is_anothers() {
        for (name, whose_it_is) in [
            ("KAFKA_SMPP__LOG__LEVEL", Whose::Ours("LOG__LEVEL")),
            ("KAFKA_SMPP___LOG__LEVEL", Whose::Ours("_LOG__LEVEL")),
            ("KAFKA_SMPP_LOG_LEVEL", Whose::Misspelt("LOG_LEVEL")),
            ("KAFKA_SMPP_LOG__LEVEL", Whose::Misspelt("LOG__LEVEL")),
            ("kafka_smpp__log__level", Whose::Misspelt("log__level")),
            ("KAFKA-SMPP__LOG__LEVEL", Whose::Misspelt("LOG__LEVEL")),
            ("KAFKASMPP__LOG__LEVEL", Whose::Misspelt("LOG__LEVEL")),
            ("KAFKA_SMMP__LOG__LEVEL", Whose::Misspelt("LOG__LEVEL")),
            ("KAKFA_SMPP__LOG__LEVEL", Whose::Misspelt("LOG__LEVEL")),
            ("KAFKA_SMPP_CONFIG", Whose::Others),
            ("KAFKA_SMPP_CONFG", Whose::Misspelt("CONFG")),
            ("KAFKA_BOOTSTRAP", Whose::Others),
            ("KAFKA_SERVICE__HOST", Whose::Others),
            ("KAFKA_SMPP", Whose::Others),
            ("KAFKA_SMPPX_Y", Whose::Others),
            ("MY_KAFKA_SMPP__LOG__LEVEL", Whose::Others),
            // Services that are called kafka-smpp and kafka-smpp-metrics.
            ("KAFKA_SMPP_SERVICE_HOST", Whose::Others),
            ("KAFKA_SMPP_SERVICE_PORT", Whose::Others),
            ("KAFKA_SMPP_SERVICE_PORT_OUTBIND", Whose::Others),
            ("KAFKA_SMPP_METRICS_SERVICE_HOST", Whose::Others),
            ("KAFKA_SMPP_PORT", Whose::Others),
            ("KAFKA_SMPP_METRICS_PORT", Whose::Others),
            ("KAFKA_SMPP_PORT_2776_TCP", Whose::Others),
            ("KAFKA_SMPP_PORT_2776_TCP_ADDR", Whose::Others),
            ("KAFKA_SMPP_METRICS_PORT_9090_TCP_PROTO", Whose::Others),
        ] {
            assert_eq!(whose(name), whose_it_is, "{name}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        let esmes = ["acme-1".to_owned(), "other".to_owned()];
        for (path, variable) in [
            ("LOG_LEVEL", Some("KAFKA_SMPP__LOG__LEVEL")),
            ("log__level", Some("KAFKA_SMPP__LOG__LEVEL")),
            ("LOG__LEVLE", Some("KAFKA_SMPP__LOG__LEVEL")),
            (
                "KAFKA_BOOTSTRAP_SERVERS",
                Some("KAFKA_SMPP__KAFKA__BOOTSTRAP_SERVERS"),
            ),
            (
                "ESME_ACME_1_PASSWORD",
                Some("KAFKA_SMPP__ESME__ACME_1__PASSWORD"),
            ),
            (
                "ESME_1_TIMERS_RESPONSE",
                Some("KAFKA_SMPP__ESME__1__TIMERS__RESPONSE"),
            ),
            ("CONFG", Some("KAFKA_SMPP_CONFIG")),
            ("ZZZ", None),
        ] {
            assert_eq!(meant(path, &esmes).as_deref(), variable, "{path}");
        }
        assert_eq!(same_words("LOG__LEVEL", &esmes), None);
        let words = same_words("LOG_LEVEL", &esmes);
        assert_eq!(words.as_deref(), Some("KAFKA_SMPP__LOG__LEVEL"));
    }

    #[test]
    fn every_key_of_the_example_has_a_variable() {
        let known = variables(&["acme".into()]);
        for key in [
            "SHUTDOWN_TIMEOUT",
            "ESME__ACME__OUTBIND__PASSWORD_FILE",
            "ESME__0__MESSAGE_ID__UNTIL",
            "SCHEMA_REGISTRY__TLS__CA_FILE",
            "KAFKA__PROPERTIES",
        ] {
            assert!(known.iter().any(|known| known == key), "{key}: {known:#?}");
        }
    }
}
