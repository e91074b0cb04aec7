//! An S3 credential in DataRobot: a store.
//!
//! DataRobot has no labels. keyturn recognizes its own entry by the UID of the `AwsConfig` in the
//! description, and touches no other.

use super::{Pushable, listings::Account};
use crate::{
    api::{AwsConfig, Reason},
    credentials::{Credentials, IssueError, Retry},
    data_robot::{Credential, DataRobot, Kind, RestError},
    push::{Place, REVOKED},
};
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// The values of an entry after a withdrawal: AWS knows no such key. They have the form of a
/// session of AWS, because DataRobot may check the form.
const WITHDRAWN: [&str; 3] =
    ["ASIAWITHDRAWNBYKEYTU", "WITHDRAWN/by/keyturn/WITHDRAWN/by/keytur", "WITHDRAWN+by+keyturn"];

/// The entry of one config in the account of a token.
pub struct DataRobotCredential<'a> {
    /// The DataRobot, with the token.
    pub client: DataRobot,
    /// The config.
    pub config: &'a AwsConfig,
    /// The place.
    pub place: &'a Place,
    /// The account of the token.
    pub account: Account<'a>,
}

/// The content of an entry, as status records it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// A key without a session token.
    Key,
    /// Something else, or it is not known.
    Other,
}

