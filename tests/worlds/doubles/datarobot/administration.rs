//! The test as the owner of every account, and the settings of DataRobot. The changes take effect
//! at once.

use std::collections::BTreeMap;

use super::caller::Account;
use super::credential::{Kept, Kind};
use super::{Credential, DataRobot, Pages, State, Storage, TOKEN_MARKER, Triplet};

/// Accounts. The accounts in the arguments have to exist.
impl DataRobot {
    /// Adds an account. Returns its token.
    pub fn add_account(&self, name: &str) -> String {
        let account = Account { name: name.to_owned(), token: None, may_use_credentials: true };
        self.lock().accounts.push(account);
        self.rotate_token(name)
    }

    /// Gives an account a new token. The token before is unknown from now on.
    pub fn rotate_token(&self, name: &str) -> String {
        let mut state = self.lock();
        state.tokens_ever += 1;
        let token = format!("NmE-{TOKEN_MARKER}-{:0>4}", state.tokens_ever);
        state.account(name).token = Some(token.clone());
        token
    }

    /// Takes the token from an account, as an administrator who disables it does. Its credentials
    /// stay.
    pub fn revoke_token(&self, name: &str) {
        self.lock().account(name).token = None;
    }

    /// Whether an account may use stored credentials, and run jobs with them. By default it may.
    pub fn may_use_credentials(&self, name: &str, may: bool) {
        self.lock().account(name).may_use_credentials = may;
    }
}

impl State {
    fn account(&mut self, name: &str) -> &mut Account {
        self.accounts.iter_mut().find(|account| account.name == name).expect("an account of this name")
    }

    fn of(&mut self, account: &str, id: &str) -> &mut Kept {
        self.kept_mut(account, id).expect("a credential of this account and ID")
    }
}

/// Credentials. The accounts and the IDs in the arguments have to exist.
impl DataRobot {
    /// The credentials of an account, in the order of creation.
    pub fn credentials(&self, account: &str) -> Vec<Credential> {
        let state = self.lock();
        let own = state.credentials.iter().filter(|kept| kept.account == account);
        own.map(|kept| kept.credential.clone()).collect()
    }

    /// The credential of this name.
    pub fn credential(&self, account: &str, name: &str) -> Option<Credential> {
        self.credentials(account).into_iter().find(|credential| credential.name == name)
    }

    /// Adds a credential by hand, e.g. of type `basic` with `user` and `password`. Returns its ID.
    pub fn add_credential(&self, account: &str, name: &str, kind: &str, values: &[(&str, &str)]) -> String {
        let values: BTreeMap<String, String> =
            values.iter().map(|&(field, value)| (field.to_owned(), value.to_owned())).collect();
        let kind = Kind::called(kind).expect("a type that DataRobot knows");
        kind.check(&values).expect("the fields of this type");
        self.keep(account, name.to_owned(), kind, String::new(), values).expect("a name that is free").id
    }

    /// Changes a credential by hand: its name, its description, its values.
    pub fn change_credential(&self, account: &str, id: &str, change: impl FnOnce(&mut Credential)) {
        self.lock().of(account, id).change(change);
    }

    /// Removes a credential by hand. If there is none, nothing happens.
    pub fn remove_credential(&self, account: &str, id: &str) {
        self.lock().credentials.retain(|kept| kept.account != account || kept.credential.id != id);
    }

    /// Whether a data connection uses a credential, which DataRobot then does not delete.
    pub fn set_in_use(&self, account: &str, id: &str, in_use: bool) {
        self.lock().of(account, id).in_use = in_use;
    }

    /// The AWS credential that a credential holds. `None` if there is no such credential, if it is
    /// of another type, and if it has no key or no secret.
    pub fn holds(&self, account: &str, id: &str) -> Option<Triplet> {
        self.lock().kept(account, id)?.credential.triplet()
    }

    /// The different AWS credentials that a credential held, in order. A mixture of two sessions is
    /// one of them, if the credential ever held it.
    pub fn held(&self, account: &str, id: &str) -> Vec<Triplet> {
        self.lock().of(account, id).held.clone()
    }

    /// The number of credentials that were ever created, in all accounts.
    pub fn credentials_ever(&self) -> usize {
        self.lock().credentials_ever
    }
}

/// Settings.
impl DataRobot {
    /// The version of the API, e.g. `2.49.0`.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut self.lock().version);
    }

    /// The `limit` of a list that names none. [`super::PAGE`] by default.
    pub fn set_page(&self, limit: usize) {
        self.lock().page = limit;
    }

    /// The way in which lists name their next page.
    pub fn set_pages(&self, pages: Pages) {
        self.lock().pages = pages;
    }

    /// Whether the answer to an update has the credential in its body. Off by default.
    pub fn answers_updates_with_object(&self, answers: bool) {
        self.lock().answers_updates_with_object = answers;
    }

    /// Sets the S3 of batch predictions.
    pub fn set_storage(&self, storage: Storage) {
        self.lock().storage = storage;
    }
}
