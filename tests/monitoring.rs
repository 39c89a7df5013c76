//! The alerts and dashboards in `deploy/`: promtool runs on the rules and their tests, and rules,
//! dashboards, runbooks, docs and the metrics that there are fit together.
//! What needs a running connector is in `tests/it/connector/monitoring.rs`.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "monitoring/rules.rs"]
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use regex::Regex;
use rules::{all, dashboards, file, have_prometheus, panels, series};
use serde_json::Value;

/// The files of unit tests for the rules.
fn unit_tests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/tests");
    let files = std::fs::read_dir(folder).expect("a folder");
    let name = |file: std::fs::DirEntry| file.file_name().to_string_lossy().into_owned();
    let names = files.filter_map(Result::ok).map(name);
    names
        .map(|name| format!("deploy/prometheus/tests/{name}"))
        .collect()
}

fn promtool(args: &[&str]) {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("promtool runs");
    let said = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(
        output.status.success(),
        "promtool {args:?}\n{}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}

#[test]
fn the_rules_are_valid_and_do_what_their_tests_say() {
    if !have_prometheus("the_rules_are_valid_and_do_what_their_tests_say") {
        return;
    }
    let rules = "deploy/prometheus/rules.yml";
    promtool(&["check", "rules", "--lint-fatal", rules]);
    let composed = "deploy/compose/prometheus.yml";
    promtool(&["check", "config", "--syntax-only", composed]);
    let files = unit_tests();
    assert!(files.len() >= 4, "{files:?}");
    let files = files.iter().map(String::as_str);
    promtool(
        &["test", "rules"]
            .into_iter()
            .chain(files)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_alert_has_a_test_a_runbook_and_a_row() {
    let rules = rules::rules();
    let alerts = all(&rules, "alert");
    let tests: String = unit_tests().iter().map(|name| file(name)).collect();
    let (runbooks, page) = (file("docs/runbooks.md"), file("docs/monitoring.md"));
    let runbook = |alert: &String| format!("docs/runbooks.md#{}", alert.to_lowercase());
    assert_eq!(
        all(&rules, "runbook_url"),
        alerts.iter().map(runbook).collect::<Vec<_>>()
    );
    let headings = runbooks.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(headings.collect::<Vec<_>>(), alerts);
    for alert in &alerts {
        assert!(tests.contains(&format!("\"{alert}\"")), "{alert}: no test");
        assert!(page.contains(&format!("| [{alert}]")), "{alert}: no row");
        for part in ["Affected", "First", "Second", "Call", "Ends"] {
            let section = runbooks.split(&format!("## {alert}\n")).nth(1);
            let section = section.and_then(|s| s.split("\n## ").next());
            let is_there = section.is_some_and(|s| s.contains(&format!("- **{part}**: ")));
            assert!(is_there, "{alert}: {part}");
        }
    }
}

/// A row of the page has what the rule says.
#[test]
fn the_table_of_alerts_is_that_of_the_rules() {
    let (rules, page) = (rules::rules(), file("docs/monitoring.md"));
    for rule in rules.split("      - alert: ").skip(1) {
        let (name, rule) = rule.split_once('\n').expect("a rule");
        let waits = all(rule, "for").into_iter().next();
        let waits = waits.unwrap_or_else(|| "at once".to_owned());
        let severity = &all(rule, "severity")[0];
        let row = format!("#{}) | {waits} | {severity} |", name.to_lowercase());
        assert!(page.contains(&row), "{name}: no {row:?} in the table");
    }
}

/// What can be asked for: the metrics of the table, with the series of histograms, and what the
/// rules record.
fn known() -> BTreeSet<String> {
    let rows = file("docs/metrics.md");
    let mut known: BTreeSet<String> = all(&rules::rules(), "record").into_iter().collect();
    for row in rows.lines().filter(|line| line.starts_with("| `")) {
        let name = row.split('`').nth(1).expect("a name");
        if row.contains("| histogram |") {
            known.extend(["bucket", "sum", "count"].map(|end| format!("{name}_{end}")));
        } else {
            known.insert(name.to_owned());
        }
    }
    known
}

#[test]
fn every_series_that_is_asked_for_is_there() {
    let known = known();
    let orphans = |text: &str| -> Vec<String> {
        let asked = series(text);
        assert!(!asked.is_empty());
        asked.difference(&known).cloned().collect()
    };
    assert_eq!(orphans(&rules::rules()), Vec::<String>::new());
    for (name, dashboard) in dashboards() {
        let text = dashboard.to_string();
        assert_eq!(orphans(&text), Vec::<String>::new(), "{name}");
    }
    for name in unit_tests() {
        assert_eq!(orphans(&file(&name)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn everything_that_is_recorded_is_used() {
    let rules = rules::rules();
    let dashboards: String = dashboards().iter().map(|(_, d)| d.to_string()).collect();
    for name in all(&rules, "record") {
        let uses = rules.matches(&name).count() - 1 + dashboards.matches(&name).count();
        assert!(uses > 0, "{name}");
    }
}

#[test]
fn panels_say_what_they_show() {
    let page = file("docs/monitoring.md");
    for (name, dashboard) in dashboards() {
        let panels = panels(name, &dashboard);
        assert!(panels.len() > 20, "{name}");
        for panel in &panels {
            let text = |key: &str| panel.json[key].as_str().unwrap_or_default();
            let row = format!("- **{}**: {}", text("title"), text("description"));
            assert!(text("description").len() > 10, "{}", panel.name);
            assert!(page.contains(&row), "docs/monitoring.md: no {row:?}");
            let unit = panel.json.pointer("/fieldConfig/defaults/unit");
            assert!(
                unit.is_some_and(Value::is_string),
                "{}: no unit",
                panel.name
            );
            assert_eq!(panel.json["datasource"]["uid"], "${datasource}");
            assert!(!panel.queries.is_empty(), "{}", panel.name);
            for query in &panel.queries {
                let selects = query.contains("job=~\"$job\"") && query.contains("$namespace");
                assert!(selects, "{}: {query}", panel.name);
            }
        }
    }
}

#[test]
fn dashboards_can_be_imported() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].to_string()), "{name}");
        assert_eq!(
            dashboard["id"],
            Value::Null,
            "{name}: a number is Grafana's to give"
        );
        let variables = dashboard["templating"]["list"].as_array().expect("a list");
        let variables: Vec<&str> = variables
            .iter()
            .filter_map(|v| v["name"].as_str())
            .collect();
        assert_eq!(variables, ["datasource", "namespace", "job", "esme"]);
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {}", panel["id"]);
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            assert!(at("x") + at("w") <= 24, "{name}: {}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(
                        places.insert((x, y)),
                        "{name}: {} covers another",
                        panel["title"]
                    );
                }
            }
        }
    }
}

