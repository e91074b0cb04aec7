//! The sessions that STS issued.
//!
//! Everything about a session follows from its number, so that the same history gives the same
//! credentials. Each secret carries a marker. A test can therefore look for secrets in logs,
//! Events, status and metrics without knowing the session.

use jiff::{SignedDuration, Timestamp};

use super::{Call, UNKNOWN_ROLE};

const SECRET_MARKER: &str = "LeakedSecretKey";
const TOKEN_MARKER: &str = "LeakedSessionToken";

/// Parts of every secret access key and every session token that nothing else contains.
pub const LEAK_MARKERS: [&str; 2] = [SECRET_MARKER, TOKEN_MARKER];

const SECRET_LENGTH: usize = 40;
const TOKEN_LENGTH: usize = 800;

/// An issued session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Counts from 1.
    pub number: usize,
    /// The time of issue, by the test's clock (no skew).
    pub at: Timestamp,
    /// The role.
    pub role_arn: String,
    /// The session's name.
    pub session_name: String,
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`.
    pub arn: String,
    /// `ASIA` and 16 characters.
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: String,
    /// 800 characters.
    pub session_token: String,
    /// The expiry that the caller was told (with skew).
    pub expiration: Timestamp,
}

impl Issued {
    /// The session number `number`, issued at `at`, when STS's own clock showed `sts_now`.
    pub(super) fn new(number: usize, at: Timestamp, sts_now: Timestamp, lifetime: SignedDuration, call: &Call) -> Self {
        let role_arn = call.role_arn.as_deref().unwrap_or(UNKNOWN_ROLE);
        Self::of(number, at, sts_now + lifetime, role_arn, call.session_name.as_deref().unwrap_or_default())
    }

    /// The session number `number` of this role and name, issued at `at` until `end`.
    pub(super) fn of(number: usize, at: Timestamp, end: Timestamp, role_arn: &str, session_name: &str) -> Self {
        Self {
            number,
            at,
            arn: assumed_role_arn(role_arn, session_name),
            role_arn: role_arn.to_owned(),
            session_name: session_name.to_owned(),
            access_key_id: format!("ASIA{number:0>16}"),
            secret_access_key: padded(&format!("{SECRET_MARKER}/{number}+"), "wJalrXUtnFEMIbPxRfiCY", SECRET_LENGTH),
            session_token: padded(
                &format!("IQoJb3JpZ2lu{TOKEN_MARKER}/{number}+"),
                "X2VjEDYaCWV1LXdlc3QtMSJHMEUCIQ",
                TOKEN_LENGTH,
            ),
            // STS answers in whole seconds.
            expiration: Timestamp::from_second(end.as_second()).expect("a time in range"),
        }
    }
}

/// `start`, filled up with repetitions of `filler` to `length` characters.
fn padded(start: &str, filler: &str, length: usize) -> String {
    let characters = start.chars().chain(filler.chars().cycle());
    characters.take(length).collect()
}

/// The ARN of a session: the path of the role is not part of it.
fn assumed_role_arn(role_arn: &str, session_name: &str) -> String {
    let mut parts = role_arn.split(':');
    let partition = parts.nth(1).unwrap_or("aws");
    let account = parts.nth(2).unwrap_or("000000000000");
    let role = role_arn.rsplit('/').next().unwrap_or("unnamed");
    format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session_name}")
}
