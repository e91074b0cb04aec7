{{- /*
The parts that the pods of the operator and of the webhook have in common. Each takes the root as its
argument, if nothing else is said.
*/}}

{{- /*
The metadata of a pod template. The arguments are the root and the labels. The chart's labels win
over podLabels, because the Deployment's selector must match the pod.
*/}}
{{- define "keyturn.podMetadata" -}}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- merge .labels .root.Values.podLabels | toYaml | nindent 2 }}
{{- end }}

{{- /*
How a Deployment replaces its pods. The arguments are the root, the strategy of the user, and whether
two of its pods cannot be on the same node.
*/}}
{{- define "keyturn.deploymentSettings" -}}
{{- $limit := .root.Values.revisionHistoryLimit }}
{{- if not (kindIs "invalid" $limit) -}}
revisionHistoryLimit: {{ int $limit }}
{{ end -}}
strategy:
{{- if .strategy }}
  {{- toYaml .strategy | nindent 2 }}
{{- else }}
  type: RollingUpdate
  rollingUpdate:
    # The new pod is ready before the old pod ends, unless both would need the same port of a node.
    maxUnavailable: {{ ternary 1 0 .alone }}
    maxSurge: {{ ternary 0 1 .alone }}
{{- end }}
{{- end }}

{{- /* The arguments are the root and the DNS policy. */}}
{{- define "keyturn.podSettings" -}}
{{- $values := .root.Values -}}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int $values.terminationGracePeriodSeconds }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "keyturn.containerSettings" -}}
image: {{ include "keyturn.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  {{- with .Values.livenessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The arguments are the root and the seconds between two probes. */}}
{{- define "keyturn.readinessProbe" -}}
httpGet:
  path: /readyz
  port: admin
{{ merge (deepCopy (default dict .root.Values.readinessProbe)) (dict "periodSeconds" .period) | toYaml }}
{{- end }}

{{- /*
On which nodes the pods run. The arguments are the root, the affinity, the topology spread
constraints, and the labels that the default constraint selects.
*/}}
{{- define "keyturn.podPlacement" -}}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .spread }}
  {{- toYaml .spread | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- .selector | nindent 8 }}
    # Only pods of one ReplicaSet count, because old pods of an update end soon and would skew the spread of the new ones.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}

{{- /* The variables that both processes read, as a YAML list. */}}
{{- define "keyturn.commonEnv" -}}
- name: KEYTURN_LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
- name: RUST_LOG
  value: {{ .Values.logLevel | quote }}
{{- if .Values.webhook.enabled }}
- name: KEYTURN_WEBHOOK_SECRET
  value: {{ printf "%s/%s" .Release.Namespace (include "keyturn.webhookSecret" .) | quote }}
{{- end }}
{{- end }}

{{- /*
The container's environment: the chart's variables and those of the user. The chart itself refuses a
name that is set twice, because the API server would refuse it with an error that names no value of
this chart. The arguments are the chart's variables, the user's, and the name of the user's value.
*/}}
{{- define "keyturn.withExtraEnv" -}}
{{- $env := .env }}
{{- $names := list "KEYTURN_WATCH_NAMESPACES" "KEYTURN_SHARD" "KEYTURN_SHARD_OWNS_CLUSTER" "KEYTURN_NAMESPACE_SELECTOR" }}
{{- range $env }}
{{- $names = append $names .name }}
{{- end }}
{{- $value := .value }}
{{- range .extra }}
{{- if has .name $names }}
{{- fail (printf "%s: %s is set twice, or is set by a value of its own: see clusterName, watchNamespaces, shard, limits, ceilings, withdrawalBrake, logFormat, logLevel, metrics, tracing, webhook and aws in values.yaml" $value .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $env = append $env . }}
{{- end }}
{{- toYaml $env }}
{{- end }}

{{- /* What a PodDisruptionBudget allows. */}}
{{- define "keyturn.disruptionBudget" -}}
{{- with .Values.podDisruptionBudget }}
{{- $least := include "keyturn.text" .minAvailable }}
{{- if $least -}}
minAvailable: {{ $least }}
{{- else -}}
maxUnavailable: {{ include "keyturn.text" .maxUnavailable | default "1" }}
{{- end }}
{{- with .unhealthyPodEvictionPolicy }}
unhealthyPodEvictionPolicy: {{ . }}
{{- end }}
{{- end }}
{{- end }}
