//! The error of a call to the API server: one line that names the object, and the kind of failure.

use crate::api::{Reason, Statement};
use kube::core::Status;

/// The number of failed reconciles in a row after which another failure is reported. Shorter
/// failures end before anybody could act on them.
const FAILED_BEFORE: i32 = 2;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{tried}: {why}")]
pub struct CallError {
    /// The action and the object of the call.
    tried: String,
    /// The reason why the call failed. It never contains data that was sent or read, because the
    /// data may be secret.
    why: String,
    /// The kind of the failure.
    pub failed: Failed,
}

/// The kinds of failure that callers distinguish, by the status that the API server answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// 404.
    NotFound,
    /// 409 to a creation.
    AlreadyExists,
    /// 409 to any other call: the object has another UID or another version than the caller had
    /// seen.
    Conflict,
    /// 403, for any other reason than [`Failed::NamespaceEnds`].
    Forbidden,
    /// 403 to a creation, because the namespace is being deleted.
    NamespaceEnds,
    /// 422.
    Invalid,
    /// This process no longer holds the Lease. It did not send the write, or did not wait for the
    /// answer. It does not retry, because another replica may lead.
    NotLeading,
    /// Any other status, no answer, or an answer that could not be read.
    Otherwise,
}

impl CallError {
    pub(super) fn new(tried: String, why: impl Into<String>, failed: Failed) -> Self {
        Self { tried, why: why.into(), failed }
    }

    /// The error of a call. It quotes what the API server says, and never an answer that could not
    /// be read.
    pub(super) fn of(tried: String, error: &kube::Error) -> Self {
        let (why, failed) = match error {
            kube::Error::Api(status) => {
                let failed = match (status.code, status.reason.as_str()) {
                    (403, _) if is_of_ending_namespace(status) => Failed::NamespaceEnds,
                    (403, _) => Failed::Forbidden,
                    (404, _) => Failed::NotFound,
                    (409, "AlreadyExists") => Failed::AlreadyExists,
                    (409, _) => Failed::Conflict,
                    (422, _) => Failed::Invalid,
                    _ => Failed::Otherwise,
                };
                (format!("{} ({} {})", status.message, status.code, status.reason), failed)
            }
            // The error's own text may quote the answer.
            kube::Error::SerdeError(_) => ("the answer could not be read".to_owned(), Failed::Otherwise),
            other => (other.to_string(), Failed::Otherwise),
        };
        Self { tried, why, failed }
    }

    /// An error of a test.
    #[cfg(test)]
    pub fn of_test(failed: Failed) -> Self {
        Self { tried: "create Secret scoring/alice-aws".to_owned(), why: "refused".to_owned(), failed }
    }

    /// The same error as a conflict: the call was refused, because the object is another one than
    /// the caller had seen.
    #[must_use]
    pub fn of_another_object(mut self) -> Self {
        self.failed = Failed::Conflict;
        self
    }

    /// Whether it is more than a short failure of the API server, and worth a condition: a refusal,
    /// or the last of several failures in a row. `failed_before` is the number of reconciles of the
    /// object in a row before this one in which a call failed.
    #[must_use]
    pub fn is_persistent(&self, failed_before: i32) -> bool {
        match self.failed {
            Failed::Forbidden | Failed::Invalid => true,
            Failed::NamespaceEnds | Failed::NotLeading => false,
            // A single conflict is another writer. A lasting one may be a quota that the API server
            // cannot count.
            Failed::NotFound | Failed::AlreadyExists | Failed::Conflict | Failed::Otherwise => {
                failed_before >= FAILED_BEFORE
            }
        }
    }

    /// The statement about the failed call, for a condition.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement::new(Reason::ApiCallFailed, format!("{self}; keyturn tries again within a minute"))
    }

    /// The error without these texts. The message of the API server quotes what an admission policy
    /// or a webhook says, and that may be anything that keyturn sent.
    #[must_use]
    pub fn without(mut self, secrets: &[String]) -> Self {
        for secret in secrets {
            self.why = self.why.replace(secret.as_str(), "…");
        }
        self
    }
}

/// Whether the API server refused a creation, because the namespace is being deleted (the cause
/// `NamespaceTerminating`, `k8s.io/api/core/v1`).
fn is_of_ending_namespace(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_answer_of_the_api_server_has_its_kind() {
        let ends =
            json!({"causes": [{"reason": "NamespaceTerminating", "message": "m", "field": "metadata.namespace"}]});
        for (code, reason, details, failed, is_news) in [
            (404, "NotFound", json!({}), Failed::NotFound, false),
            (409, "AlreadyExists", json!({}), Failed::AlreadyExists, false),
            (409, "Conflict", json!({}), Failed::Conflict, false),
            (403, "Forbidden", json!({}), Failed::Forbidden, true),
            (403, "Forbidden", ends, Failed::NamespaceEnds, false),
            (422, "Invalid", json!({}), Failed::Invalid, true),
            (413, "RequestEntityTooLarge", json!({}), Failed::Otherwise, false),
            (500, "InternalError", json!({}), Failed::Otherwise, false),
        ] {
            let status =
                json!({"status": "Failure", "code": code, "reason": reason, "message": "m", "details": details});
            let answer = kube::Error::Api(serde_json::from_value(status).unwrap());
            let error = CallError::of("create Secret scoring/alice-aws".to_owned(), &answer);
            assert_eq!((error.failed, error.is_persistent(0)), (failed, is_news), "{code} {reason}");
            let lasts = !matches!(failed, Failed::NamespaceEnds | Failed::NotLeading);
            assert_eq!(error.is_persistent(2), lasts, "{code} {reason}: the third in a row");
            assert_eq!(error.to_string(), format!("create Secret scoring/alice-aws: m ({code} {reason})"));
        }
    }
}
