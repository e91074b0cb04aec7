{{- /*
Combinations of values that would render and then not work. Each fails with one line that says what to
do. deployment.yaml includes this, because every release has it.
*/}}
{{- define "keyturn.check" -}}
{{- include "keyturn.checkServiceAccount" . }}
{{- include "keyturn.checkCommonLabels" . }}
{{- include "keyturn.checkDisruptionBudget" . }}
{{- include "keyturn.checkMetrics" . }}
{{- include "keyturn.checkAddresses" . }}
{{- include "keyturn.checkShard" . }}
{{- if include "keyturn.hasWebhook" . }}
{{- include "keyturn.checkTestNamespace" . }}
{{- end }}
{{- end }}

{{- define "keyturn.checkShard" -}}
{{- if and .Values.shard.ownsCluster (not .Values.shard.name) }}
{{- fail "shard.ownsCluster needs shard.name: a release without shards always writes what belongs to the whole cluster" }}
{{- end }}
{{- if and .Values.shard.name (not .Values.watchNamespaces) (not .Values.shard.namespaceSelector) }}
{{- fail "shard.name needs watchNamespaces or shard.namespaceSelector: the namespaces of this shard, which no other shard has" }}
{{- end }}
{{- if and .Values.shard.namespaceSelector (not .Values.shard.name) }}
{{- fail "shard.namespaceSelector needs shard.name: the name of this release in a set of shards" }}
{{- end }}
{{- if and .Values.shard.namespaceSelector .Values.watchNamespaces }}
{{- fail "watchNamespaces and shard.namespaceSelector: set one of them" }}
{{- end }}
{{- end }}

{{- define "keyturn.checkServiceAccount" -}}
{{- with .Values.serviceAccount }}
{{- if and (not .create) (not .name) }}
{{- fail "serviceAccount.create=false needs serviceAccount.name: the name of the ServiceAccount that another tool creates" }}
{{- end }}
{{- if and (not .create) (or .annotations .labels) }}
{{- fail "serviceAccount.annotations and serviceAccount.labels have no effect with serviceAccount.create=false: write them to the ServiceAccount itself" }}
{{- end }}
{{- if eq .name "default" }}
{{- fail "serviceAccount.name must not be \"default\": every pod of the namespace without a ServiceAccount of its own would have keyturn's rights and its AWS identity" }}
{{- end }}
{{- end }}
{{- if and (include "keyturn.hasWebhook" .) (eq (include "keyturn.serviceAccountName" .) (include "keyturn.webhookName" .)) }}
{{- fail (printf "serviceAccount.name must not be %q: the webhook's pods have the ServiceAccount of that name, and would have the operator's rights" .Values.serviceAccount.name) }}
{{- end }}
{{- end }}

