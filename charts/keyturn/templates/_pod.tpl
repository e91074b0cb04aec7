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

{{- /* The new pod is ready before the old pod ends. */}}
{{- define "keyturn.podStrategy" -}}
type: RollingUpdate
rollingUpdate:
  maxUnavailable: 0
  maxSurge: 1
{{- end }}

{{- define "keyturn.podSettings" -}}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "keyturn.containerSettings" -}}
image: {{ include "keyturn.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
livenessProbe:
  httpGet:
    path: /livez
    port: admin
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
  {{- end }}
{{- end }}

{{- /* The variables that both processes read, as a YAML list. */}}
{{- define "keyturn.commonEnv" -}}
{{- with .Values.watchNamespaces }}
- name: KEYTURN_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
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
{{- $names := list "KEYTURN_WATCH_NAMESPACES" }}
{{- range $env }}
{{- $names = append $names .name }}
{{- end }}
{{- $value := .value }}
{{- range .extra }}
{{- if has .name $names }}
{{- fail (printf "%s: %s is set twice, or is set by a value of its own: see clusterName, watchNamespaces, limits, ceilings, withdrawalBrake, logFormat, logLevel, webhook and aws in values.yaml" $value .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $env = append $env . }}
{{- end }}
{{- toYaml $env }}
{{- end }}
