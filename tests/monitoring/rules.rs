//! The rules and dashboards in `deploy/`, as texts; the programs of Prometheus.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use serde_json::Value;

#[path = "../required/mod.rs"]
mod required;

use required::is_required;

/// A file of the repository.
pub fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The rules.
pub fn rules() -> String {
    file("deploy/prometheus/rules.yml")
}

/// What stands behind `key: ` in lines of a file.
pub fn all(text: &str, key: &str) -> Vec<String> {
    let pattern = Regex::new(&format!(r"(?m)^[ -]*{key}: (\S+)$")).expect("a pattern");
    let found = pattern.captures_iter(text);
    found.map(|captures| captures[1].to_owned()).collect()
}

/// The names of series in a text: metrics, and what rules record.
pub fn series(text: &str) -> BTreeSet<String> {
    let pattern =
        Regex::new(r"\b(?:(?:esme|bind|partition):)?kafka_smpp_\w+(?::\w+)?").expect("a pattern");
    let found = pattern.find_iter(text);
    found.map(|found| found.as_str().to_owned()).collect()
}

/// A panel of a dashboard that shows something.
pub struct Panel {
    /// The whole of it.
    pub json: Value,
    /// Its title, with the dashboard's name.
    pub name: String,
    /// Its queries.
    pub queries: Vec<String>,
}

/// The dashboards: name and content.
pub fn dashboards() -> Vec<(&'static str, Value)> {
    let read = |name| {
        let text = file(&format!("deploy/grafana/{name}.json"));
        (name, serde_json::from_str(&text).expect("JSON"))
    };
    vec![read("overview"), read("esme")]
}

/// The panels of a dashboard.
pub fn panels(name: &str, dashboard: &Value) -> Vec<Panel> {
    let all = dashboard["panels"].as_array().expect("panels").iter();
    let panel = |json: &Value| {
        let targets = json["targets"].as_array().expect("targets").iter();
        let query = |target: &Value| target["expr"].as_str().expect("an expression").to_owned();
        Panel {
            name: format!("{name}: {}", json["title"].as_str().unwrap_or_default()),
            queries: targets.map(query).collect(),
            json: json.clone(),
        }
    };
    all.filter(|json| json["type"] != "row")
        .map(panel)
        .collect()
}

/// The programs of Prometheus; none where they are missing, which is said, and is an error where
/// they have to be there.
pub fn have_prometheus(test: &str) -> bool {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let both = runs("prometheus") && runs("promtool");
    if !both {
        let remedy = "prometheus and promtool are not found (Debian: apt-get install prometheus)";
        assert!(!is_required("REQUIRE_PROMETHEUS"), "{remedy}");
        eprintln!("{test} is skipped: {remedy}");
    }
    both
}
