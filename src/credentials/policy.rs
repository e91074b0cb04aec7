//! The session policy: the part of the role's rights that a session has.
//!
//! Session policies add up. An inline policy and each of `PolicyArns` *allow*, and the session may
//! do what any of them allows and the role allows, too (AWS IAM user guide, "Session policies"). A
//! policy that allows two buckets would be widened again by the next policy. `scope: Buckets` is a
//! *deny* for this reason. It denies the whole S3 family outside the buckets whatever else is
//! allowed. Other services keep working, for example `kms:Decrypt` for a bucket's key.

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

/// The actions of the S3 family, by their prefixes: objects and access points, directory buckets,
/// Outposts, Object Lambda, table buckets, vector buckets (service authorization reference, pages
/// Amazon S3, S3 Express, S3 on Outposts, S3 Object Lambda, S3 Tables, S3 Vectors). The ARNs of all
/// but the first never match a bucket's `arn:aws:s3:::NAME`. A prefix cannot hold a wildcard,
/// therefore each is named.
const S3_FAMILY: [&str; 6] =
    ["s3:*", "s3express:*", "s3-outposts:*", "s3-object-lambda:*", "s3tables:*", "s3vectors:*"];

fn only(partition: &str, buckets: &[&str]) -> Value {
    let arns: Vec<String> = buckets
        .iter()
        .flat_map(|bucket| [format!("arn:{partition}:s3:::{bucket}"), format!("arn:{partition}:s3:::{bucket}/*")])
        .collect();
    json!({"Effect": "Deny", "Action": S3_FAMILY, "NotResource": arns})
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
                {"Effect": "Deny", "Action": S3_FAMILY, "NotResource": [
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

    /// Whether a value of a policy, a text or a list of texts, matches. `*` matches any characters.
    fn any_matches(patterns: &Value, text: &str) -> bool {
        match patterns {
            Value::Array(patterns) => patterns.iter().any(|pattern| any_matches(pattern, text)),
            Value::String(pattern) => iam_glob(pattern, text),
            _ => panic!("{patterns}"),
        }
    }

    fn iam_glob(pattern: &str, text: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == text,
            Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
                let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
                ends.into_iter().any(|at| iam_glob(after, &rest[at..]))
            }),
        }
    }

    /// Whether a policy alone allows a request, by the rules of IAM ("Policy evaluation logic" in
    /// the IAM user guide): a statement with effect Deny wins, and without a statement with effect
    /// Allow everything is denied. Actions are compared without case.
    fn allows(policy: &Value, action: &str, resource: &str) -> bool {
        let applies = |statement: &&Value| {
            let actions: Value = serde_json::from_str(&statement["Action"].to_string().to_lowercase()).unwrap();
            let action_matches = any_matches(&actions, &action.to_lowercase());
            let is_about = match (statement.get("Resource"), statement.get("NotResource")) {
                (Some(resources), None) => any_matches(resources, resource),
                (None, Some(others)) => !any_matches(others, resource),
                _ => panic!("{statement}"),
            };
            action_matches && is_about
        };
        let statements = policy["Statement"].as_array().unwrap().iter().filter(applies);
        let effects: Vec<&Value> = statements.map(|statement| &statement["Effect"]).collect();
        effects.contains(&&json!("Allow")) && !effects.contains(&&json!("Deny"))
    }

    #[test]
    fn the_scope_closes_each_member_of_the_s3_family_outside_the_buckets() {
        let own = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":["s3tables:*","s3:*","s3express:*"],"Resource":"*"},
            {"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let elsewhere = "eu-west-1:123456789012";
        let table = [
            ("an object", "s3:GetObject", "arn:aws:s3:::team-a/data/x".to_owned(), true),
            ("a list", "s3:ListBucket", "arn:aws:s3:::team-a".to_owned(), true),
            ("an action in lower case", "s3:putobject", "arn:aws:s3:::shared/x".to_owned(), true),
            ("another bucket's object", "s3:GetObject", "arn:aws:s3:::team-b/data/x".to_owned(), false),
            ("another bucket's list", "s3:ListBucket", "arn:aws:s3:::team-b".to_owned(), false),
            ("a bucket whose name begins so", "s3:ListBucket", "arn:aws:s3:::team-ab".to_owned(), false),
            ("an object of a bucket whose name begins so", "s3:GetObject", "arn:aws:s3:::team-a.x/y".to_owned(), false),
            ("the list of all buckets", "s3:ListAllMyBuckets", "*".to_owned(), false),
            ("an access point", "s3:GetObject", format!("arn:aws:s3:{elsewhere}:accesspoint/team-a/object/x"), false),
            ("an access grant", "s3:GetDataAccess", format!("arn:aws:s3:{elsewhere}:access-grants/default"), false),
            (
                "a directory bucket",
                "s3express:CreateSession",
                format!("arn:aws:s3express:{elsewhere}:bucket/team-a--euw1-az1--x-s3"),
                false,
            ),
            (
                "a bucket on Outposts",
                "s3-outposts:GetObject",
                format!("arn:aws:s3-outposts:{elsewhere}:outpost/op-1/bucket/team-a/object/x"),
                false,
            ),
            (
                "an Object Lambda",
                "s3-object-lambda:GetObject",
                format!("arn:aws:s3-object-lambda:{elsewhere}:accesspoint/team-a"),
                false,
            ),
            (
                "a table bucket",
                "s3tables:GetTableData",
                format!("arn:aws:s3tables:{elsewhere}:bucket/team-a/table/1"),
                false,
            ),
            (
                "a vector bucket",
                "s3vectors:QueryVectors",
                format!("arn:aws:s3vectors:{elsewhere}:bucket/team-a/index/i"),
                false,
            ),
            ("a key", "kms:Decrypt", format!("arn:aws:kms:{elsewhere}:key/1"), true),
            // A service that reads S3 with a role of its own stays open. docs/security.md says so.
            ("a job of Glue", "glue:StartJobRun", format!("arn:aws:glue:{elsewhere}:job/copy"), true),
        ];
        for own in [None, Some(own)] {
            let policy = policy(own, Some(&["team-a", "shared"]));
            for (row, action, resource, allowed) in &table {
                assert_eq!(allows(&policy, action, resource), *allowed, "{row}, own policy: {}", own.is_some());
            }
        }
        let unscoped = policy(Some(own), None);
        let (row, action, resource, _) = &table[10];
        assert!(allows(&unscoped, action, resource), "{row}: the evaluator can say yes");
    }

    #[test]
    fn the_scope_leaves_room_for_the_buckets_and_a_policy_of_the_user() {
        let alone = session_policy("aws-us-gov", None, Some(&["b"])).unwrap().unwrap();
        assert!(alone.len() < 300, "{} characters: {alone}", alone.len());
        let longest: Vec<String> = (0..10).map(|n| format!("{n}{}", "x".repeat(62))).collect();
        let longest: Vec<&str> = longest.iter().map(String::as_str).collect();
        assert!(session_policy("aws", None, Some(&longest)).is_ok(), "ten names of 63 characters");
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