{{- define "keyturn.checkCommonLabels" -}}
{{- $own := list "helm.sh/chart" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" }}
{{- range $key, $_ := .Values.commonLabels }}
{{- if has $key $own }}
{{- fail (printf "commonLabels: the chart sets %s itself, because selectors and tools rely on it: remove it" $key) }}
{{- end }}
{{- if or (hasPrefix "keyturn.dev/" $key) (hasPrefix "rbac.authorization.k8s.io/" $key) }}
{{- fail (printf "commonLabels: %s would give objects of the release another meaning, for example offer a Secret or aggregate a ClusterRole: remove it" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Each budget has to let a pod go, because a drain of its node would otherwise never end. */}}
{{- define "keyturn.checkDisruptionBudget" -}}
{{- $least := include "keyturn.text" .Values.podDisruptionBudget.minAvailable }}
{{- $most := include "keyturn.text" .Values.podDisruptionBudget.maxUnavailable }}
{{- if and (ne $least "") (ne $most "") }}
{{- fail "podDisruptionBudget: set minAvailable or maxUnavailable, and not both, because Kubernetes takes one of them" }}
{{- end }}
{{- if or (has $most (list "0" "0%")) (eq $least "100%") }}
{{- fail "podDisruptionBudget lets no pod be evicted, so a drain of its node would never end: raise maxUnavailable, or lower minAvailable" }}
{{- end }}
{{- if regexMatch "^[0-9]+$" $least }}
{{- $replicas := dict "replicaCount" .Values.replicaCount }}
{{- if include "keyturn.hasWebhook" . }}
{{- $_ := set $replicas "webhook.replicaCount" .Values.webhook.replicaCount }}
{{- end }}
{{- range $value, $count := $replicas }}
{{- if and (gt (int $count) 1) (ge (int $least) (int $count)) }}
{{- fail (printf "podDisruptionBudget.minAvailable=%s with %s=%d lets no pod be evicted, so a drain of its node would never end: lower minAvailable, or raise %s" $least $value (int $count) $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyturn.checkMetrics" -}}
{{- $metrics := .Values.metrics }}
{{- $pod := $metrics.podMonitor.enabled }}
{{- $service := $metrics.serviceMonitor.enabled }}
{{- if and $pod $service }}
{{- fail "metrics.podMonitor.enabled and metrics.serviceMonitor.enabled: take one of them, because with both every counter counts twice" }}
{{- end }}
{{- if and $service (not $metrics.service.enabled) }}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service.enabled=true; metrics.podMonitor.enabled needs no Service" }}
{{- end }}
{{- if and (or $pod $service) .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) }}
{{- fail "networkPolicy.metricsFrom is empty, so the monitor's Prometheus cannot reach the metrics: name its namespace there, e.g. [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" }}
{{- end }}
{{- if and $metrics.prometheusRule.enabled (not $metrics.prometheusRule.runbookUrl) }}
{{- fail "metrics.prometheusRule.enabled needs metrics.prometheusRule.runbookUrl: the address at which your people read docs/runbooks.md, because every alert links to its section there" }}
{{- end }}
{{- end }}

{{- /* The ports of the pods, and those of addresses that the environment sets. */}}
{{- define "keyturn.checkAddresses" -}}
{{- $webhook := .Values.webhook }}
{{- if eq (int $webhook.port) (int $webhook.adminPort) }}
{{- fail (printf "webhook.port and webhook.adminPort are both %d: choose two ports" (int $webhook.port)) }}
{{- end }}
{{- $rows := list
      (list "extraEnv" .Values.extraEnv "KEYTURN_ADMIN_ADDR" 8080 "8080, the port of the operator's pods")
      (list "webhook.extraEnv" $webhook.extraEnv "KEYTURN_ADMIN_ADDR" $webhook.adminPort "webhook.adminPort")
      (list "webhook.extraEnv" $webhook.extraEnv "KEYTURN_WEBHOOK_ADDR" $webhook.port "webhook.port") }}
{{- range $row := $rows }}
{{- range index $row 1 }}
{{- if and (eq .name (index $row 2)) .value (not (hasSuffix (printf ":%d" (int (index $row 3))) .value)) }}
{{- fail (printf "%s: %s is %q, whose port is not %s (%d): probes and Services would not reach it" (index $row 0) .name .value (index $row 4) (int (index $row 3))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyturn.checkTestNamespace" -}}
{{- with .Values.webhook.endpoint.testNamespace }}
{{- if has . (list $.Release.Namespace "kube-system" "kube-public" "kube-node-lease") }}
{{- fail (printf "webhook.endpoint.testNamespace: the API server never asks the webhook about pods of %s: name a namespace of users, or none" .) }}
{{- end }}
{{- $guarded := include "keyturn.guardedNamespaces" $ | fromYamlArray }}
{{- if and $guarded (not (has . $guarded)) }}
{{- fail (printf "webhook.endpoint.testNamespace: %s is not one of watchNamespaces" .) }}
{{- end }}
{{- end }}
{{- end }}
