//! What is asked for over HTTP, as records of the control topic.

use jiff::Timestamp;
use serde::Deserialize;

use super::orders::{About, Order, Part};

/// A wish, as `POST /steer` takes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Command {
    /// `pause`, `resume`, `drain` (a pause that closes binds, too), `rebind`, `set`, `maintenance`,
    /// `end_maintenance` or `log`.
    pub action: String,
    /// Of which ESME; of none for `log`.
    pub esme: Option<String>,
    /// Of which of its topics, if not of all.
    pub topic: Option<String>,
    /// Of which of its binds, if not of all.
    pub bind: Option<String>,
    /// Of `set`: the rate; null goes back to what is configured; left out it stays as it is.
    #[serde(deserialize_with = "given")]
    pub max_tps: Option<Option<f64>>,
    /// Of `set`: the window of each bind.
    #[serde(deserialize_with = "given")]
    pub window: Option<Option<f64>>,
    /// Of `maintenance`.
    pub from: Option<Timestamp>,
    /// Of `maintenance`.
    pub until: Option<Timestamp>,
    /// Of `log`; null goes back to what is configured.
    pub level: Option<String>,
    /// Who wants it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Tells a field that is null from one that is left out.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Longer names of people and reasons are refused.
const LONGEST: usize = 500;

/// A record: what it is about, and the order; none takes one back.
pub(super) type Written = (About, Option<Order>);

