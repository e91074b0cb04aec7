{{- /*
One webhook of the configuration. The arguments are the root, the name, the path, the failure
policy, and which values of the label keyturn.dev/inject namespaces and pods have to have.
*/}}
{{- define "keyturn.podWebhook" }}
{{- $values := .root.Values }}
name: {{ .name }}.keyturn.dev
clientConfig:
  service:
    namespace: {{ .root.Release.Namespace }}
    name: {{ include "keyturn.fullname" .root }}-webhook
    path: {{ .path }}
    port: 443
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
    {{- with $values.watchNamespaces }}
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
