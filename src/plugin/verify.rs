//! `kubectl keyturn verify`: the credential of a person's Secret, tried by hand. The caller needs
//! the right to read the Secret. The calls are those that the operator makes for `spec.verify`, by
//! the network and the proxies of the caller. Nothing is written.

use super::{
    Answer, Failed,
    env::{secret_of, withdrawn},
};
use crate::{
    api::AwsConfig,
    clock::Clock,
    credentials::{Answers, CallerAnswer, Sts, base, try_out},
    decide::session_name,
    limit::StsTurn,
    network::Proxies,
    secret::{Record, credentials_in},
    verify::{Verification, meaning, session_arn},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

/// Reads the Secret of a config, tries the credential in it, and says what AWS answers. The answer
/// is in order if AWS accepts everything.
///
/// # Errors
/// [`Failed`] if the caller may not read the Secret, if it holds no credential, or if the
/// environment of the caller does not say how to reach AWS.
pub(super) async fn verify(
    secrets: &Api<Secret>,
    config: &AwsConfig,
    ca_bundle: Option<&Path>,
    clock: &Clock,
) -> Result<Answer, Failed> {
    let name = config.name_any();
    let found = secret_of(secrets, config).await?;
    let record = Record::read(found.annotations());
    let data: BTreeMap<_, _> = found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    let credentials = credentials_in(&data).ok_or_else(|| withdrawn(&name))?;
    let asked = asked(config, record.as_ref());
    let no_client = |error: &dyn std::fmt::Display| Failed::new(format!("AWS cannot be called: {error}"));
    let proxies = Proxies::from_env().map_err(|error| no_client(&error))?;
    let clients = base::clients(ca_bundle, &proxies, config.spec.region.as_deref(), clock).await;
    let clients = clients.map_err(|error| no_client(&error))?;
    let sts = Sts::new(clients.sts, clock.clone(), Arc::new(|_, _| ()));
    let answers = try_out(&sts, &clients.s3, &credentials, &asked.question, &StsTurn::unbounded()).await;
    Ok(answer(&asked, &answers))
}

/// What is tried: the identity, and all buckets that the config names, whatever `spec.verify` says.
fn asked(config: &AwsConfig, record: Option<&Record>) -> Verification {
    let role = record.and_then(|record| record.role.parse().ok());
    let expected =
        role.zip(config.subject()).map(|(role, subject)| session_arn(&role, &session_name(config, &subject)));
    Verification::of_all(&config.spec, expected)
}

fn answer(asked: &Verification, answers: &Answers) -> Answer {
    let mut text = String::new();
    let said = match (&answers.caller, &asked.question.expected) {
        (CallerAnswer::Is(arn), Some(expected)) if arn != expected => {
            format!("AWS takes the credential as {arn}, and it was issued as {expected}")
        }
        (CallerAnswer::Is(arn), _) => format!("AWS takes the credential as {arn}"),
        (CallerAnswer::Refused(code), _) => format!("STS does not accept the credential ({code})"),
        (CallerAnswer::NoAnswer(why), _) => why.clone(),
    };
    let _ = writeln!(text, "GetCallerIdentity: {said}");
    for (bucket, answer) in &answers.buckets {
        let _ = writeln!(text, "HeadBucket {bucket}: {}", meaning(answer));
    }
    let is_fine = asked.is_verified_by(answers);
    let _ = writeln!(text, "=> {}", if is_fine { "yes: AWS accepts all of it" } else { "no" });
    Answer::of(text, is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::BucketAnswer;
    use serde_json::{from_value, json};

    fn alice() -> AwsConfig {
        let spec = json!({"person": "alice", "defaultBucket": "team", "extraBuckets": ["shared"]});
        AwsConfig::new("alice", from_value(spec).unwrap())
    }

    #[test]
    fn each_call_has_a_line_and_the_last_line_is_the_answer() {
        const ARN: &str = "arn:aws:sts::123456789012:assumed-role/analyst/alice";
        let buckets = |second: BucketAnswer| vec![("team".into(), BucketAnswer::Shown), ("shared".into(), second)];
        let is = || CallerAnswer::Is(ARN.to_owned());
        let rows = [
            ("all is well", is(), buckets(BucketAnswer::Shown), "HeadBucket shared: S3 shows it\n=> yes", true),
            ("a refusal", is(), buckets(BucketAnswer::Refused(403)), "shared: S3 refuses it, HTTP 403\n=> no", false),
            ("silence", is(), buckets(BucketAnswer::NoAnswer("late".into())), "shared: late\n=> no", false),
            (
                "a refused key",
                CallerAnswer::Refused("InvalidClientTokenId".into()),
                vec![],
                "does not accept the credential (InvalidClientTokenId)\n=> no",
                false,
            ),
        ];
        for (row, caller, buckets, part, is_fine) in rows {
            let said = answer(&asked(&alice(), None), &Answers { caller, buckets });
            assert!(said.text.contains(part) && said.is_fine() == is_fine, "{row}: {said:?}");
        }
        let mut asked = asked(&alice(), None);
        asked.question.expected = Some("arn:aws:sts::123456789012:assumed-role/analyst/bob".to_owned());
        let said = answer(&asked, &Answers { caller: is(), buckets: vec![] });
        assert!(!said.is_fine() && said.text.contains("it was issued as"), "{said:?}");
    }
}
