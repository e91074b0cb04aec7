{{- /*
One webhook of the configuration. The arguments are the root, the name, the path, the failure
policy, and which values of the label keyturn.dev/inject namespaces and pods have to have.
*/}}
{{- define "keyturn.podWebhook" }}
{{- $values := .root.Values }}
name: {{ .name }}.keyturn.dev
clientConfig:
  {{- if $values.webhook.url }}
  url: {{ $values.webhook.url }}{{ .path }}
  {{- else }}
  service:
    namespace: {{ .root.Release.Namespace }}
    name: {{ include "keyturn.fullname" .root }}-webhook
    path: {{ .path }}
    port: 443
  {{- end }}
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE]
    scope: Namespaced
  # Ephemeral containers, which a user adds to a running pod for debugging.
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods/ephemeralcontainers]
    operations: [UPDATE]
    scope: Namespaced
failurePolicy: {{ .failurePolicy }}
timeoutSeconds: {{ $values.webhook.timeoutSeconds }}
# Another webhook may add a container after the API server called this webhook.
reinvocationPolicy: IfNeeded
sideEffects: None
admissionReviewVersions: [v1]
namespaceSelector:
  {{- with $values.webhook.namespaceSelector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  matchExpressions:
    {{- with .namespaces }}
    - key: keyturn.dev/inject
      {{- toYaml . | nindent 6 }}
    {{- end }}
    # The API server sets this label to the name of the namespace, and nobody can change it.
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: [kube-system, kube-node-lease, kube-public, {{ .root.Release.Namespace }}]
    {{- with include "keyturn.guardedNamespaces" .root | fromYamlArray }}
    - key: kubernetes.io/metadata.name
      operator: In
      values:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- with $values.webhook.namespaceSelector.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
objectSelector:
  matchExpressions:
    - key: keyturn.dev/inject
      {{- toYaml .pods | nindent 6 }}
{{- end }}

{{- /*
The variables with the addresses of the webhook's servers, if the ports are not keyturn's defaults.
With an address in webhook.extraEnv, that one counts; _checks.tpl compares the ports.
*/}}
{{- define "keyturn.webhookAddresses" -}}
{{- $given := dict }}
{{- range .Values.webhook.extraEnv }}
{{- $_ := set $given .name true }}
{{- end }}
{{- $env := list }}
{{- range list (list "KEYTURN_ADMIN_ADDR" .Values.webhook.adminPort 8080) (list "KEYTURN_WEBHOOK_ADDR" .Values.webhook.port 9443) }}
{{- $port := int (index . 1) }}
{{- if and (ne $port (int (index . 2))) (not (hasKey $given (index . 0))) }}
{{- $env = append $env (dict "name" (index . 0) "value" (printf "[::]:%d" $port)) }}
{{- end }}
{{- end }}
{{- toYaml $env }}
{{- end }}