impl DataRobotCredential<'_> {
    /// Puts the credential into the entry, or creates the entry. Returns its ID.
    pub(super) async fn put(&self, credential: Pushable<'_>) -> Result<Option<String>, IssueError> {
        self.write(credential.credentials).await.map(Some)
    }

    /// Replaces the values by some that AWS refuses. Returns the ID; `None` if there is no entry.
    /// If DataRobot refuses such values, keyturn deletes the entry, because a withdrawn credential
    /// must not stay for the sake of an ID.
    pub(super) async fn revoke(&self) -> Result<Option<String>, IssueError> {
        let [key, secret, token] = WITHDRAWN;
        let values = Credentials {
            access_key_id: key.to_owned(),
            secret_access_key: secret.into(),
            session_token: (self.held() == Held::Other).then(|| token.into()),
        };
        if let Some(id) = self.recorded_id() {
            match self.make_unusable(id, &values).await {
                Err(gone) if gone.kind == Kind::NotFound => {}
                done => return done.map_err(failed),
            }
        }
        match self.own_entry().await.map_err(failed)? {
            Some(entry) => self.make_unusable(&entry.id, &values).await.map_err(failed),
            None => Ok(None),
        }
    }

    async fn make_unusable(&self, id: &str, values: &Credentials) -> Result<Option<String>, RestError> {
        match self.client.update_s3(id, values).await {
            Err(refused) if refused.kind == Kind::Refused => {
                tracing::warn!(place = %self.place, %refused, "DataRobot takes no unusable values: the credential is deleted");
                self.account.doubt(&self.place.name);
                self.client.delete(id).await.map(|_| None)
            }
            done => done.map(|()| Some(id.to_owned())),
        }
    }

    /// Deletes the entry. If there is none, the deletion succeeds. If DataRobot does not delete it,
    /// because something uses it, the entry stays and holds nothing that works.
    pub(super) async fn delete(&self) -> Result<(), IssueError> {
        let refused = match self.delete_entry().await {
            Err(error) if error.kind == Kind::Refused => error,
            done => return done.map_err(failed),
        };
        self.revoke().await?;
        let message = format!(
            "DataRobot does not delete the {}: {refused}; keyturn has made it unusable; take it out of the data connections and the \
             jobs that use it, or delete it in DataRobot",
            self.place
        );
        Err(IssueError::new(Reason::PushRefused, Retry::Durable, message))
    }

    async fn delete_entry(&self) -> Result<(), RestError> {
        self.account.doubt(&self.place.name);
        if let Some(id) = self.recorded_id()
            && self.client.delete(id).await?
        {
            return Ok(());
        }
        // An answer may have been lost, and with it an ID.
        match self.own_entry().await? {
            Some(entry) => self.client.delete(&entry.id).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether the account has a credential of this name that is not this config's.
    pub(super) async fn find(&self) -> Result<bool, RestError> {
        Ok(self.is_taken(&self.named().await?))
    }

    async fn write(&self, values: &Credentials) -> Result<String, IssueError> {
        // DataRobot keeps the token that a write leaves out, and AWS refuses a key with a token.
        let keeps_entry = values.session_token.is_some() || self.held() == Held::Key;
        if let Some(id) = self.recorded_id().filter(|_| keeps_entry) {
            match self.client.update_s3(id, values).await {
                Err(gone) if gone.kind == Kind::NotFound => self.account.doubt(&self.place.name),
                done => return done.map(|()| id.to_owned()).map_err(failed),
            }
        }
        let named = self.named().await.map_err(failed)?;
        if self.is_taken(&named) {
            return Err(self.taken());
        }
        // The next calls change the account, and an answer may be lost.
        self.account.doubt(&self.place.name);
        if let Some(own) = named.first().filter(|_| keeps_entry) {
            let written = self.client.update_s3(&own.id, values).await;
            return written.map(|()| own.id.clone()).map_err(failed);
        }
        // Somebody may have renamed the entry, and it still works. Status names it.
        let former: BTreeSet<&str> =
            self.recorded_id().into_iter().chain(named.iter().map(|own| own.id.as_str())).collect();
        for id in former {
            self.client.delete(id).await.map_err(failed)?;
        }
        self.client.create_s3(&self.place.name, &self.description(), values).await.map_err(failed)
    }

    /// Whether one of the credentials of this name is not this config's. The next look then reads
    /// the account again.
    fn is_taken(&self, named: &[Credential]) -> bool {
        let is_taken = named.iter().any(|entry| !self.is_own(entry));
        if is_taken {
            self.account.doubt(&self.place.name);
        }
        is_taken
    }

    /// The credentials of the account that have this name.
    async fn named(&self) -> Result<Vec<Credential>, RestError> {
        self.account.named(&self.client, &self.place.name).await
    }

    /// This config's entry, as DataRobot shows it now: what is to be withdrawn must not be missed.
    async fn own_entry(&self) -> Result<Option<Credential>, RestError> {
        let named = self.account.list(&self.client, &self.place.name).await?;
        Ok(named.into_iter().find(|entry| self.is_own(entry)))
    }

    fn is_own(&self, entry: &Credential) -> bool {
        entry.is_s3() && entry.description.as_deref().is_some_and(|text| text.ends_with(&self.marker()))
    }

    /// The end of the description of this config's entry. The subject is a part of it: an entry is
    /// never of two persons.
    fn marker(&self) -> String {
        format!("(AwsConfig {} of {})", self.config.uid().unwrap_or_default(), self.place.login)
    }

    fn description(&self) -> String {
        let (namespace, name) = (self.config.namespace().unwrap_or_default(), self.config.name_any());
        format!(
            "keyturn writes this credential for AwsConfig {namespace}/{name} and replaces it before it expires {}",
            self.marker()
        )
    }

    fn recorded_id(&self) -> Option<&str> {
        let recorded = self.config.pushed()?.data_robot.as_ref()?;
        let is_this = Place::of(self.place.slot, recorded) == *self.place;
        recorded.credential_id.as_deref().filter(|_| is_this)
    }

    fn held(&self) -> Held {
        let recorded = self.config.pushed().and_then(|pushed| pushed.data_robot.as_ref());
        let holds_key = recorded.is_some_and(|it| {
            it.access_key_id.is_some() && it.expires_at.is_none() && it.digest.as_deref() != Some(REVOKED)
        });
        if holds_key { Held::Key } else { Held::Other }
    }

    pub(super) fn taken(&self) -> IssueError {
        let message = format!(
            "the account in DataRobot has a credential \"{}\" already, and keyturn did not write it for this AwsConfig and person; keyturn \
             leaves it alone: delete it in DataRobot, or choose another name in spec.push.dataRobot",
            self.place.name
        );
        IssueError::new(Reason::PushNameTaken, Retry::Durable, message)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: RestError) -> IssueError {
    IssueError::of_data_robot(&error)
}
