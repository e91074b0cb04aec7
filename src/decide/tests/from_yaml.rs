//! The decision without a client: YAML objects as a user would paste them, and the plan with its
//! trace.

use super::*;
use std::fmt::Write as _;

const CONFIG: &str = "
apiVersion: keyturn.dev/v1alpha1
kind: AwsConfig
metadata: {name: alice, namespace: scoring, uid: uid-of-alice, generation: 1}
spec: {person: alice, role: 'arn:aws:iam::123456789012:role/ds-analyst', region: eu-west-1}
";
const GRANT: &str = "
apiVersion: keyturn.dev/v1alpha1
kind: AwsRoleGrant
metadata: {name: analysts}
spec: {roles: ['arn:aws:iam::123456789012:role/ds-*'], namespaces: {names: [scoring]}, persons: ['*']}
";

fn observed(config: &str, grants: &[&str]) -> Observed {
    let config: AwsConfig = serde_saphyr::from_str(config).unwrap();
    let mut seen = Observed::of(Arc::new(config), "prod", issued_at());
    seen.namespace_labels = Some(BTreeMap::new());
    seen.grants = grants.iter().map(|grant| Arc::new(serde_saphyr::from_str(grant).unwrap())).collect();
    seen.grants_seen = true;
    seen.target = Target::Absent;
    seen
}

/// A plan as a command-line tool would print it.
fn printed(plan: &Plan) -> String {
    let mut lines = String::new();
    for Checked { check, passed } in &plan.trace {
        writeln!(lines, "{} {check:?}", if *passed { "ok" } else { "no" }).unwrap();
    }
    if let Err(refusal) = &plan.accepted {
        writeln!(lines, "{}: {}", refusal.why.reason, refusal.why.message).unwrap();
    }
    writeln!(lines, "{:?}", plan.next).unwrap();
    lines
}

#[test]
fn a_plan_is_printed_from_plain_objects_with_the_checks_made() {
    let granted = printed(&decide(&observed(CONFIG, &[GRANT]), now()));
    assert_eq!(
        granted,
        "ok NotSuspended\nok NamespaceIsKnown\nok SubjectIsNotDenied\nok ConfirmedInTime\n\
         ok RoleIsNamed\nok GeneratedRoleIsOurs\nok GrantAllows\nok SessionIsValid\nok IdentityReachesRole\nok NamespaceHasRoom\n\
         no TargetIsOurs\nDo(Issue(First))\n"
    );
    let refused = printed(&decide(&observed(CONFIG, &[]), now()));
    assert_eq!(
        refused,
        "ok NotSuspended\nok NamespaceIsKnown\nok SubjectIsNotDenied\nok ConfirmedInTime\n\
         ok RoleIsNamed\nok GeneratedRoleIsOurs\nno GrantAllows\n\
         NotGranted: no AwsRoleGrant allows namespace \"scoring\" to use \
         arn:aws:iam::123456789012:role/ds-analyst as person \"alice\"; a cluster admin can add one\nDo(Keep)\n"
    );
}
