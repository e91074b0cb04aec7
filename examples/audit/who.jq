# Joins three logs: for each call in CloudTrail that was made with a credential of keyturn, it prints the time, the call,
# the role, the person, the user who wrote the AwsConfig, and the grant. See docs/operations.md.
#
# The audit log of the API server says who wrote a spec: only such writes have the annotation of the person policy.
def lines($log): $log | split("\n")[] | fromjson?;
def requester: .annotations // {} | to_entries[] | select(.key | endswith("-person/requester")) | .value;

[lines($keyturn) | select(.target == "keyturn::audit")] as $issued
| [lines($apiserver) | select(.objectRef.resource == "awsconfigs" and .responseStatus.code < 300)
   | . + {requester: requester}] as $written
| $cloudtrail[].Records[] as $call
| ($issued[] | select(.access_key_id == $call.userIdentity.accessKeyId)) as $credential
| [ $written[]
    | select(.objectRef.namespace == $credential.namespace and .objectRef.name == $credential.aws_config)
    | select(.requestReceivedTimestamp <= $credential.timestamp) ] as $writes
| ($writes | max_by(.requestReceivedTimestamp).requester) as $writer
| [$call.eventTime, $call.eventName, $credential.role, $credential.person, $writer, $credential.grant]
| @tsv
