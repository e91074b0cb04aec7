{{- /* The parts of the objects about metrics. */}}

{{- /* The labels by which a ServiceMonitor selects the Service. */}}
{{- define "keyturn.metricsServiceLabels" -}}
app.kubernetes.io/name: {{ include "keyturn.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: metrics
{{- end }}

{{- /*
The metadata of an object that another program selects by its labels. The arguments are the root, the
values of the object, and a suffix of its name, if it has one. The chart's labels win, because only
they tell the releases apart.
*/}}
{{- define "keyturn.monitorMetadata" -}}
metadata:
  name: {{ include "keyturn.fullname" .root }}{{ .suffix }}
  namespace: {{ default .root.Release.Namespace .monitor.namespace }}
  labels:
    {{- merge (include "keyturn.labels" .root | fromYaml) (default dict .monitor.labels) | toYaml | nindent 4 }}
  {{- with .monitor.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* How an endpoint is scraped. The argument is the values of the monitor. */}}
{{- define "keyturn.scraping" -}}
path: /metrics
honorLabels: {{ .honorLabels }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
