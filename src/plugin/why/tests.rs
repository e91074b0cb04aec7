//! The answers of `why` about one config, by the rights of the caller.

use super::*;
use crate::{
    api::{AwsConfig, AwsRoleGrant, UNSEEN},
    decide::{input::Observed, target::Target},
};
use serde_json::{Value, from_value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:30:00Z".parse().unwrap()
}

pub(super) fn live(change: impl FnOnce(&mut Value), grants: &[Value]) -> Live {
    let mut config = json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
        "metadata": {"name": "alice", "namespace": "scoring", "uid": "u", "generation": 1},
        "spec": {"person": "alice", "role": "arn:aws:iam::123456789012:role/ds-analyst"},
    });
    change(&mut config);
    let config: AwsConfig = from_value(config).unwrap();
    let mut seen = Observed::of(Arc::new(config), "prod", Timestamp::UNIX_EPOCH);
    seen.namespace_labels = Some(BTreeMap::new());
    seen.grants =
        grants.iter().map(|spec| Arc::new(AwsRoleGrant::new("analysts", from_value(spec.clone()).unwrap()))).collect();
    seen.grants_seen = true;
    seen.target = Target::Absent;
    Live { seen, unreadable: vec![] }
}

pub(super) fn grant() -> Value {
    json!({"roles": ["arn:aws:iam::123456789012:role/ds-*"], "namespaces": {"names": ["scoring"]}, "persons": ["*"]})
}

type Row = (&'static str, fn(&mut Value), Vec<Value>, &'static str, &'static str);

#[test]
fn each_obstacle_is_named_with_the_check_that_failed() {
    let rows: [Row; 6] = [
        ("no grant", |_| {}, vec![], "- a grant allows the whole request", "=> no: NotGranted: no AwsRoleGrant allows"),
        (
            "suspended",
            |it| it["spec"]["suspend"] = json!(true),
            vec![grant()],
            "- spec.suspend is not set",
            "=> no: Suspended",
        ),
        ("no role", |it| it["spec"]["role"] = Value::Null, vec![grant()], "- a role is named", "=> no: RolePending"),
        (
            "a new config",
            |_| {},
            vec![grant()],
            "- the Secret exists",
            "=> keyturn obtains a credential: it is the first",
        ),
        (
            "a new config, as the API server shows it",
            |it| it["status"] = json!({"observedGeneration": UNSEEN}),
            vec![grant()],
            "- the Secret exists",
            "=> keyturn obtains a credential: it is the first",
        ),
        (
            "a profile without a grant",
            |it| it["spec"]["profiles"] = json!([{"name": "lake", "role": "arn:aws:iam::123456789012:role/lake"}]),
            vec![grant()],
            "+ a grant allows the whole request",
            "=> profile \"lake\": NotGranted: no AwsRoleGrant allows",
        ),
    ];
    for (row, change, grants, check, verdict) in rows {
        let said = answer(&live(change, &grants), now(), Paint::NONE);
        assert!(said.text.contains(check) && said.text.contains(verdict), "{row}: {}", said.text);
        assert!(said.text.contains("The operator has not said anything yet"), "{row}: {}", said.text);
        assert!(!said.is_fine(), "{row}");
    }
}

#[test]
fn a_part_that_the_caller_may_not_read_decides_nothing() {
    let mut live = live(
        |config| {
            let ready = json!({"type": "Ready", "status": "False", "reason": "NotGranted", "message": "no grant; ask",
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            config["status"] = json!({"observedGeneration": 1, "conditions": [ready]});
        },
        &[],
    );
    live.seen.grants_seen = false;
    live.unreadable = vec!["awsrolegrants"];
    let said = answer(&live, now(), Paint::NONE);
    for part in [
        "? a grant allows the whole request (you may not read awsrolegrants; a cluster admin may)",
        "What you may read does not decide it.",
        "The operator said: Ready=False NotGranted: no grant; ask",
    ] {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }
    assert!(!said.text.contains("=>"), "{}", said.text);
}
