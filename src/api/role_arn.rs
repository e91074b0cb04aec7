//! The ARN of an IAM role, parsed.

use std::{fmt, str::FromStr};

/// The pattern of a role ARN in the schema. Paths and names may hold the characters that IAM allows
/// (AWS: IAM and STS character limits): `[\w+=,.@-]`, with `/` between path elements.
pub const ROLE_ARN_PATTERN: &str =
    r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$";

/// The most characters of a role ARN. IAM allows 512 for the path and 64 for the name (AWS: IAM and
/// STS character limits), and no partition makes the rest longer than 64.
pub const ROLE_ARN_CHARACTERS: usize = 640;

/// The ARN of an IAM role, such as `arn:aws:iam::123456789012:role/team/analyst`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleArn {
    arn: String,
    name_at: usize,
}

/// A text that is not the ARN of an IAM role. It holds at most the first 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the ARN of an IAM role (arn:<partition>:iam::<12-digit account>:role/<path and name>)")]
pub struct InvalidRoleArn(String);

impl RoleArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, ….
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or_default()
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.arn[self.name_at..]
    }
}

impl FromStr for RoleArn {
    type Err = InvalidRoleArn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRoleArn(text.chars().take(200).collect());
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, region, account, resource] = parts[..] else { return Err(invalid()) };
        let path = resource.strip_prefix("role/").ok_or_else(invalid)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let valid = arn == "arn"
            && is_partition(partition)
            && service == "iam"
            && region.is_empty()
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && name.len() <= 64
            && text.len() <= ROLE_ARN_CHARACTERS
            && path.split('/').all(|element| !element.is_empty() && element.bytes().all(is_name_byte));
        if !valid {
            return Err(invalid());
        }
        Ok(Self { name_at: text.len() - name.len(), arn: text.to_owned() })
    }
}

fn is_partition(partition: &str) -> bool {
    let mut words = partition.split('-');
    words.next() == Some("aws") && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_a_role_with_a_path_is_parsed_whole() {
        for (arn, name) in [
            ("arn:aws:iam::123456789012:role/analyst", "analyst"),
            ("arn:aws-cn:iam::123456789012:role/team/a/analyst@x", "analyst@x"),
            ("arn:aws-us-gov:iam::123456789012:role/a+=,.@-_b", "a+=,.@-_b"),
        ] {
            let parsed: RoleArn = arn.parse().unwrap();
            assert_eq!((parsed.as_str(), parsed.name()), (arn, name));
        }
    }

    #[test]
    fn the_longest_arn_that_iam_allows_is_one_and_a_longer_text_is_none() {
        let longest = format!("arn:aws-us-gov:iam::123456789012:role/{}/{}", "p".repeat(510), "n".repeat(64));
        assert!(longest.parse::<RoleArn>().is_ok(), "{} characters", longest.len());
        let longer = format!("arn:aws:iam::123456789012:role/{}/{}", "p".repeat(600), "n".repeat(64));
        assert!(longer.parse::<RoleArn>().is_err(), "{} characters", longer.len());
    }

    #[test]
    fn texts_that_are_no_role_arn_are_refused_and_quoted() {
        for text in [
            "",
            "analyst",
            "arn:aws:iam::123456789012:user/alice",
            "arn:aws:iam::12345678901:role/short-account",
            "arn:aws:iam:eu-west-1:123456789012:role/region",
            "arn:aws:s3:::bucket",
            "arn:azure:iam::123456789012:role/x",
            "arn:aws-:iam::123456789012:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a//b",
            "arn:aws:iam::123456789012:role/with space",
            "arn:aws:iam::123456789012:role/line\nbreak",
            "arn:aws:iam::123456789012:role/a:b",
        ] {
            let error = text.parse::<RoleArn>().unwrap_err().to_string();
            assert!(error.contains("is not the ARN of an IAM role"), "{text}: {error}");
        }
    }
}
