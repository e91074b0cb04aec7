{{- /*
The closed lists that the policies for the operator's token name. A test
(tests/worlds/generated.rs) compares them with the code.
*/}}

{{- /* The data keys of a Secret that keyturn may write. */}}
{{- define "keyturn.secretKeys" -}}
- AWS_ACCESS_KEY_ID
- AWS_SECRET_ACCESS_KEY
- AWS_SESSION_TOKEN
- AWS_CREDENTIAL_EXPIRATION
- AWS_REGION
- AWS_DEFAULT_REGION
- AWS_DEFAULT_BUCKET
- AWS_EXTRA_BUCKETS
- DKU_DSS_URL
- DKU_API_KEY
- DKU_CURRENT_PROJECT_KEY
- DATAROBOT_CREDENTIAL_ID
- DATAROBOT_ENDPOINT
- DATAROBOT_API_TOKEN
- config
- credentials
- credential-process.json
- dataiku-config.json
- drconfig.yaml
- dss-ca.crt
- aws-credential.json
- datarobot-credential.json
{{- end }}

{{- /* The data keys of profiles (spec.profiles), as a regular expression. */}}
{{- define "keyturn.profileKeys" -}}
^credential-process-[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?[.]json$
{{- end }}

{{- /* CEL: whether `k` is a data key of a Secret that keyturn may write. */}}
{{- define "keyturn.celIsSecretKey" -}}
(k in {{ include "keyturn.celList" "keyturn.secretKeys" }} || k.matches('{{ include "keyturn.profileKeys" . }}'))
{{- end }}

{{- /* keyturn's own labels on a Secret. */}}
{{- define "keyturn.secretLabels" -}}
- app.kubernetes.io/managed-by
- keyturn.dev/aws-config
{{- end }}

{{- /* keyturn's own annotations on a Secret. */}}
{{- define "keyturn.secretAnnotations" -}}
- keyturn.dev/person
- keyturn.dev/role
- keyturn.dev/access-key-id
- keyturn.dev/issued-at
- keyturn.dev/expires-at
- keyturn.dev/issue-digest
- keyturn.dev/render-digest
- keyturn.dev/keys
- keyturn.dev/content-digest
- keyturn.dev/dss-key
- keyturn.dev/dss-digest
- keyturn.dev/withdrawn
- keyturn.dev/metadata
- keyturn.dev/profiles
{{- end }}

{{- /* One of these lists as CEL. The argument is the name of its template. */}}
{{- define "keyturn.celList" -}}
['{{ include . dict | fromYamlArray | join "', '" }}']
{{- end }}

{{- /* CEL: whether the request comes from the operator's ServiceAccount. */}}
{{- define "keyturn.isTheOperator" -}}
request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "keyturn.serviceAccountName" . }}'
{{- end }}

{{- /*
CEL: whether the request comes from the operator's ServiceAccount, or may come from that of another
shard. All shards are in the namespace of the release.
*/}}
{{- define "keyturn.isAnOperator" -}}
{{- if .Values.shard.name -}}
has(request.userInfo.groups) && 'system:serviceaccounts:{{ .Release.Namespace }}' in request.userInfo.groups
{{- else -}}
{{ include "keyturn.isTheOperator" . }}
{{- end }}
{{- end }}

{{- /*
CEL: whether a map is the same before and after a request, apart from the keys that satisfy a
condition on `k`. The arguments are the variables of the new and of the old map, and the condition.
*/}}
{{- define "keyturn.celSame" -}}
{{ .new }}.all(k, {{ .except }} || (k in {{ .old }} && {{ .new }}[k] == {{ .old }}[k])) &&
{{ .old }}.all(k, {{ .except }} || k in {{ .new }})
{{- end }}

{{- /*
CEL: whether an update changes none of these fields of the metadata. The argument is the list of
their names.
*/}}
{{- define "keyturn.celSameMetadata" -}}
{{- range $at, $field := . }}
{{- if $at }} &&
{{ end }}has(object.metadata.{{ $field }}) == has(oldObject.metadata.{{ $field }}) &&
(!has(object.metadata.{{ $field }}) || object.metadata.{{ $field }} == oldObject.metadata.{{ $field }})
{{- end }}
{{- end }}
