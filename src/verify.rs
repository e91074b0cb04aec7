//! VERIFY: what is tried of a credential that keyturn delivered, and what the answers of AWS mean.
//! Pure; `credentials::try_out` makes the calls.
//!
//! ```text
//!   record, request, spec ─▶ Question ─▶ try_out [client] ─▶ Answers ─▶ Verdict ─▶ the condition
//! ```
//!
//! A verdict never withdraws a credential and never delays one. A trial comes after the Secret.

use crate::{
    api::{AwsConfigSpec, Reason, RoleArn, Statement, Verify},
    credentials::{Answers, BucketAnswer, CallerAnswer, Question, Request},
    digest::Digest,
};

/// The most buckets that a message names. The others are counted.
const NAMED: usize = 5;

/// What is tried of a credential that keyturn delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// A digest of the credential's request and of everything that is tried. It identifies the
    /// trial.
    pub digest: String,
    /// What is tried.
    pub question: Question,
}

/// What the answers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition `Verified` is true.
    Verified(Statement),
    /// AWS has refused something.
    Refused(Statement),
    /// AWS has not answered, so nothing is known.
    Unknown(Statement),
}

impl Verdict {
    /// A verdict without an answer, for this reason.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown(Statement::new(Reason::NotVerified, why))
    }

    /// The reason and the message.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        match self {
            Self::Verified(why) | Self::Refused(why) | Self::Unknown(why) => why,
        }
    }

    /// Whether AWS has answered, in whichever way.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

impl Verification {
    /// What `spec` asks to be tried of the credential with this issue digest
    /// ([`Request::issue_digest`]). `None` if it asks for nothing.
    #[must_use]
    pub fn of(spec: &AwsConfigSpec, issue_digest: &str, expected: Option<String>) -> Option<Self> {
        let buckets = match spec.verify {
            Verify::None => return None,
            Verify::Identity => vec![],
            Verify::Buckets => buckets(spec),
        };
        let region = spec.region.clone().filter(|_| !buckets.is_empty());
        let mut digest = Digest::default().with("verify").with(issue_digest).with(spec.verify.as_str());
        digest.part(region.as_deref().unwrap_or_default());
        for bucket in &buckets {
            digest.part(bucket);
        }
        Some(Self { digest: digest.short(), question: Question { expected, buckets, region } })
    }

    /// Everything that can be tried of the credential, whatever `spec.verify` asks for.
    #[must_use]
    pub fn of_all(spec: &AwsConfigSpec, expected: Option<String>) -> Self {
        let question = Question { expected, buckets: buckets(spec), region: spec.region.clone() };
        Self { digest: String::new(), question }
    }

    /// Whether AWS accepts everything.
    #[must_use]
    pub fn is_verified_by(&self, answers: &Answers) -> bool {
        matches!(self.verdict(answers), Verdict::Verified(_))
    }

