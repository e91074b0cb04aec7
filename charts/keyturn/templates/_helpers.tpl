{{- define "keyturn.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /*
The name of the objects of the release: the name of the release if it contains the name of the
chart, otherwise both.
*/}}
{{- define "keyturn.fullname" -}}
{{- $name := include "keyturn.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Whether this release writes what belongs to the whole cluster: `true`, or nothing. */}}
{{- define "keyturn.ownsCluster" -}}
{{- if or (not .Values.shard.name) .Values.shard.ownsCluster }}true{{ end }}
{{- end }}

{{- /* Whether this release has the pods and the configuration of the webhook: `true`, or nothing. */}}
{{- define "keyturn.hasWebhook" -}}
{{- if .Values.webhook.enabled }}{{ include "keyturn.ownsCluster" . }}{{ end }}
{{- end }}

{{- /*
The namespaces to which the policies about users and the webhook are limited, as a YAML list; empty
for all. The policies and the webhook of a shard that owns what belongs to the whole cluster are for
the namespaces of all shards.
*/}}
{{- define "keyturn.guardedNamespaces" -}}
{{- if .Values.shard.name }}[]{{ else }}{{ toYaml .Values.watchNamespaces }}{{ end }}
{{- end }}

{{- define "keyturn.serviceAccountName" -}}
{{- default (include "keyturn.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "keyturn.selectorLabels" -}}
app.kubernetes.io/name: {{ include "keyturn.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keyturn.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "keyturn.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: keyturn
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "keyturn.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The image of the endpoint in users' pods, and its pull policy. */}}
{{- define "keyturn.endpointImage" -}}
{{ default (include "keyturn.image" .) .Values.webhook.endpoint.image }}
{{- end }}

{{- define "keyturn.endpointPullPolicy" -}}
{{ default .Values.image.pullPolicy .Values.webhook.endpoint.pullPolicy }}
{{- end }}

{{- /* The labels by which the Deployment of the webhook knows its pods. */}}
{{- define "keyturn.webhookSelectorLabels" -}}
app.kubernetes.io/name: {{ include "keyturn.name" . | trunc 55 | trimSuffix "-" }}-webhook
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keyturn.webhookLabels" -}}
{{- $own := merge (include "keyturn.webhookSelectorLabels" . | fromYaml) (dict "app.kubernetes.io/component" "webhook") }}
{{- merge $own (include "keyturn.labels" . | fromYaml) | toYaml }}
{{- end }}

{{- define "keyturn.webhookName" -}}
{{ include "keyturn.fullname" . }}-webhook
{{- end }}

{{- /* The name of the objects about metrics. */}}
{{- define "keyturn.metricsName" -}}
{{ include "keyturn.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
{{- end }}

{{- /* The labels by which the pods of the operator and of the webhook are selected together. */}}
{{- define "keyturn.allPodsLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: keyturn
{{- end }}

{{- /* The ConfigMap by which a cluster admin confirms withdrawals. */}}
{{- define "keyturn.withdrawals" -}}
{{ include "keyturn.fullname" . }}-withdrawals
{{- end }}

{{- /* The environment of the operator. */}}
{{- define "keyturn.env" -}}
{{- $env := list (dict "name" "KEYTURN_CLUSTER_NAME" "value" (required "clusterName is required: it is half of the external ID <clusterName>/<namespace>" .Values.clusterName)) }}
{{- with .Values.watchNamespaces }}
{{- $env = append $env (dict "name" "KEYTURN_WATCH_NAMESPACES" "value" (join "," .)) }}
{{- end }}
{{- $env = concat $env (include "keyturn.commonEnv" . | fromYamlArray) }}
{{- with .Values.limits.awsConfigsPerNamespace }}
{{- $env = append $env (dict "name" "KEYTURN_AWSCONFIGS_PER_NAMESPACE" "value" (toString (int .))) }}
{{- end }}
{{- if .Values.metrics.perObject }}
{{- $env = append $env (dict "name" "KEYTURN_OBJECT_METRICS" "value" "true") }}
{{- end }}
{{- with .Values.limits.requests }}
{{- $env = append $env (dict "name" "KEYTURN_REQUESTS_PER_SECOND" "value" (toString (int .perSecond))) }}
{{- $env = append $env (dict "name" "KEYTURN_REQUESTS_BURST" "value" (toString (int .burst))) }}
{{- $env = append $env (dict "name" "KEYTURN_NAMESPACE_REQUESTS_PER_SECOND" "value" (toString (int .namespacePerSecond))) }}
{{- $env = append $env (dict "name" "KEYTURN_NAMESPACE_REQUESTS_BURST" "value" (toString (int .namespaceBurst))) }}
{{- end }}
{{- with .Values.limits.stsPerSecond }}
{{- $env = append $env (dict "name" "KEYTURN_STS_PER_SECOND" "value" (toString (int .))) }}
{{- end }}
{{- with .Values.ceilings.maxAge }}
{{- if not $.Values.personPolicy.enabled }}
{{- fail "ceilings.maxAge needs personPolicy.enabled=true: without that policy, everybody who may edit an AwsConfig could confirm it" }}
{{- end }}
{{- $env = append $env (dict "name" "KEYTURN_MAX_AGE" "value" .) }}
{{- end }}
{{- with .Values.withdrawalBrake }}
{{- $env = append $env (dict "name" "KEYTURN_WITHDRAWAL_BRAKE" "value" (toString (int .))) }}
{{- end }}
{{- $env = append $env (dict "name" "KEYTURN_WITHDRAWALS_CONFIG_MAP" "value" (printf "%s/%s" .Release.Namespace (include "keyturn.withdrawals" .))) }}
{{- $field := dict "fieldRef" (dict "fieldPath" "metadata.name") }}
{{- $env = append $env (dict "name" "HOSTNAME" "valueFrom" $field) }}
{{- $env = append $env (dict "name" "KEYTURN_LEADER_ELECTION" "value" "true") }}
{{- /*
Two settings of glibc's malloc. With them, each buffer of 128 KiB or more goes back to Linux when it
is free, and all threads share one heap. 500 of the largest AwsConfigs then add 22 MB to a restarted
operator instead of 37 MB, and 33 MB at the peak instead of 56 MB (docs/performance.md, Memory).
extraEnv may set others.
*/}}
{{- $given := dict }}
{{- range .Values.extraEnv }}
{{- $_ := set $given .name true }}
{{- end }}
{{- range $name, $value := dict "MALLOC_ARENA_MAX" "1" "MALLOC_MMAP_THRESHOLD_" "131072" }}
{{- if not (hasKey $given $name) }}
{{- $env = append $env (dict "name" $name "value" $value) }}
{{- end }}
{{- end }}
{{- $env = append $env (dict "name" "KEYTURN_LEASE_NAME" "value" (include "keyturn.fullname" .)) }}
{{- with .Values.shard }}
{{- if .name }}
{{- $env = append $env (dict "name" "KEYTURN_SHARD" "value" .name) }}
{{- with .namespaceSelector }}
{{- $env = append $env (dict "name" "KEYTURN_NAMESPACE_SELECTOR" "value" .) }}
{{- end }}
{{- $env = append $env (dict "name" "KEYTURN_SHARD_OWNS_CLUSTER" "value" (toString (default false .ownsCluster))) }}
{{- end }}
{{- end }}
{{- $field := dict "fieldRef" (dict "fieldPath" "metadata.namespace") }}
{{- $env = append $env (dict "name" "KEYTURN_LEASE_NAMESPACE" "valueFrom" $field) }}
{{- with .Values.aws.region }}
{{- $env = append $env (dict "name" "AWS_REGION" "value" .) }}
{{- end }}
{{- with .Values.aws.stsEndpoint }}
{{- $env = append $env (dict "name" "AWS_ENDPOINT_URL_STS" "value" .) }}
{{- end }}
{{- with .Values.aws.s3Endpoint }}
{{- $env = append $env (dict "name" "AWS_ENDPOINT_URL_S3" "value" .) }}
{{- end }}
{{- with .Values.tracing }}
{{- if .endpoint }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .endpoint) }}
{{- with .headersSecret }}
{{- if .name }}
{{- $from := dict "secretKeyRef" (dict "name" .name "key" .key) }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "valueFrom" $from) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (include "keyturn.hasWebhook" .) (ne .Values.webhook.certificate.source "CertManager") }}
{{- $env = append $env (dict "name" "KEYTURN_WEBHOOK_CONFIGURATION" "value" (include "keyturn.fullname" .)) }}
{{- $env = append $env (dict "name" "KEYTURN_WEBHOOK_NAMES" "value" (include "keyturn.webhookNames" . | fromYamlArray | join ",")) }}
{{- end }}
{{- include "keyturn.withExtraEnv" (dict "env" $env "extra" .Values.extraEnv "value" "extraEnv") }}
{{- end }}

{{- /*
The Secret with the webhook's certificate. The names of cert-manager's and of the chart's Secret
differ, because Helm does not take over a Secret that exists already.
*/}}
{{- define "keyturn.webhookSecret" -}}
{{ include "keyturn.webhookName" . }}{{ if eq .Values.webhook.certificate.source "CertManager" }}-tls{{ end }}
{{- end }}

{{- /* The names by which the API server calls the webhook, as a YAML list. */}}
{{- define "keyturn.webhookNames" -}}
- {{ include "keyturn.webhookName" . }}.{{ .Release.Namespace }}.svc
{{- with .Values.webhook.url }}
- {{ (urlParse .).hostname | quote }}
{{- end }}
{{- end }}

{{- /*
keyturn's rights inside a namespace: rules of the ClusterRole, or of one Role per watched namespace.
*/}}
{{- define "keyturn.namespacedRules" -}}
# patch: the finalizer of an AwsConfig that has an API key in DSS. spec-policy.yaml forbids keyturn
# to change the spec.
- apiGroups: [keyturn.dev]
  resources: [awsconfigs]
  verbs: [list, watch, patch]
- apiGroups: [keyturn.dev]
  resources: [awsroles]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [keyturn.dev]
  resources: [awsconfigs/status, awsroles/status]
  verbs: [patch]
# keyturn watches only the metadata of Secrets that carry its label. RBAC can express neither
# "metadata only" nor "with this label", so list and watch permit keyturn to read all Secrets. For
# real least privilege, set watchNamespaces: keyturn then has this right in those namespaces alone.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch, get, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.webhook.enabled }}
# keyturn lists the metadata of pods in namespaces with AwsConfigs, to find pods that asked for a
# Secret and have none.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if .Values.personPolicy.enabled }}
# keyturn writes AwsRoles for every person. Only the person policy checks this right.
- apiGroups: [keyturn.dev]
  resources: [persons]
  verbs: [use]
{{- end }}
{{- end }}

{{- /* keyturn's rights to objects outside namespaces, with and without watchNamespaces. */}}
{{- define "keyturn.clusterRules" -}}
- apiGroups: [keyturn.dev]
  resources: [awsrolegrants]
  verbs: [list, watch]
{{- if include "keyturn.ownsCluster" . }}
- apiGroups: [keyturn.dev]
  resources: [awsrolegrants/status]
  verbs: [patch]
{{- end }}
# patch: the finalizer of an instance that holds API keys or credentials. spec-policy.yaml forbids
# keyturn to change the spec.
- apiGroups: [keyturn.dev]
  resources: [dssinstances, datarobotinstances]
  verbs: [list, watch, patch]
{{- if include "keyturn.ownsCluster" . }}
- apiGroups: [keyturn.dev]
  resources: [dssinstances/status, datarobotinstances/status]
  verbs: [patch]
{{- end }}
{{- if and .Values.shard.name .Values.shard.ownsCluster .Values.watchNamespaces }}
# Before a deleted instance goes, the owner looks whether an AwsConfig of any shard has entries in it.
- apiGroups: [keyturn.dev]
  resources: [awsconfigs]
  verbs: [list]
{{- end }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}

{{- /* The variables of a policy that say which person the requester is; '' is nobody. */}}
{{- define "keyturn.requester" -}}
- name: mapped
  expression: {{ .Values.personPolicy.requesterPerson | quote }}
# With any value of requesterPerson, no user of Kubernetes itself is a person, and no person is
# `system`.
- name: requester
  expression: "request.userInfo.username.startsWith('system:') || variables.mapped == 'system' ? '' : variables.mapped"
{{- end }}

{{- /* CEL: the person of a spec. The argument is the spec. */}}
{{- define "keyturn.personOf" -}}
(has({{ . }}.mode) && {{ . }}.mode == 'System') || !has({{ . }}.person) || {{ . }}.person == null ? 'system' : string({{ . }}.person)
{{- end }}

{{- /* CEL: whether the requester may write the name of this person. */}}
{{- define "keyturn.mayWrite" -}}
variables.requester == {{ . }} ||
authorizer.group('keyturn.dev').resource('persons').namespace(request.namespace).name({{ . }}).check('use').allowed()
{{- end }}

{{- /* CEL: the message if the requester may not. It must be one line. */}}
{{- define "keyturn.mayNotWrite" -}}
'user "' + request.userInfo.username + '" (' + (variables.requester == '' ? 'no person' : 'the person "' + variables.requester + '"') + ') may not {{ .doing }} '
+ ({{ .person }} == 'system' ? 'the shared credentials of the namespace (person "system")' : 'the person "' + {{ .person }} + '"')
+ ' in namespace "' + request.namespace + '": the verb "use" on persons.keyturn.dev "' + {{ .person }} + '" is missing there.'
+ ' An admin grants it by a RoleBinding in namespace "' + request.namespace + '" to a Role with'
+ ' apiGroups [keyturn.dev], resources [persons], resourceNames [' + {{ .person }} + '], verbs [use]'
{{- end }}

{{- /* A number or a text as a text; empty for null. */}}
{{- define "keyturn.text" -}}
{{- if not (kindIs "invalid" .) }}{{ toString . }}{{ end }}
{{- end }}
