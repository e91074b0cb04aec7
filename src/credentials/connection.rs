//! The AWS credential of a DSS connection. keyturn reads it from DSS as the person, and DSS returns
//! the same as to the person's own `client.get_connection(name).get_info().get_aws_credential()`.

use super::{Credentials, IssueError, Issued, Retry};
use crate::{
    api::Reason,
    clock::whole_seconds,
    dss::{AwsCredential, Connection, Dss, DssError, Kind},
};
use jiff::{SignedDuration, Timestamp};

/// DSS's name for the type of S3 connections.
const S3: &str = "EC2";

/// A request for the credential of a DSS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRequest {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// The name of the connection.
    pub connection: String,
    /// The person's login in DSS.
    pub login: String,
    /// The key of the project whose variables the connection's settings may use.
    pub project: Option<String>,
}

impl ConnectionRequest {
    /// Asks DSS as whom it takes keyturn when keyturn acts as the person.
    ///
    /// # Errors
    /// [`IssueError`] if DSS takes keyturn for somebody else, cannot be reached, or refuses.
    pub async fn confirm(&self, dss: &Dss) -> Result<(), IssueError> {
        let login = &self.login;
        match dss.as_user(login).auth_info().await {
            Ok(info) if info.login() == Some(login.as_str()) => Ok(()),
            Ok(_) => Err(kept(format!(
                "the admin key may not act as \"{login}\": DSS takes the caller for somebody else; a DSS admin looks at the login and \
                 at the rights of the key"
            ))),
            Err(error) if error.kind.passes() => Err(IssueError::of_dss(&error)),
            Err(error) => Err(kept(format!("the admin key may not act as \"{login}\": {error}; see the DssInstance"))),
        }
    }

    /// Reads the connection as the person, in one call. If DSS refuses, a second call finds out
    /// why.
    ///
    /// `lifetime` is the assumed lifetime of a session. `former` is the access key ID of the
    /// session that was delivered before. If DSS reports no expiry, keyturn assumes that a new
    /// session lives for `lifetime`. If DSS returns the former session again, that session is older
    /// than it looks. keyturn then assumes a quarter of `lifetime` from now on, and asks DSS again
    /// that much sooner.
    ///
    /// # Errors
    /// [`IssueError`] if DSS cannot be reached, refuses, returns no S3 credential, or returns a
    /// session that has ended.
    pub async fn obtain(
        &self,
        dss: &Dss,
        lifetime: SignedDuration,
        former: Option<&str>,
        now: impl Fn() -> Timestamp,
    ) -> Result<Issued, IssueError> {
        let person = dss.as_user(&self.login);
        let found = match person.connection(&self.connection, self.project.as_deref()).await {
            Ok(found) => found,
            Err(error) => return Err(self.explain(dss, &error).await),
        };
        let credential = self.credential(found)?;
        let issued_at = whole_seconds(now());
        let repeated = former == Some(credential.access_key.as_str());
        let assumed = if repeated { lifetime / 4 } else { lifetime };
        let expires_at = match (&credential.session_token, credential.expiration) {
            (None, _) => None,
            (Some(_), Some(told)) if told <= issued_at => {
                let message =
                    format!("DSS hands out a session of connection \"{}\" that ended at {told}", self.connection);
                return Err(IssueError::new(Reason::DssUnreachable, Retry::Transient, message));
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

    /// Explains a failure of the call. A refusal may concern the person or the admin key: the key
    /// may have no right to act as the person, or DSS may know no such login. Therefore a denial
    /// counts as the person's only after DSS has confirmed that the call is made as the person.
    async fn explain(&self, dss: &Dss, error: &DssError) -> IssueError {
        let (login, connection) = (&self.login, &self.connection);
        match error.kind {
            Kind::Unreachable | Kind::Unreadable | Kind::NoRoute | Kind::Failed => return IssueError::of_dss(error),
            Kind::Refused => {
                return kept(format!(
                    "DSS cannot resolve connection \"{connection}\" for \"{login}\": {error}; a DSS admin looks at its settings, and \
                     at the properties of the user that they name"
                ));
            }
            Kind::Unauthenticated | Kind::Denied | Kind::NotFound => {}
        }
        match self.confirm(dss).await {
            Ok(()) if error.kind == Kind::NotFound => denied(format!(
                "DSS has no connection \"{connection}\" for \"{login}\": {error}; correct spec.connection, or a DSS admin creates it"
            )),
            Ok(()) => denied(format!(
                "DSS does not let \"{login}\" read the details of connection \"{connection}\": {error}; a DSS admin adds a group of \
                 theirs to \"Details readable by\" of the connection"
            )),
            Err(why) => why,
        }
    }
}

/// A denial of the person. keyturn withdraws a static key because of it.
fn denied(message: String) -> IssueError {
    IssueError::new(Reason::DssConnectionDenied, Retry::Durable, message)
}

/// A refusal that does not deny the person. The person keeps the credential.
fn kept(message: String) -> IssueError {
    IssueError::new(Reason::DssDenied, Retry::Durable, message)
}