    /// The number of calls to outside systems, without second ones to other regions.
    #[must_use]
    pub fn calls(&self) -> u32 {
        u32::try_from(self.question.buckets.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// What the answers mean. A refusal counts more than an answer that is missing.
    #[must_use]
    pub fn verdict(&self, answers: &Answers) -> Verdict {
        let refused = |reason, message| Verdict::Refused(Statement::new(reason, message));
        let arn = match &answers.caller {
            CallerAnswer::Is(arn) => arn,
            CallerAnswer::Refused(code) => {
                return refused(
                    Reason::CredentialRefused,
                    format!(
                        "GetCallerIdentity with the credential: STS does not accept it ({code}). For a key, compare it with IAM: it has \
                         to exist there, to be active, and to be in the partition of keyturn's STS. {AGAIN}"
                    ),
                );
            }
            CallerAnswer::NoAnswer(why) => return Verdict::unknown(format!("GetCallerIdentity: {why}. {LATER}")),
        };
        if let Some(expected) = self.question.expected.as_deref().filter(|_| !self.question.expects(arn)) {
            return refused(
                Reason::IdentityMismatch,
                format!(
                    "GetCallerIdentity: AWS takes the credential as {arn}, and it was issued as {expected}. A cluster admin checks which \
                     service answers at the STS endpoint of keyturn (aws.stsEndpoint of the chart)"
                ),
            );
        }
        let (denied, silent) = self.troubles(answers);
        if !denied.is_empty() {
            let silent = if silent.is_empty() { String::new() } else { format!(". No answer for {}", some(&silent)) };
            return refused(
                Reason::BucketRefused,
                format!(
                    "HeadBucket as {arn}: no access to {}{silent}. Correct spec.defaultBucket or spec.extraBuckets, or an AWS admin allows \
                     s3:ListBucket in the policies of the role and of the bucket. {AGAIN}",
                    some(&denied)
                ),
            );
        }
        if !silent.is_empty() {
            return Verdict::unknown(format!("HeadBucket as {arn}: no answer for {}. {LATER}", some(&silent)));
        }
        let shown = match answers.buckets.len() {
            0 => String::new(),
            1..=NAMED => {
                let names: Vec<String> = answers.buckets.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                format!(", and S3 shows it {}", names.join(", "))
            }
            count => format!(", and S3 shows it all {count} buckets"),
        };
        Verdict::Verified(Statement::new(Reason::Verified, format!("AWS takes the credential as {arn}{shown}")))
    }

    /// The buckets that S3 refuses, and those for which it has no answer, each with the reason.
    fn troubles(&self, answers: &Answers) -> (Vec<String>, Vec<String>) {
        let (mut denied, mut silent) = (vec![], vec![]);
        for (bucket, answer) in &answers.buckets {
            match answer {
                BucketAnswer::Shown => {}
                BucketAnswer::Refused(_) => denied.push(format!("\"{bucket}\" ({})", meaning(answer))),
                BucketAnswer::NoAnswer(_) => silent.push(format!("\"{bucket}\" ({})", meaning(answer))),
            }
        }
        let without =
            self.question.buckets.iter().filter(|name| answers.buckets.iter().all(|(bucket, _)| bucket != *name));
        silent.extend(without.map(|bucket| format!("\"{bucket}\" (it was not asked for)")));
        (denied, silent)
    }
}

/// The buckets that the config names, each once.
fn buckets(spec: &AwsConfigSpec) -> Vec<String> {
    let mut buckets: Vec<String> = vec![];
    for bucket in spec.buckets() {
        if buckets.iter().all(|other| other != bucket) {
            buckets.push(bucket.to_owned());
        }
    }
    buckets
}

/// The next step after a refusal was mended. keyturn does not try a refused request again by
/// itself.
const AGAIN: &str = "keyturn tries it again if the request changes, or with a new session (kubectl keyturn renew NAME)";
/// The next step if there is no answer.
const LATER: &str = "keyturn tries again five times, and then at each renewal; if it stays so, a cluster admin checks network policies, \
                     proxies, and aws.stsEndpoint and aws.s3Endpoint of the chart";

/// The ARN by which STS names the session of a role: without the role's path (IAM user guide, "IAM
/// identifiers"). `None` for a request whose identity keyturn does not know.
#[must_use]
pub fn expected_arn(request: &Request) -> Option<String> {
    match request {
        Request::Session(session) => Some(session_arn(&session.role, &session.session_name)),
        Request::Key(_) | Request::Connection(_) => None,
    }
}

/// The ARN of the session of a role, of this name.
#[must_use]
pub fn session_arn(role: &RoleArn, session_name: &str) -> String {
    let account = role.as_str().split(':').nth(4).unwrap_or_default();
    format!("arn:{}:sts::{account}:assumed-role/{}/{session_name}", role.partition(), role.name())
}

/// What an answer of S3 means, in words.
#[must_use]
pub fn meaning(answer: &BucketAnswer) -> String {
    match answer {
        BucketAnswer::Shown => "S3 shows it".to_owned(),
        BucketAnswer::Refused(403) => "S3 refuses it, HTTP 403".to_owned(),
        BucketAnswer::Refused(404) => "it does not exist, HTTP 404".to_owned(),
        BucketAnswer::Refused(status) => format!("S3 does not take the request, HTTP {status}"),
        BucketAnswer::NoAnswer(why) => why.clone(),
    }
}

/// The first texts, and the number of the others.
fn some(texts: &[String]) -> String {
    let named = texts.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(NAMED) {
        0 => named,
        others => format!("{named}, and {others} others"),
    }
}

#[cfg(test)]
mod tests;
