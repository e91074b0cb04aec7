//! What a DSS connection gives a person: the credential that `client.get_connection(name).get_info().get_aws_credential()`
//! returns to them, asked for as them.

use super::{Credentials, IssueError, Issued, Pace};
use crate::{
    api::Reason,
    clock::whole_seconds,
    dss::{AwsCredential, Connection, Dss, DssError, Kind},
};
use jiff::{SignedDuration, Timestamp};

/// The type by which DSS calls an S3 connection.
const S3: &str = "EC2";

/// Which connection is read, where and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRequest {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// The name of the connection.
    pub connection: String,
    /// The person's login.
    pub login: String,
    /// The project whose variables the connection's settings may use.
    pub project: Option<String>,
}

impl ConnectionRequest {
    /// Reads the connection as that person: one call. `lifetime` is how long a session is taken to live, and `former`
    /// the access key ID of the one that was delivered before.
    ///
    /// DSS does not tell when a session ends. One that is handed out for the first time is taken to live `lifetime`.
    /// One that is handed out again is older than it looks, so it is taken to live a quarter of that from now on, and
    /// DSS is asked again that much sooner.
    ///
    /// # Errors
    /// With reason, pace and a sentence for the user, whatever went wrong.
    pub async fn obtain(
        &self,
        dss: &Dss,
        lifetime: SignedDuration,
        former: Option<&str>,
        now: impl Fn() -> Timestamp,
    ) -> Result<Issued, IssueError> {
        let answer = dss.as_user(&self.login).connection(&self.connection, self.project.as_deref()).await;
        let credential = answer.map_err(|error| self.explain(&error)).and_then(|found| self.credential(found))?;
        let issued_at = whole_seconds(now());
        let repeated = former == Some(credential.access_key.as_str());
        let assumed = if repeated { lifetime / 4 } else { lifetime };
        let expires_at = match (&credential.session_token, credential.expiration) {
            (None, _) => None,
            (Some(_), Some(told)) if told <= issued_at => {
                let message =
                    format!("DSS hands out a session of connection \"{}\" that ended at {told}", self.connection);
                return Err(IssueError { reason: Reason::DssUnreachable, pace: Pace::Fast, message });
            }
            (Some(_), Some(told)) => Some(whole_seconds(told)),
            (Some(_), None) => Some(issued_at.saturating_add(assumed).unwrap_or(issued_at)),
        };
        let credentials = Credentials {
            access_key_id: credential.access_key,
            secret_access_key: credential.secret_key,
            session_token: credential.session_token,
        };
        Ok(Issued { credentials, issued_at, expires_at })
    }

    fn credential(&self, found: Connection) -> Result<AwsCredential, IssueError> {
        let name = &self.connection;
        if found.type_ != S3 {
            let type_: String = found.type_.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            return Err(denied(format!(
                "DSS connection \"{name}\" is of type {type_} and no S3 connection, so it has no AWS credential"
            )));
        }
        found.aws_credential.filter(|credential| !credential.access_key.is_empty()).ok_or_else(|| {
            let message = format!(
                "DSS connection \"{name}\" resolves to no AWS credential for \"{}\"; a DSS admin sets its credentials mode to \
                 AssumeRole or to an access key",
                self.login
            );
            denied(message)
        })
    }

    fn explain(&self, error: &DssError) -> IssueError {
        match error.kind {
            Kind::Denied | Kind::Refused => denied(format!(
                "DSS does not let \"{}\" read the details of connection \"{}\": {error}; a DSS admin adds a group of theirs to \
                 \"Details readable by\" of the connection",
                self.login, self.connection
            )),
            Kind::NotFound => {
                denied(format!("DSS has no connection \"{}\" for \"{}\": {error}", self.connection, self.login))
            }
            _ => IssueError::of_dss(error),
        }
    }
}

fn denied(message: String) -> IssueError {
    IssueError { reason: Reason::DssConnectionDenied, pace: Pace::Slow, message }
}

impl IssueError {
    /// What a failed call to DSS means for whoever waits for it.
    #[must_use]
    pub fn of_dss(error: &DssError) -> Self {
        let (reason, pace) = match error.kind {
            Kind::Unreachable | Kind::Unreadable | Kind::Failed => (Reason::DssUnreachable, Pace::Fast),
            Kind::Unauthenticated | Kind::Denied | Kind::NotFound | Kind::Refused => (Reason::DssDenied, Pace::Slow),
        };
        let what = match error.kind {
            Kind::Unreachable | Kind::Unreadable => "DSS cannot be reached",
            Kind::Failed => "DSS failed",
            _ => "DSS refused",
        };
        Self { reason, pace, message: format!("{what}: {error}") }
    }
}
