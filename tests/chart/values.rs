//! Values, and what they make of the resources; values that do not fit, and what is said of them.

use serde_json::{Map, Value, json};

/// A configuration that is enough.
pub fn config() -> Value {
    json!({
        "kafka": {"bootstrap_servers": "kafka:9092"},
        "esme": [{
            "name": "acme",
            "outbound": ["sms.outbound"],
            "hosts": ["smsc.example.net:2775"],
            "system_id": "acme",
            "password_file": "/run/secrets/sms/acme-password",
            "max_binds": 4,
        }],
    })
}

/// These values beside a configuration that is enough. A map takes the place of a map's entries.
pub fn with(values: Value) -> Value {
    let mut all = json!({"config": config()});
    put(&mut all, values);
    all
}

fn put(into: &mut Value, values: Value) {
    match (into, values) {
        (Value::Object(into), Value::Object(values)) => {
            for (key, value) in values {
                put(into.entry(key).or_insert_with(|| Map::new().into()), value);
            }
        }
        (into, value) => *into = value,
    }
}

/// Everything that can be turned on.
pub fn everything() -> Value {
    with(json!({
        "partitions": 4,
        "secrets": ["sms", "kafka.tls"],
        "http": {"tls": {"secretName": "http-tls"}, "token": {"secretName": "http-token"}},
        "staticMembership": {"enabled": true},
        "autoscaling": {"enabled": true, "keda": {"metadata": {"sasl": "scram_sha512", "tls": "enable"}, "authenticationRef": "kafka"}},
        "podMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
        "serviceMonitor": {"enabled": true, "tlsConfig": {"insecureSkipVerify": true}},
        "prometheusRule": {"enabled": true, "runbookBase": "https://git.example.net/kafka-smpp/"},
        "dashboards": {"enabled": true, "annotations": {"grafana_folder": "SMS"}},
        "networkPolicy": {
            "enabled": true,
            "kafka": {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}]},
            "smsc": {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [2775, 3550]},
            "registry": {"to": [{"podSelector": {"matchLabels": {"app": "registry"}}}]},
            "otel": {"to": [{"podSelector": {"matchLabels": {"app": "otel"}}}]},
            "scrape": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]},
            "outbind": {"from": [{"ipBlock": {"cidr": "192.0.2.8/32"}}]},
        },
        "setup": {"enabled": true, "replication": 3},
        "extraEnv": [{"name": "RUST_BACKTRACE", "value": "1"}],
        "extraEnvFrom": [{"secretRef": {"name": "more"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/kafka", "readOnly": true}],
        "extraPorts": [{"name": "outbind", "containerPort": 2776}],
        "commonLabels": {"team": "sms"},
        "podAnnotations": {"note": "a"},
        "podLabels": {"tier": "edge"},
        "nodeSelector": {"egress": "fixed"},
        "tolerations": [{"key": "egress", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/sms"}},
    }))
}

/// The pod of the Deployment or StatefulSet.
const POD: &str = "/spec/template/spec";

/// Values; a kind of resource; where in it (a JSON pointer, `POD` for the pod); what is there, and
/// null if nothing is.
pub fn table() -> Vec<(Value, &'static str, String, Value)> {
    let pod = |path: &str| format!("{POD}{path}");
    let container = |path: &str| format!("{POD}/containers/0{path}");
    let at = str::to_owned;
    let fixed = json!({"staticMembership": {"enabled": true}});
    let keda = |more: Value| {
        let mut values = json!({"partitions": 4, "autoscaling": {"enabled": true}});
        put(&mut values, json!({"autoscaling": more}));
        values
    };
    let per_pod = json!({"config": {"esme": [{"name": "a", "lease_topic": "a", "system_id": "a",
        "hosts": ["a:1"], "bind": "receiver", "binds": {"per_instance": 2}}]}});
    let text = |text: &str| json!({"config": text});
    vec![
        (json!({}), "Deployment", at("/metadata/name"), json!("sms-kafka-smpp")),
        (json!({"nameOverride": "sms"}), "Deployment", at("/metadata/name"), json!("sms")),
        (json!({"fullnameOverride": "gateway"}), "PodDisruptionBudget", at("/metadata/name"), json!("gateway")),
        (json!({}), "Deployment", at("/spec/replicas"), json!(2)),
        (json!({}), "StatefulSet", at(""), Value::Null),
        (fixed.clone(), "Deployment", at(""), Value::Null),
        (fixed.clone(), "StatefulSet", at("/spec/serviceName"), json!("sms-kafka-smpp")),
        (fixed.clone(), "StatefulSet", at("/spec/podManagementPolicy"), json!("Parallel")),
        (fixed.clone(), "StatefulSet", at("/spec/updateStrategy"), json!({"type": "RollingUpdate"})),
        // Its name is the pod's; the rest says the chart as well.
        (fixed.clone(), "StatefulSet", container("/env/0"), json!({"name": "KAFKA_SMPP__KAFKA__INSTANCE_ID",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
        (fixed, "StatefulSet", container("/env/1"), json!({"name": "KAFKA_SMPP__KAFKA__SESSION_TIMEOUT", "value": "60s"})),
        (json!({"staticMembership": {"enabled": true, "sessionTimeout": ""}}), "StatefulSet", container("/env/1/name"), json!("KAFKA_SMPP__SHUTDOWN_TIMEOUT")),
        // A pod more is no bind more, unless every pod has binds of its own.
        (json!({}), "Deployment", at("/spec/strategy/rollingUpdate"), json!({"maxSurge": 1, "maxUnavailable": 0})),
        (per_pod, "Deployment", at("/spec/strategy/rollingUpdate"), json!({"maxSurge": 0, "maxUnavailable": 1})),
        (text("[[esme]]\nbinds = { per_instance = 2 }"), "Deployment", at("/spec/strategy/rollingUpdate/maxSurge"), json!(0)),
        (text("[[esme]]\n# binds = { per_instance = 2 }"), "Deployment", at("/spec/strategy/rollingUpdate/maxSurge"), json!(1)),
        (json!({"updateStrategy": {"type": "Recreate"}}), "Deployment", at("/spec/strategy"), json!({"type": "Recreate"})),
        // A text is passed on as it is.
        (text("[kafka]\nbootstrap_servers = \"k:1\"\n"), "ConfigMap", at("/data/connector.toml"), json!("[kafka]\nbootstrap_servers = \"k:1\"\n")),
        // The grace of a pod follows from the time that a stop may take.
        (json!({}), "Deployment", pod("/terminationGracePeriodSeconds"), json!(40)),
        (json!({"shutdownTimeoutSeconds": 60}), "Deployment", pod("/terminationGracePeriodSeconds"), json!(80)),
        (json!({"shutdownTimeoutSeconds": 60}), "Deployment", container("/env/0"), json!({"name": "KAFKA_SMPP__SHUTDOWN_TIMEOUT", "value": "60s"})),
        // It listens where probes reach it.
        (json!({}), "Deployment", container("/env/1"), json!({"name": "KAFKA_SMPP__HTTP__LISTEN", "value": "0.0.0.0:9464"})),
        (json!({"http": {"host": "[::]", "port": 80}}), "Deployment", container("/env/1/value"), json!("[::]:80")),
        (json!({"http": {"port": 80}}), "Deployment", container("/ports/0/containerPort"), json!(80)),
        (json!({}), "Deployment", container("/startupProbe/httpGet"), json!({"path": "/live", "port": "http"})),
        (json!({}), "Deployment", container("/livenessProbe/httpGet"), json!({"path": "/live", "port": "http"})),
        (json!({}), "Deployment", container("/readinessProbe/httpGet"), json!({"path": "/ready", "port": "http"})),
        (json!({"http": {"tls": {"secretName": "t"}}}), "Deployment", container("/readinessProbe/httpGet/scheme"), json!("HTTPS")),
        (json!({"http": {"token": {"secretName": "t"}}}), "Deployment", container("/env/2/value"), json!("/run/kafka-smpp/http-token/token")),
        // Secrets are files that only the pod's group reads.
        (json!({"secrets": ["a", "b.c"]}), "Deployment", container("/volumeMounts/2"), json!({"name": "secret-b-c", "mountPath": "/run/secrets/b.c", "readOnly": true})),
        (json!({"secrets": ["a", "b.c"]}), "Deployment", pod("/volumes/2"), json!({"name": "secret-b-c", "secret": {"secretName": "b.c", "defaultMode": 0o440}})),
        (json!({"config": "", "existingConfigMap": "mine"}), "Deployment", pod("/volumes/0/configMap/name"), json!("mine")),
        (json!({"config": "", "existingConfigMap": "mine"}), "ConfigMap", at(""), Value::Null),
        (json!({"image": {"tag": "1"}}), "Deployment", container("/image"), json!("kafka-smpp:1")),
        (json!({"image": {"tag": "1", "digest": format!("sha256:{}", "0".repeat(64))}}), "Deployment", container("/image"),
            json!(format!("kafka-smpp@sha256:{}", "0".repeat(64)))),
        // What the restricted Pod Security Standard asks for, and no token.
        (json!({}), "Deployment", pod("/automountServiceAccountToken"), json!(false)),
        (json!({}), "ServiceAccount", at("/automountServiceAccountToken"), json!(false)),
        (json!({"serviceAccount": {"create": false}}), "Deployment", pod("/serviceAccountName"), json!("default")),
        (json!({}), "Deployment", pod("/securityContext/runAsNonRoot"), json!(true)),
        (json!({}), "Deployment", pod("/securityContext/seccompProfile/type"), json!("RuntimeDefault")),
        (json!({}), "Deployment", container("/securityContext/allowPrivilegeEscalation"), json!(false)),
        (json!({}), "Deployment", container("/securityContext/readOnlyRootFilesystem"), json!(true)),
        (json!({}), "Deployment", container("/securityContext/capabilities"), json!({"drop": ["ALL"]})),
        (json!({}), "Deployment", pod("/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1instance"), json!("sms")),
        // An SMSC that is away does not hold up a node that is drained.
        (json!({}), "PodDisruptionBudget", at("/spec/unhealthyPodEvictionPolicy"), json!("AlwaysAllow")),
        (json!({}), "PodDisruptionBudget", at("/spec/maxUnavailable"), json!(1)),
        (json!({"podDisruptionBudget": {"maxUnavailable": "25%"}}), "PodDisruptionBudget", at("/spec/maxUnavailable"), json!("25%")),
        // The rules take a job for a deployment.
        (json!({"podMonitor": {"enabled": true}}), "PodMonitor", at("/spec/jobLabel"), json!("app.kubernetes.io/instance")),
        (json!({"serviceMonitor": {"enabled": true}}), "ServiceMonitor", at("/spec/jobLabel"), json!("app.kubernetes.io/instance")),
        (json!({"prometheusRule": {"enabled": true, "runbookBase": "https://x/"}}), "PrometheusRule",
            at("/spec/groups/1/rules/0/annotations/runbook_url"), json!("https://x/docs/runbooks.md#kafkasmppgone")),
        // Never more pods than partitions.
        (keda(json!({})), "ScaledObject", at("/spec/maxReplicaCount"), json!(4)),
        (keda(json!({"maxReplicas": 3})), "ScaledObject", at("/spec/maxReplicaCount"), json!(3)),
        (keda(json!({"type": "hpa"})), "HorizontalPodAutoscaler", at("/spec/maxReplicas"), json!(4)),
        (keda(json!({"type": "hpa"})), "HorizontalPodAutoscaler", at("/spec/scaleTargetRef/name"), json!("sms-kafka-smpp")),
        (keda(json!({})), "HorizontalPodAutoscaler", at(""), Value::Null),
        (keda(json!({})), "Deployment", at("/spec/replicas"), Value::Null),
        (keda(json!({})), "ScaledObject", at("/spec/triggers/0/metadata"), json!({"bootstrapServers": "kafka:9092",
            "consumerGroup": "sms-kafka-smpp.submit", "lagThreshold": "10000", "offsetResetPolicy": "earliest"})),
        (keda(json!({"keda": {"lagThreshold": 3_000_000, "metadata": {"tls": "enable"}}})), "ScaledObject",
            at("/spec/triggers/0/metadata/lagThreshold"), json!("3000000")),
        // Nothing is allowed that is not named; names are asked for at the cluster's DNS.
        (json!({"networkPolicy": {"enabled": true, "kafka": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}}), "NetworkPolicy",
            at("/spec/policyTypes"), json!(["Ingress", "Egress"])),
        (json!({"networkPolicy": {"enabled": true, "kafka": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}}), "NetworkPolicy",
            at("/spec/ingress"), json!([])),
        (json!({"networkPolicy": {"enabled": true, "kafka": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, "dns": {"to": []}}}), "NetworkPolicy",
            at("/spec/egress"), json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 9092, "protocol": "TCP"}]}])),
        // It creates topics, then checks; both before anything else is there.
        (json!({"partitions": 4, "setup": {"enabled": true, "replication": 3}}), "Job", pod("/initContainers/0/args"),
            json!(["topics", "create", "--config", "/etc/kafka-smpp/connector.toml", "--partitions", "4", "--replication", "3"])),
        (json!({"setup": {"enabled": true}}), "Job", container("/args"), json!(["check", "--config", "/etc/kafka-smpp/connector.toml", "--connect"])),
        (json!({"setup": {"enabled": true, "check": false}}), "Job", container("/args"), json!(["topics", "create", "--config", "/etc/kafka-smpp/connector.toml"])),
        (json!({"setup": {"enabled": true}}), "Job", at("/metadata/annotations/helm.sh~1hook"), json!("pre-install,pre-upgrade")),
        (json!({"setup": {"enabled": true}}), "Job", pod("/volumes/0/configMap/name"), json!("sms-kafka-smpp-setup")),
        (json!({}), "Job", at(""), Value::Null),
    ]
}

