//! Whether a grant is in order: the grant alone says so, and no `AwsConfig` changes it.

use crate::api::{
    AwsRoleGrant, AwsRoleGrantSpec, AwsRoleGrantStatus, ConditionType, Effect, LabelSelector, Reason, RoleArn,
    Statement, condition, find_condition, set_conditions, stalled,
};
use jiff::Timestamp;

/// The status that a grant should have; `None` if it has one for its present spec. keyturn writes
/// it once for each change of the spec, so that two releases of keyturn in one cluster do not
/// replace each other's words again and again.
#[must_use]
pub fn grant_status(grant: &AwsRoleGrant, now: Timestamp) -> Option<AwsRoleGrantStatus> {
    let before = grant.status.clone().unwrap_or_default();
    let generation = grant.metadata.generation;
    let is_said = find_condition(&before.conditions, ConditionType::Ready).is_some();
    if is_said && before.observed_generation == generation {
        return None;
    }
    let checked = checked(&grant.spec);
    let (truth, why) = match &checked {
        Ok(fine) => (true, fine),
        Err(why) => (false, why),
    };
    let ready = condition(ConditionType::Ready, truth, why, generation, now);
    let stalled = (!truth).then(|| stalled(&ready));
    let wanted = [ready].into_iter().chain(stalled).collect();
    Some(AwsRoleGrantStatus { observed_generation: generation, conditions: set_conditions(&before.conditions, wanted) })
}

/// Checks what the schema cannot: whether the grant can have any effect.
fn checked(spec: &AwsRoleGrantSpec) -> Result<Statement, Statement> {
    let wrong = |message: String| Err(Statement::new(Reason::InvalidSpec, message));
    let selector = spec.namespaces.as_ref().and_then(|about| about.selector.as_ref());
    if let Some(Err(why)) = selector.map(LabelSelector::query) {
        return wrong(format!("spec.namespaces.selector: {why}; correct the selector"));
    }
    if let Some(error) = spec.via.iter().find_map(|hop| hop.parse::<RoleArn>().err()) {
        return wrong(format!("spec.via: {error}"));
    }
    if spec.effect == Effect::Deny {
        return Ok(Statement::new(Reason::Granted, "the grant is in order: it denies what it names"));
    }
    let names_none = spec.namespaces.as_ref().is_none_or(|about| about.names.is_empty() && about.selector.is_none());
    if names_none {
        return wrong("the grant allows nobody anything, because it is about no namespace; set spec.namespaces".into());
    }
    if spec.persons.is_empty() {
        return wrong("the grant allows nobody anything, because it names no person; set spec.persons".into());
    }
    Ok(Statement::new(Reason::Granted, "the grant is in order: it allows what it names"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn grant(spec: Value, generation: i64) -> AwsRoleGrant {
        let mut grant = AwsRoleGrant::new("analysts", from_value(spec).unwrap());
        grant.metadata.generation = Some(generation);
        grant
    }

    fn allowing(change: impl FnOnce(&mut Value)) -> Value {
        let mut spec = json!({
            "roles": ["arn:aws:iam::123456789012:role/ds-*"],
            "namespaces": {"names": ["scoring"]},
            "persons": ["*"],
        });
        change(&mut spec);
        spec
    }

    #[test]
    fn a_grant_that_can_allow_nobody_anything_is_stalled() {
        let bad_selector = json!({"selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": []}]}});
        let bad = bad_selector.clone();
        let rows = [
            ("in order", allowing(|_| {}), None),
            ("every namespace", allowing(|spec| spec["namespaces"] = json!({"selector": {}})), None),
            ("a denial of everything", json!({"effect": "Deny", "persons": ["alice"]}), None),
            ("no namespace", allowing(|spec| spec["namespaces"] = Value::Null), Some("spec.namespaces")),
            ("empty namespaces", allowing(|spec| spec["namespaces"] = json!({})), Some("spec.namespaces")),
            ("no person", allowing(|spec| spec["persons"] = json!([])), Some("spec.persons")),
            ("a selector without values", allowing(|spec| spec["namespaces"] = bad), Some("no values for \"team\"")),
            (
                "a denial with that selector",
                json!({"effect": "Deny", "persons": ["alice"], "namespaces": bad_selector}),
                Some("no values for \"team\""),
            ),
            ("a route over nothing", allowing(|spec| spec["via"] = json!(["hub"])), Some("spec.via")),
        ];
        for (row, spec, part) in rows {
            let status = grant_status(&grant(spec, 3), Timestamp::UNIX_EPOCH).unwrap();
            let ready = find_condition(&status.conditions, ConditionType::Ready).unwrap();
            let is_stalled = find_condition(&status.conditions, ConditionType::Stalled).is_some();
            assert_eq!((ready.status == "True", is_stalled), (part.is_none(), part.is_some()), "{row}");
            assert!(ready.message.contains(part.unwrap_or("in order")), "{row}: {}", ready.message);
            assert_eq!((status.observed_generation, ready.observed_generation), (Some(3), Some(3)), "{row}");
        }
    }

    #[test]
    fn a_status_is_written_once_for_each_change_of_the_spec() {
        let mut grant = grant(allowing(|_| {}), 1);
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        grant.status = grant_status(&grant, start);
        assert_eq!(grant_status(&grant, start), None, "said once");
        grant.metadata.generation = Some(2);
        let later = start + jiff::SignedDuration::from_hours(1);
        let status = grant_status(&grant, later).unwrap();
        assert_eq!(status.conditions[0].last_transition_time.0, start, "still in order");
        grant.status = Some(status);
        assert_eq!(grant_status(&grant, later), None);
    }
}
