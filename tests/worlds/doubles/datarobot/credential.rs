//! Credentials: their types, their fields, and who keeps them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::{DataRobot, State};

/// A credential as its owner knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The ID: 24 hexadecimal digits. It stays through every change.
    pub id: String,
    /// The name, which no other credential of the account has.
    pub name: String,
    /// `s3`, `basic` or `oauth`.
    pub kind: String,
    /// A text. Empty if there is none.
    pub description: String,
    /// The fields with the values, e.g. `awsAccessKeyId`. No answer of DataRobot holds them.
    pub values: BTreeMap<String, String>,
    /// The time of creation, by the test's clock.
    pub created_at: Timestamp,
}

/// The AWS credential in a credential of type `s3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triplet {
    /// `awsAccessKeyId`.
    pub access_key_id: String,
    /// `awsSecretAccessKey`.
    pub secret_access_key: String,
    /// `awsSessionToken`. A static key has none.
    pub session_token: Option<String>,
}

impl Credential {
    /// The AWS credential. `None` for another type, and without a key or a secret.
    pub fn triplet(&self) -> Option<Triplet> {
        let value = |field: &str| self.values.get(field).cloned();
        Some(Triplet {
            access_key_id: value("awsAccessKeyId")?,
            secret_access_key: value("awsSecretAccessKey")?,
            session_token: value("awsSessionToken"),
        })
    }

    /// The object in answers.
    pub(super) fn shown(&self) -> Value {
        json!({
            "credentialId": self.id,
            "name": self.name,
            "credentialType": self.kind,
            "description": self.description,
            "creationDate": self.created_at,
        })
    }
}

/// A credential with its owner and its past.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) account: String,
    pub(super) credential: Credential,
    /// Whether a data connection uses the credential.
    pub(super) in_use: bool,
    /// The AWS credentials that it held, in order.
    pub(super) held: Vec<Triplet>,
}

impl Kept {
    /// Changes the credential, and keeps in mind what it holds then.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Credential)) {
        change(&mut self.credential);
        let holds = self.credential.triplet();
        if holds.as_ref() != self.held.last() {
            self.held.extend(holds);
        }
    }
}

/// A type of credential: its fields, and whether a creation needs all of them. The creation of an
/// `s3` credential may also name a shared configuration (`configId`), which the double does not
/// know.
pub(super) struct Kind {
    pub(super) name: &'static str,
    fields: &'static [&'static str],
    needs_all: bool,
}

const KINDS: [Kind; 3] = [
    Kind { name: "s3", fields: &["awsAccessKeyId", "awsSecretAccessKey", "awsSessionToken"], needs_all: false },
    Kind { name: "basic", fields: &["user", "password"], needs_all: true },
    Kind { name: "oauth", fields: &["token", "refreshToken"], needs_all: true },
];

impl Kind {
    pub(super) fn called(name: &str) -> Result<&'static Self, Refusal> {
        let found = KINDS.iter().find(|kind| kind.name == name);
        found.ok_or_else(|| Refusal::field("credentialType", "is none of basic, oauth, s3"))
    }

    /// Refuses a field that this type does not have.
    pub(super) fn check(&self, values: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let stranger = values.keys().find(|field| !self.fields.contains(&field.as_str()));
        stranger.map_or(Ok(()), |field| {
            Err(Refusal::field(field, &format!("is not applicable for credentialType {}", self.name)))
        })
    }

    /// Refuses a creation without a field that this type needs.
    pub(super) fn check_complete(&self, values: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let missing = self.fields.iter().find(|field| self.needs_all && !values.contains_key(**field));
        missing.map_or(Ok(()), |field| Err(Refusal::field(field, "is required")))
    }
}

impl State {
    pub(super) fn kept(&self, account: &str, id: &str) -> Option<&Kept> {
        self.credentials.iter().find(|kept| kept.account == account && kept.credential.id == id)
    }

    pub(super) fn kept_mut(&mut self, account: &str, id: &str) -> Option<&mut Kept> {
        self.credentials.iter_mut().find(|kept| kept.account == account && kept.credential.id == id)
    }

    /// Whether another credential of the account than this one has the name.
    pub(super) fn is_taken(&self, account: &str, name: &str, id: Option<&str>) -> bool {
        let others = self.credentials.iter().filter(|kept| kept.account == account);
        others.map(|kept| &kept.credential).any(|other| other.name == name && Some(other.id.as_str()) != id)
    }
}

impl DataRobot {
    /// Stores a new credential, unless its name is in use.
    pub(super) fn keep(
        &self,
        account: &str,
        name: String,
        kind: &Kind,
        description: String,
        values: BTreeMap<String, String>,
    ) -> Result<Credential, Refusal> {
        let created_at = (self.clock)();
        let mut state = self.lock();
        if state.is_taken(account, &name, None) {
            return Err(Refusal::conflict("The specified name is already in use"));
        }
        state.credentials_ever += 1;
        let id = format!("6a{:0>22x}", state.credentials_ever);
        let kind = kind.name.to_owned();
        let credential = Credential { id, name, kind, description, values: BTreeMap::new(), created_at };
        let mut kept = Kept { account: account.to_owned(), credential, in_use: false, held: Vec::new() };
        kept.change(|credential| credential.values = values);
        let credential = kept.credential.clone();
        state.credentials.push(kept);
        Ok(credential)
    }
}