/// What is called the same has the same colour.
#[test]
fn colours_mean_the_same_everywhere() {
    let mut colours: BTreeMap<String, String> = BTreeMap::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(name, &dashboard) {
            let overrides = panel.json.pointer("/fieldConfig/overrides");
            for rule in overrides.and_then(Value::as_array).into_iter().flatten() {
                let what = rule["matcher"]["options"].as_str().expect("a name");
                let colour = &rule["properties"][0]["value"]["fixedColor"];
                let colour = colour.as_str().expect("a colour").to_owned();
                let before = colours.insert(what.to_owned(), colour.clone());
                assert!(
                    before.is_none_or(|before| before == colour),
                    "{}: {what}",
                    panel.name
                );
            }
        }
    }
    assert!(colours.len() > 10);
}

/// Nobody is woken about an ESME that is maintained.
#[test]
fn maintenance_mutes_what_is_about_an_esme() {
    let mutes = r"unless .*esme:kafka_smpp_maintenance:max > 0";
    let mutes = Regex::new(mutes).expect("a pattern");
    for rule in rules::rules().split("      - alert: ").skip(1) {
        let (name, rule) = rule.split_once('\n').expect("a rule");
        let expression = rule.split("annotations:").next().expect("an expression");
        let is_about_one = expression.contains("esme");
        assert!(!is_about_one || mutes.is_match(expression), "{name}");
    }
}

/// Expressions keep apart what is apart: deployments are `job` and `namespace`.
#[test]
fn rules_keep_deployments_apart() {
    let by = Regex::new(r"\b(?:by|on) \(([^)]*)\)").expect("a pattern");
    let rules = rules::rules();
    let mut seen = 0;
    for labels in by.captures_iter(&rules) {
        seen += 1;
        assert!(labels[1].starts_with("namespace, job"), "{}", &labels[0]);
    }
    assert!(seen > 30);
}
