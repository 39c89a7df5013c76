//! What the registry has under our subjects, and what it should have.

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;

use super::compare::difference;
use crate::cli::output::{line, table};
use crate::cli::{Code, Failure, runtime};
use crate::codes;
use crate::config::Config;
use crate::record::avro;
use crate::record::format::Format;
use crate::record::kind::Rule;
use crate::record::writers::WriterSchema;
use crate::registry::{Client, Error, Subject, find};

/// How many versions of a subject are compared.
const VERSIONS: usize = 50;

/// What the registry has under a subject.
struct State {
    subject: Subject,
    /// Number and version, if it has what we write.
    registered: Option<(u32, Option<u32>)>,
    /// The newest version and its text, if it has any.
    newest: Option<(u32, String)>,
    /// Why ours and theirs do not fit.
    misfits: Vec<String>,
    /// Its rule in the registry.
    rule: String,
}

pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let states = states(config)?;
    let row = |state: &State| {
        let (id, version) = state.numbers();
        let Subject { name, .. } = &state.subject;
        [name.clone(), state.word().into(), id, version, state.rule()]
    };
    let rows: Vec<_> = states.iter().map(row).collect();
    table(["subject", "state", "number", "version", "rule"], &rows)?;
    states.iter().try_for_each(State::explain)?;
    let count = |word| states.iter().filter(|state| state.word() == word).count();
    match (count("does not fit"), count("missing")) {
        (0, 0) => Ok(()),
        (0, missing) => {
            let text = format!(
                "{missing} of {} schemas are missing: register them with kafka-smpp schemas register",
                states.len()
            );
            Err(Failure::new(
                Code::Unavailable,
                codes::SCHEMA_UNREGISTERED,
                text,
            ))
        }
        (wrong, _) => {
            let text = format!("{wrong} of {} schemas do not fit", states.len());
            Err(Failure::new(Code::Data, codes::SCHEMA_REFUSED, text))
        }
    }
}

pub(super) fn register(config: &Config, dry_run: bool) -> Result<(), Failure> {
    let states = states(config)?;
    let client = Client::new(&config.schema_registry)?;
    let (runtime, mut rows, mut refused) = (runtime()?, Vec::new(), Vec::new());
    for state in &states {
        let Subject {
            name, format, text, ..
        } = &state.subject;
        let (done, id) = match state.word() {
            "registered" => ("was registered", state.numbers().0),
            "does not fit" => {
                refused.push(name.clone());
                ("does not fit", String::new())
            }
            _ if dry_run => ("would be registered", String::new()),
            _ => match runtime.block_on(client.register(name, *format, text)) {
                Ok(registered) => ("registered", number(registered.id)),
                Err(Error::Refused(why)) => {
                    line(format_args!("{name}: {why}"))?;
                    refused.push(name.clone());
                    ("refused", String::new())
                }
                Err(error) => return Err(error.into()),
            },
        };
        rows.push([name.clone(), done.to_owned(), id]);
    }
    table(["subject", "what was done", "number"], &rows)?;
    if refused.is_empty() {
        return Ok(());
    }
    let misfit = |state: &&State| refused.contains(&state.subject.name);
    states.iter().filter(misfit).try_for_each(State::explain)?;
    let text = format!("not registered: {}", refused.join(", "));
    Err(Failure::new(Code::Data, codes::SCHEMA_REFUSED, text))
}

/// Asks the registry.
fn states(config: &Config) -> Result<Vec<State>, Failure> {
    let topics = config.contents().into_iter();
    let registered = topics.filter(|topic| topic.format.is_registered());
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in registered.flat_map(|topic| topic.subjects(config.schema_registry.subjects)) {
        // After the record's name, several topics have one.
        if !subjects.iter().any(|other| other.name == subject.name) {
            subjects.push(subject);
        }
    }
    if subjects.is_empty() {
        let text = "no topic has the format avro or json_schema: see [formats]";
        return Err(Failure::new(
            Code::Config,
            codes::NO_REGISTERED_FORMAT,
            text,
        ));
    }
    let client = Client::new(&config.schema_registry)?;
    let runtime = runtime()?;
    let one = |subject| runtime.block_on(State::of(&client, subject));
    Ok(subjects
        .into_iter()
        .map(one)
        .collect::<Result<_, Error>>()?)
}

impl State {
    async fn of(client: &Client, subject: Subject) -> Result<State, Error> {
        let Subject {
            name, format, text, ..
        } = &subject;
        let (mut misfits, mut newest) = (Vec::new(), None);
        let versions = client.versions(name).await?;
        for version in versions.into_iter().rev().take(VERSIONS) {
            let there = client.version(name, version).await?;
            let why = subject.misfit(&there.text);
            misfits.extend(why.map(|why| format!("version {version}: {why}")));
            newest = newest.or(Some((version, there.text)));
        }
        let registered = find(client, &subject).await?;
        if registered.is_none() {
            let answer = client.compatibility(name, *format, text).await?;
            if !answer.is_compatible {
                let why = match &answer.messages[..] {
                    [] => "does not allow it".to_owned(),
                    messages => format!("does not allow it: {}", messages.join("; ")),
                };
                misfits.push(format!("the registry's own rule {why}"));
            }
        }
        let rule = client.rule(name).await?;
        Ok(State {
            subject,
            registered,
            newest,
            misfits,
            rule,
        })
    }

    fn word(&self) -> &'static str {
        match self.registered {
            _ if !self.misfits.is_empty() => "does not fit",
            Some(_) => "registered",
            None => "missing",
        }
    }

    /// Its rule in the registry, and what it should be if that is weaker.
    fn rule(&self) -> String {
        let (rule, wanted) = (&self.rule, self.subject.rule().name());
        if rule == wanted || rule == Rule::Full.name() {
            rule.clone()
        } else {
            format!("{rule}, weaker than {wanted}")
        }
    }

    fn numbers(&self) -> (String, String) {
        let (id, version) = self.registered.unzip();
        (number(id), number(version.flatten()))
    }

    /// What a table has no room for.
    fn explain(&self) -> Result<(), Failure> {
        let Subject {
            name, format, text, ..
        } = &self.subject;
        for why in &self.misfits {
            line(format_args!("{name}: {why}"))?;
        }
        if self.registered.is_none()
            && let Some((version, theirs)) = &self.newest
        {
            line(format_args!(
                "{name}: what version {version} has (-) and this version of kafka-smpp (+):"
            ))?;
            line(difference(*format, theirs, text).trim_end())?;
        }
        Ok(())
    }
}

impl Subject {
    /// How its versions must fit each other.
    fn rule(&self) -> Rule {
        let full = self.kinds.iter().any(|kind| kind.rule() == Rule::Full);
        if full { Rule::Full } else { Rule::Backward }
    }

    /// Why a version that the registry has does not fit ours by the rule.
    fn misfit(&self, theirs: &str) -> Option<String> {
        if self.format != Format::Avro {
            return None;
        }
        match avro::writer(theirs, &[]) {
            Ok(WriterSchema::Wrong(why)) => return Some(why.to_string()),
            // What refers to others cannot be compared here; the registry does that.
            Err(_) => return None,
            Ok(_) => {}
        }
        if self.rule() == Rule::Backward {
            return None;
        }
        let (ours, theirs) = (Schema::parse_str(&self.text), Schema::parse_str(theirs));
        let fits = SchemaCompatibility::can_read(&ours.ok()?, &theirs.ok()?);
        let error = fits.err()?;
        Some(format!(
            "its readers do not understand what is written now: {error}"
        ))
    }
}

fn number(id: Option<u32>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