/// Values that are refused, and a part of what is said.
pub fn refused() -> Vec<(Value, &'static str)> {
    let keda = |more: Value| {
        let mut values = json!({"partitions": 4, "autoscaling": {"enabled": true}});
        put(&mut values, json!({"autoscaling": more}));
        values
    };
    vec![
        (json!({"replicas": 2}), "'replicas'"),
        (json!({"image": {"tga": "1"}}), "'tga'"),
        (json!({"config": {"kafak": {}}}), "'kafak'"),
        (json!({"config": {"esme": [{"windw": 1}]}}), "'windw'"),
        (json!({"config": {"submit": {"in_doubt": "resned"}}}), "/config/submit/in_doubt"),
        (json!({"replicaCount": "two"}), "/replicaCount"),
        (json!({"image": {"digest": "sha256:0"}}), "/image/digest"),
        (json!({"http": {"port": 70000}}), "/http/port"),
        (json!({"secrets": ["Not_A_Name"]}), "/secrets/0"),
        (json!({"podDisruptionBudget": {"maxUnavailable": 0}}), "/podDisruptionBudget/maxUnavailable"),
        (json!({"podDisruptionBudget": {"maxUnavailable": "0%"}}), "/podDisruptionBudget/maxUnavailable"),
        (json!({"autoscaling": {"minReplicas": 0}}), "/autoscaling/minReplicas"),
        (json!({"autoscaling": {"type": "vpa"}}), "/autoscaling/type"),
        (json!({"config": ""}), "config is empty"),
        (json!({"existingConfigMap": "mine"}), "both set"),
        (json!({"config": {"shutdown_timeout": "5s"}}), "shutdownTimeoutSeconds"),
        (json!({"config": {"http": {"listen": "127.0.0.1:1"}}}), "http.host and http.port"),
        (json!({"config": {"kafka": {"instance_id": "a"}}}), "staticMembership.enabled"),
        (json!({"autoscaling": {"enabled": true}}), "needs partitions"),
        (keda(json!({"maxReplicas": 5})), "maxReplicas is 5, but there are 4 partitions"),
        (keda(json!({"minReplicas": 5})), "minReplicas is 5, more than the 4"),
        (json!({"partitions": 4, "autoscaling": {"enabled": true}, "config": "[kafka]"}), "autoscaling.keda.bootstrapServers"),
        (json!({"serviceMonitor": {"enabled": true}, "service": {"enabled": false}}), "needs service.enabled"),
        (json!({"networkPolicy": {"enabled": true}}), "networkPolicy.kafka.to is empty"),
    ]
}
