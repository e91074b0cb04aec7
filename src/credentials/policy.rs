//! The session policy: what a session may do of all that its role may.
//!
//! Session policies add up: an inline policy and each of `PolicyArns` *allow*, and the session may do what any of them
//! allows and the role allows too (AWS IAM user guide, "Session policies"). A policy that allowed two buckets would
//! therefore be opened again by the next one. So `scope: Buckets` is a *deny*: whatever else is allowed, S3 outside the
//! buckets is not, and everything beside S3 (`kms:Decrypt` for a bucket's key, say) goes on working.

use serde_json::{Value, json};

/// The longest inline session policy in characters (STS API reference, `AssumeRole`, `Policy`). With managed policies
/// and tags there is another limit, on a packed form that only STS can measure.
const LONGEST: usize = 2048;

/// A session policy that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is no policy.
    #[error("session.policy is no IAM policy: {0}; it has to be a JSON object with Version and Statement")]
    Unreadable(String),
    /// It is longer than STS takes.
    #[error(
        "the session policy is {0} characters long and STS takes at most {LONGEST}: name fewer or shorter extraBuckets, or \
         shorten session.policy"
    )]
    TooLong(usize),
}

/// The inline policy to send: the user's own, narrowed to `buckets` if there are any. `None` for none at all.
///
/// # Errors
/// If the user's is no policy, or the result is longer than STS takes.
pub fn session_policy(
    partition: &str,
    own: Option<&str>,
    buckets: Option<&[&str]>,
) -> Result<Option<String>, PolicyError> {
    let own = own.map(parsed).transpose()?;
    let policy = match (own, buckets) {
        (None, None) => return Ok(None),
        (Some(own), None) => own,
        (own, Some(buckets)) => {
            let allow_all =
                || json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
            with_statement(own.unwrap_or_else(allow_all), only(partition, buckets))
        }
    };
    let text = policy.to_string();
    let length = text.chars().count();
    if length > LONGEST { Err(PolicyError::TooLong(length)) } else { Ok(Some(text)) }
}

/// Without white space, which counts towards the limit.
fn parsed(policy: &str) -> Result<Value, PolicyError> {
    let value: Value = serde_json::from_str(policy).map_err(|error| PolicyError::Unreadable(error.to_string()))?;
    match value.get("Statement") {
        Some(Value::Array(_) | Value::Object(_)) => Ok(value),
        _ => Err(PolicyError::Unreadable("it has no Statement".to_owned())),
    }
}

fn only(partition: &str, buckets: &[&str]) -> Value {
    let arns: Vec<String> = buckets
        .iter()
        .flat_map(|bucket| [format!("arn:{partition}:s3:::{bucket}"), format!("arn:{partition}:s3:::{bucket}/*")])
        .collect();
    json!({"Effect": "Deny", "Action": "s3:*", "NotResource": arns})
}

fn with_statement(mut policy: Value, statement: Value) -> Value {
    let statements = match policy["Statement"].take() {
        Value::Array(mut statements) => {
            statements.push(statement);
            statements
        }
        single => vec![single, statement],
    };
    policy["Statement"] = Value::Array(statements);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(own: Option<&str>, buckets: Option<&[&str]>) -> Value {
        serde_json::from_str(&session_policy("aws", own, buckets).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn without_scope_and_policy_nothing_is_sent() {
        assert_eq!(session_policy("aws", None, None), Ok(None));
    }

    #[test]
    fn the_scope_denies_what_is_outside_the_buckets_and_allows_the_rest() {
        assert_eq!(
            policy(None, Some(&["team-a", "shared"])),
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "s3:*", "NotResource": [
                    "arn:aws:s3:::team-a", "arn:aws:s3:::team-a/*", "arn:aws:s3:::shared", "arn:aws:s3:::shared/*"]}
            ]})
        );
        let china = session_policy("aws-cn", None, Some(&["team-a"])).unwrap().unwrap();
        assert!(china.contains("arn:aws-cn:s3:::team-a/*"), "{china}");
    }

    #[test]
    fn a_user_s_policy_is_kept_and_narrowed_and_never_replaces_the_deny() {
        let single = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        let many = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        for own in [single, many] {
            let narrowed = policy(Some(own), Some(&["team-a"]));
            assert_eq!(narrowed["Statement"][0]["Action"], "s3:*");
            assert_eq!(narrowed["Statement"][1]["Effect"], "Deny");
            assert_eq!(narrowed["Statement"].as_array().unwrap().len(), 2);
        }
        assert_eq!(policy(Some(many), None), serde_json::from_str::<Value>(many).unwrap());
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for own in ["", "{", "[]", "\"text\"", "{}", r#"{"Statement": "Allow"}"#] {
            assert!(matches!(session_policy("aws", Some(own), None), Err(PolicyError::Unreadable(_))), "{own}");
        }
    }

    #[test]
    fn what_sts_would_not_take_is_refused_with_its_length() {
        let names: Vec<String> = (0..50).map(|n| format!("a-rather-long-name-of-a-bucket-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Err(PolicyError::TooLong(length)) = session_policy("aws", None, Some(&names)) else { panic!("too long") };
        assert!(length > 2048);
    }
}
