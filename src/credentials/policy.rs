//! The session policy: the part of the role's rights that a session has.
//!
//! Session policies add up. An inline policy and each of `PolicyArns` *allow*, and the session may
//! do what any of them allows and the role allows, too (AWS IAM user guide, "Session policies"). A
//! policy that allows two buckets would be widened again by the next policy. `scope: Buckets` is a
//! *deny* for this reason. It denies S3 outside the buckets whatever else is allowed. Other
//! services keep working, for example `kms:Decrypt` for a bucket's key.

use serde_json::{Value, json};

/// The longest inline session policy, in characters (STS API reference, `AssumeRole`, `Policy`).
/// Another limit holds for the packed form of all policies and tags, which only STS can measure.
const LONGEST: usize = 2048;

/// A session policy that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The user's text is not a policy.
    #[error("session.policy is no IAM policy: {0}; it has to be a JSON object with Version and Statement")]
    Unreadable(String),
    /// The policy is longer than STS accepts. The number is its length in characters.
    #[error(
        "the session policy is {0} characters long and STS takes at most {LONGEST}: name fewer or shorter extraBuckets, or \
         shorten session.policy"
    )]
    TooLong(usize),
}

/// Returns the inline policy to send: the user's own, narrowed to `buckets` if there are any;
/// `None` if there is nothing to send.
///
/// # Errors
/// [`PolicyError::Unreadable`] if the user's text is not a policy; [`PolicyError::TooLong`] if the
/// result is longer than STS accepts.
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

/// Parses a policy. Its white space is dropped, because white space counts towards the limit.
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
    fn a_text_that_is_not_a_policy_is_refused() {
        for own in ["", "{", "[]", "\"text\"", "{}", r#"{"Statement": "Allow"}"#] {
            assert!(matches!(session_policy("aws", Some(own), None), Err(PolicyError::Unreadable(_))), "{own}");
        }
    }

    #[test]
    fn a_policy_that_is_too_long_for_sts_is_refused_with_its_length() {
        let names: Vec<String> = (0..50).map(|n| format!("a-rather-long-name-of-a-bucket-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Err(PolicyError::TooLong(length)) = session_policy("aws", None, Some(&names)) else { panic!("too long") };
        assert!(length > 2048);
    }
}