impl Command {
    /// The records that say it; `esmes` has the name and the topics of each.
    ///
    /// # Errors
    ///
    /// The field, its value and the remedy.
    pub(super) fn records(&self, esmes: &[(String, Vec<String>)]) -> Result<Vec<Written>, String> {
        for (field, text) in [("by", &self.by), ("reason", &self.reason)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
                return Err(format!("{field}: at most {LONGEST} octets"));
            }
        }
        let order = Order {
            by: self.by.clone(),
            reason: self.reason.clone(),
            ..Order::default()
        };
        if self.action == "log" {
            let level = Order {
                level: self.level.clone(),
                ..order
            };
            return Ok(vec![(About::Log, self.level.is_some().then_some(level))]);
        }
        let (esme, topics) = self.known(esmes)?;
        let part = self.part(&esme, topics)?;
        let pause = |unbind| Order {
            unbind: Some(unbind),
            ..order.clone()
        };
        let records = match &*self.action {
            "pause" => vec![(About::Pause(esme, part), Some(pause(false)))],
            "drain" if matches!(part, Part::Topic(_)) => {
                return Err("topic: binds are not of one topic; pause it instead".to_owned());
            }
            "drain" => vec![(About::Pause(esme, part), Some(pause(true)))],
            "resume" => vec![(About::Pause(esme, part), None)],
            "rebind" if matches!(part, Part::Topic(_)) => {
                return Err("topic: binds are not of one topic; name a bind, or none".to_owned());
            }
            "rebind" => vec![(About::Rebind(esme, part), Some(order))],
            "set" => self.set(&esme, &order)?,
            "maintenance" => {
                let window = Order {
                    from: self.from,
                    until: self.until,
                    ..order
                };
                vec![(About::Maintenance(esme), Some(window))]
            }
            "end_maintenance" => vec![(About::Maintenance(esme), None)],
            other => {
                return Err(format!(
                    "action = {other:?}: write pause, resume, drain, rebind, set, maintenance, end_maintenance or log"
                ));
            }
        };
        for (about, order) in &records {
            if let Some(fault) = order.as_ref().and_then(|order| about.fault(order)) {
                return Err(format!("{}: {fault}", self.action));
            }
        }
        Ok(records)
    }

    fn set(&self, esme: &str, order: &Order) -> Result<Vec<Written>, String> {
        let with = |value: &f64| Order {
            value: Some(*value),
            ..order.clone()
        };
        let mut records = Vec::new();
        if let Some(rate) = &self.max_tps {
            records.push((About::MaxTps(esme.to_owned()), rate.as_ref().map(with)));
        }
        if let Some(window) = &self.window {
            records.push((About::Window(esme.to_owned()), window.as_ref().map(with)));
        }
        if records.is_empty() {
            return Err("set: write max_tps or window".to_owned());
        }
        Ok(records)
    }

    fn known<'a>(
        &self,
        esmes: &'a [(String, Vec<String>)],
    ) -> Result<(String, &'a [String]), String> {
        let names = || {
            esmes
                .iter()
                .map(|(name, _)| &**name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(wanted) = &self.esme else {
            return Err(format!("esme: name one of {}", names()));
        };
        match esmes.iter().find(|(name, _)| name == wanted) {
            Some((name, topics)) => Ok((name.clone(), topics)),
            None => Err(format!("esme = {wanted:?}: there is {}", names())),
        }
    }

    fn part(&self, esme: &str, topics: &[String]) -> Result<Part, String> {
        match (&self.topic, &self.bind) {
            (Some(_), Some(_)) => Err("topic and bind: name one of them".to_owned()),
            (Some(topic), None) if topics.contains(topic) => Ok(Part::Topic(topic.clone())),
            (Some(topic), None) => {
                let topics = topics.join(", ");
                Err(format!("topic = {topic:?}: {esme} has {topics}"))
            }
            (None, Some(bind)) if is_bind(esme, bind) => Ok(Part::Bind(bind.clone())),
            (None, Some(bind)) => Err(format!(
                "bind = {bind:?}: binds of {esme} are called such as {esme}-0.0 (see /status)"
            )),
            (None, None) => Ok(Part::Whole),
        }
    }
}

/// Why nothing here is what an order is about: a name that is written wrongly pauses nothing.
pub(super) fn stranger(about: &About, esmes: &[(String, Vec<String>)]) -> Option<String> {
    let (esme, part) = match about {
        About::Log => return None,
        About::Pause(esme, part) | About::Rebind(esme, part) => (esme, part),
        About::MaxTps(esme) | About::Window(esme) | About::Maintenance(esme) => {
            (esme, &Part::Whole)
        }
    };
    let mut command = Command {
        esme: Some(esme.clone()),
        ..Command::default()
    };
    match part {
        Part::Whole => {}
        Part::Topic(name) => command.topic = Some(name.clone()),
        Part::Bind(name) => command.bind = Some(name.clone()),
    }
    let known = command.known(esmes);
    known
        .and_then(|(esme, topics)| command.part(&esme, topics))
        .err()
}

/// Whether a bind of the ESME can be called so.
fn is_bind(esme: &str, bind: &str) -> bool {
    let rest = bind
        .strip_prefix(esme)
        .and_then(|rest| rest.strip_prefix('-'));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    rest.is_some_and(|rest| !rest.is_empty() && rest.len() < 64 && rest.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn records(command: Value) -> Result<Vec<(String, Value)>, String> {
        let command: Command = serde_json::from_value(command).map_err(|e| e.to_string())?;
        let esmes = [
            (
                "acme".to_owned(),
                vec!["sms.out".to_owned(), "sms.urgent".to_owned()],
            ),
            ("beta".to_owned(), vec!["sms.beta".to_owned()]),
        ];
        let written = command.records(&esmes)?;
        let plain = |(about, order): &Written| (about.key(), json!(order));
        Ok(written.iter().map(plain).collect())
    }

    #[test]
    fn commands_are_records() {
        for (command, key, value) in [
            (
                json!({"action": "pause", "esme": "acme", "by": "me"}),
                "acme/pause",
                json!({"by": "me", "unbind": false}),
            ),
            (
                json!({"action": "drain", "esme": "acme"}),
                "acme/pause",
                json!({"unbind": true}),
            ),
            (
                json!({"action": "resume", "esme": "acme"}),
                "acme/pause",
                Value::Null,
            ),
            (
                json!({"action": "pause", "esme": "acme", "topic": "sms.urgent"}),
                "acme/pause/topic/sms.urgent",
                json!({"unbind": false}),
            ),
            (
                json!({"action": "rebind", "esme": "acme", "bind": "acme-0.0"}),
                "acme/rebind/bind/acme-0.0",
                json!({}),
            ),
            (
                json!({"action": "end_maintenance", "esme": "beta"}),
                "beta/maintenance",
                Value::Null,
            ),
            (
                json!({"action": "log", "level": "debug"}),
                "log",
                json!({"level": "debug"}),
            ),
            (json!({"action": "log"}), "log", Value::Null),
        ] {
            assert_eq!(
                records(command.clone()),
                Ok(vec![(key.to_owned(), value)]),
                "{command}"
            );
        }
        let both = json!({"action": "set", "esme": "acme", "max_tps": 200, "window": null});
        let expected = vec![
            ("acme/max_tps".to_owned(), json!({"value": 200.0})),
            ("acme/window".to_owned(), Value::Null),
        ];
        assert_eq!(records(both), Ok(expected));
        let one = json!({"action": "set", "esme": "acme", "window": 5});
        assert_eq!(records(one).unwrap().len(), 1, "the rate stays as it is");
    }

    #[test]
    fn an_order_about_what_is_not_here_is_none() {
        let esmes = [("acme".to_owned(), vec!["sms.out".to_owned()])];
        let of = |key: &str| stranger(&About::of(key).unwrap(), &esmes);
        for key in [
            "log",
            "acme/pause",
            "acme/max_tps",
            "acme/pause/topic/sms.out",
            "acme/rebind/bind/acme-0.0",
        ] {
            assert_eq!(of(key), None, "{key}");
        }
        for (key, said) in [
            ("amce/pause", "esme = \"amce\": there is acme"),
            ("amce/window", "there is acme"),
            ("acme/pause/topic/sms.uot", "acme has sms.out"),
            ("acme/rebind/bind/beta-0.0", "are called such as acme-0.0"),
        ] {
            let told = of(key).expect(key);
            assert!(told.contains(said), "{key}: {told}");
        }
    }

    #[test]
    fn what_cannot_be_done_names_the_field_and_the_remedy() {
        for (command, said) in [
            (
                json!({"action": "explode", "esme": "acme"}),
                "action = \"explode\": write pause",
            ),
            (json!({"action": "pause"}), "esme: name one of acme, beta"),
            (
                json!({"action": "pause", "esme": "amce"}),
                "esme = \"amce\": there is acme, beta",
            ),
            (
                json!({"action": "pause", "esme": "acme", "topic": "sms.beta"}),
                "acme has sms.out, sms.urgent",
            ),
            (
                json!({"action": "pause", "esme": "acme", "bind": "beta-0.0"}),
                "are called such as acme-0.0",
            ),
            (
                json!({"action": "pause", "esme": "acme", "bind": "acme-0/x"}),
                "are called such as",
            ),
            (
                json!({"action": "pause", "esme": "acme", "bind": "acme-0.0", "topic": "sms.out"}),
                "name one of them",
            ),
            (
                json!({"action": "drain", "esme": "acme", "topic": "sms.out"}),
                "pause it instead",
            ),
            (
                json!({"action": "set", "esme": "acme"}),
                "write max_tps or window",
            ),
            (
                json!({"action": "set", "esme": "acme", "max_tps": 0}),
                "above 0",
            ),
            (
                json!({"action": "maintenance", "esme": "acme"}),
                "both from and until",
            ),
            (
                json!({"action": "pause", "esme": "acme", "why": "x"}),
                "unknown field `why`",
            ),
            (
                json!({"action": "pause", "esme": "acme", "reason": "x".repeat(501)}),
                "at most 500",
            ),
        ] {
            let told = records(command.clone()).expect_err("it is refused");
            assert!(told.contains(said), "{command}: {told}");
        }
    }
}
