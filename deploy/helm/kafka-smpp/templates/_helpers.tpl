{{/* The name of the resources. Pods of a StatefulSet, and labels made of it, need room behind it. */}}
{{- define "kafka-smpp.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What all pods of the release have in common, those of the setup job included. */}}
{{- define "kafka-smpp.releaseLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* By which the connector's pods are found. They never change. */}}
{{- define "kafka-smpp.selectorLabels" -}}
{{ include "kafka-smpp.releaseLabels" . }}
app.kubernetes.io/component: connector
{{- end -}}

{{- define "kafka-smpp.labels" -}}
{{ include "kafka-smpp.releaseLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kafka-smpp.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "kafka-smpp.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kafka-smpp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Values that do not fit together, each with the remedy. */}}
{{- define "kafka-smpp.check" -}}
{{- if and (not .Values.existingConfigMap) (not .Values.config) -}}
{{- fail "config is empty: give the connector's configuration, or the name of a ConfigMap in existingConfigMap" -}}
{{- end -}}
{{- if and .Values.existingConfigMap .Values.config -}}
{{- fail "config and existingConfigMap are both set: leave one of them out" -}}
{{- end -}}
{{- if kindIs "map" .Values.config -}}
{{- if hasKey .Values.config "shutdown_timeout" -}}
{{- fail "config.shutdown_timeout: set shutdownTimeoutSeconds instead, from which terminationGracePeriodSeconds follows" -}}
{{- end -}}
{{- if hasKey (default dict .Values.config.http) "listen" -}}
{{- fail "config.http.listen: set http.host and http.port instead, which probes and monitors use" -}}
{{- end -}}
{{- if hasKey (default dict .Values.config.kafka) "instance_id" -}}
{{- fail "config.kafka.instance_id: no two pods may have the same; set staticMembership.enabled instead" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.partitions) 1) -}}
{{- fail "autoscaling.enabled needs partitions: how many the outbound topics have, because more pods than that have nothing to do" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) (int .Values.partitions)) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, but there are %d partitions: more pods than that have nothing to do" (int .Values.autoscaling.maxReplicas) (int .Values.partitions)) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int (include "kafka-smpp.maxReplicas" .))) -}}
{{- fail (printf "autoscaling.minReplicas is %d, more than the %s that there may be" (int .Values.autoscaling.minReplicas) (include "kafka-smpp.maxReplicas" .)) -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- fail "serviceMonitor.enabled needs service.enabled; or use podMonitor" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.kafka.to) -}}
{{- fail "networkPolicy.kafka.to is empty: nothing would reach the brokers" -}}
{{- end -}}
{{- end -}}

{{- define "kafka-smpp.maxReplicas" -}}
{{- default .Values.partitions .Values.autoscaling.maxReplicas | int -}}
{{- end -}}

{{/* A string, number, flag, list or map as TOML writes it inline. */}}
{{- define "kafka-smpp.tomlValue" -}}
{{- if kindIs "map" . -}}
{{- $entries := list -}}
{{- range $key, $value := . -}}
{{- $entries = append $entries (printf "%s = %s" (include "kafka-smpp.tomlKey" $key) (include "kafka-smpp.tomlValue" $value)) -}}
{{- end -}}
{ {{- join ", " $entries -}} }
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- $items = append $items (include "kafka-smpp.tomlValue" .) -}}
{{- end -}}
[{{- join ", " $items -}}]
{{- else if kindIs "float64" . -}}
{{- /* Helm reads every number as a float; an integer has to look like one again. */ -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{- define "kafka-smpp.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* A table of TOML: what is on its lines, then the tables in it. */}}
{{- define "kafka-smpp.tomlTable" -}}
{{- $path := .path -}}
{{- range $key, $value := .table -}}
{{- $isTables := and (kindIs "slice" $value) $value (kindIs "map" (first (concat (default list $value) (list "")))) -}}
{{- if not (or (kindIs "map" $value) $isTables (kindIs "invalid" $value)) }}
{{ include "kafka-smpp.tomlKey" $key }} = {{ include "kafka-smpp.tomlValue" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- $name := include "kafka-smpp.tomlKey" $key -}}
{{- $at := ternary (printf "%s.%s" $path $name) $name (ne $path "") -}}
{{- if kindIs "map" $value }}

[{{ $at }}]
{{- include "kafka-smpp.tomlTable" (dict "path" $at "table" $value) -}}
{{- else if and (kindIs "slice" $value) $value -}}
{{- if kindIs "map" (first $value) -}}
{{- range $value }}

[[{{ $at }}]]
{{- include "kafka-smpp.tomlTable" (dict "path" $at "table" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The configuration as the connector reads it. */}}
{{- define "kafka-smpp.toml" -}}
{{- if kindIs "map" .Values.config -}}
{{- $config := deepCopy .Values.config -}}
{{- $kafka := merge (dict) (default dict $config.kafka) (dict "application_id" (include "kafka-smpp.fullname" .)) -}}
{{- $_ := set $config "kafka" $kafka -}}
{{- include "kafka-smpp.tomlTable" (dict "path" "" "table" $config) | trim -}}
{{- else -}}
{{- .Values.config | trimSuffix "\n" -}}
{{- end -}}
{{- end -}}

{{- define "kafka-smpp.configMapName" -}}
{{- default (include "kafka-smpp.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{/* Whether an account opens binds for each pod, so that a pod more is binds more. */}}
{{- define "kafka-smpp.bindsPerPod" -}}
{{- if kindIs "map" .Values.config -}}
{{- range .Values.config.esme -}}
{{- if hasKey (default dict .binds) "per_instance" -}}yes{{- end -}}
{{- end -}}
{{- else if regexMatch "(?m)^[^#\n]*\\bper_instance\\b" .Values.config -}}yes
{{- end -}}
{{- end -}}

{{/* What every container of the connector's program has. */}}
{{- define "kafka-smpp.container" -}}
image: {{ include "kafka-smpp.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Variables that override what the configuration says. */}}
{{- define "kafka-smpp.env" -}}
- name: KAFKA_SMPP__SHUTDOWN_TIMEOUT
  value: {{ printf "%ds" (int .Values.shutdownTimeoutSeconds) }}
- name: KAFKA_SMPP__HTTP__LISTEN
  value: {{ printf "%s:%d" .Values.http.host (int .Values.http.port) | quote }}
{{- if .Values.http.tls.secretName }}
- name: KAFKA_SMPP__HTTP__CERTIFICATE_FILE
  value: /run/kafka-smpp/http-tls/tls.crt
- name: KAFKA_SMPP__HTTP__KEY_FILE
  value: /run/kafka-smpp/http-tls/tls.key
{{- end }}
{{- if .Values.http.token.secretName }}
- name: KAFKA_SMPP__HTTP__TOKEN_FILE
  value: /run/kafka-smpp/http-token/{{ .Values.http.token.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kafka-smpp.volumeMounts" -}}
- name: config
  mountPath: /etc/kafka-smpp
  readOnly: true
{{- range .Values.secrets }}
- name: secret-{{ . | replace "." "-" }}
  mountPath: /run/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- if .Values.http.tls.secretName }}
- name: http-tls
  mountPath: /run/kafka-smpp/http-tls
  readOnly: true
{{- end }}
{{- if .Values.http.token.secretName }}
- name: http-token
  mountPath: /run/kafka-smpp/http-token
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes the root and the name of the ConfigMap. */}}
{{- define "kafka-smpp.volumes" -}}
- name: config
  configMap:
    name: {{ .configMap }}
{{- range .root.Values.secrets }}
- name: secret-{{ . | replace "." "-" }}
  secret:
    secretName: {{ . }}
    defaultMode: 288 # 0440
{{- end }}
{{- with .root.Values.http.tls.secretName }}
- name: http-tls
  secret:
    secretName: {{ . }}
    defaultMode: 288 # 0440
{{- end }}
{{- with .root.Values.http.token.secretName }}
- name: http-token
  secret:
    secretName: {{ . }}
    defaultMode: 288 # 0440
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes the root, the path and the probe's values. */}}
{{- define "kafka-smpp.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if .root.Values.http.tls.secretName }}
  scheme: HTTPS
  {{- end }}
{{ toYaml .probe }}
{{- end -}}

{{/* How Prometheus scrapes. Takes the root and the monitor's values. */}}
{{- define "kafka-smpp.endpoint" -}}
port: http
path: /metrics
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
{{- if .root.Values.http.tls.secretName }}
scheme: https
{{- end }}
{{- with .monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A list of ports of TCP. */}}
{{- define "kafka-smpp.tcp" -}}
{{- range . }}
- port: {{ . }}
  protocol: TCP
{{- end }}
{{- end -}}
