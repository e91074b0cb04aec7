//! The test as the instance's administrator. Its changes take effect at once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::key::{GlobalKey, Wanted};
use super::user::User;
use super::{ADMIN_KEY_ID, Connection, Dss, Kinds, Logins, PersonalKey, Sessions};

/// Users. The users in the arguments have to exist.
impl Dss {
    /// Adds a user. Members of [`super::ADMINISTRATORS`] are administrators.
    pub fn add_user(&self, login: &str, groups: &[&str]) {
        let user = User::new(login, groups, (self.clock)());
        self.lock().users.insert(login.to_owned(), user);
    }

    /// Removes a user. The user's keys stay in the lists without an owner, and DSS rejects them. It
    /// is not known whether a real DSS drops them. A user who is added again owns them again.
    pub fn remove_user(&self, login: &str) {
        self.lock().users.remove(login).expect("a user of this login");
    }

    /// Removes a user and adds the same under another login, without keys, because DSS cannot
    /// rename.
    pub fn rename_user(&self, from: &str, to: &str) {
        let mut state = self.lock();
        let mut user = state.users.remove(from).expect("a user of this login");
        to.clone_into(&mut user.login);
        state.users.insert(to.to_owned(), user);
    }

    /// Enables or disables a user. Nobody may act as a disabled user.
    pub fn set_enabled(&self, login: &str, enabled: bool) {
        self.change(login, |user| user.enabled = enabled);
    }

    /// Puts a user into these groups and no others.
    pub fn set_groups(&self, login: &str, groups: &[&str]) {
        self.change(login, |user| user.groups = groups.iter().map(|&group| group.to_owned()).collect());
    }

    /// Sets or removes a property that only administrators see and change.
    pub fn set_admin_property(&self, login: &str, name: &str, value: Option<&str>) {
        self.change(login, |user| match value {
            Some(value) => drop(user.admin_properties.insert(name.to_owned(), value.to_owned())),
            None => drop(user.admin_properties.remove(name)),
        });
    }

    /// Sets or removes a property that users change themselves.
    pub fn set_user_property(&self, login: &str, name: &str, value: Option<&str>) {
        self.change(login, |user| match value {
            Some(value) => drop(user.own_properties.insert(name.to_owned(), value.to_owned())),
            None => drop(user.own_properties.remove(name)),
        });
    }

    /// Adds a secret, or replaces the one of this name, as its user would on DSS' own pages.
    pub fn set_secret(&self, login: &str, name: &str, value: &str) {
        self.change(login, |user| user.set_secret(name, value));
    }

    /// Removes a secret, as its user would.
    pub fn remove_secret(&self, login: &str, name: &str) {
        self.change(login, |user| user.remove_secret(name));
    }

    /// The secrets of a user, as code in DSS gets them.
    pub fn secrets(&self, login: &str) -> BTreeMap<String, String> {
        let answered = self.lock().users.get(login).map(User::secrets_as_answered).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let secrets = answered.as_array().cloned().unwrap_or_default();
        secrets.iter().map(|secret| (text(&secret["key"]), text(&secret["value"]))).collect()
    }

    /// Sets a credential of a connection, or of a plugin preset, as its user would.
    pub fn set_credential(&self, login: &str, key: &str, user: &str, password: &str) {
        self.change(login, |account| account.set_credential(key, user, password));
    }

    /// The user and the password of a credential, as a connection gets them.
    pub fn credential(&self, login: &str, key: &str) -> Option<(String, String)> {
        self.lock().users.get(login)?.credential(key)
    }

    /// Whether a user may log in, and the user's groups.
    pub fn standing(&self, login: &str) -> Option<(bool, Vec<String>)> {
        self.lock().users.get(login).map(|user| (user.enabled, user.groups.clone()))
    }

    /// The value of an admin property, if the user has it.
    pub fn admin_property(&self, login: &str, name: &str) -> Option<String> {
        self.lock().users.get(login).expect("a user of this login").admin_properties.get(name).cloned()
    }

    fn change(&self, login: &str, change: impl FnOnce(&mut User)) {
        change(self.lock().users.get_mut(login).expect("a user of this login"));
    }
}

/// Keys.
impl Dss {
    /// Replaces the administrator's key. The key before is unknown from now on.
    pub fn rotate_admin_key(&self, value: &str) {
        self.change_admin_key(|key| value.clone_into(&mut key.value));
    }

    /// Takes the rights of an administrator from the administrator's key, which stays known.
    pub fn revoke_admin_right(&self) {
        self.change_admin_key(|key| key.admin = false);
    }

    /// Gives the administrator's key its rights again.
    pub fn restore_admin_right(&self) {
        self.change_admin_key(|key| key.admin = true);
    }

    fn change_admin_key(&self, change: impl FnOnce(&mut GlobalKey)) {
        let mut state = self.lock();
        let mut keys = state.global_keys.iter_mut();
        change(keys.find(|key| key.id == ADMIN_KEY_ID).expect("it is never taken away"));
    }

    /// Adds a global key without an administrator's rights, with the rights of these groups.
    pub fn add_global_key(&self, id: &str, value: &str, groups: &[&str]) {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        let key = GlobalKey { id: id.to_owned(), value: value.to_owned(), groups, admin: false, acts_as: None };
        self.lock().global_keys.push(key);
    }

    /// Adds a global key with this associated user, with or without an administrator's rights.
    pub fn add_global_key_for(&self, id: &str, value: &str, login: &str, admin: bool) {
        let (id, value, acts_as) = (id.to_owned(), value.to_owned(), Some(login.to_owned()));
        self.lock().global_keys.push(GlobalKey { id, value, groups: Vec::new(), admin, acts_as });
    }

    /// Whether `/auth/info` does not say the kind of a key. Off by default. It is not known whether
    /// old releases of DSS say it.
    pub fn hides_kinds(&self, hides: bool) {
        self.lock().kinds = if hides { Kinds::Hidden } else { Kinds::Said };
    }

    /// The existing personal keys, in the order of creation.
    pub fn personal_keys(&self) -> Vec<PersonalKey> {
        self.lock().personal_keys.clone()
    }

    /// Whether administrators may not create and delete the keys of other users. They may list
    /// these keys in any case. Off by default. The behaviour of a real DSS is not known.
    pub fn keys_are_their_owners_only(&self, only: bool) {
        self.lock().keys_are_their_owners_only = only;
    }

    /// The number of personal keys that were ever created.
    pub fn keys_ever(&self) -> usize {
        self.lock().keys_ever
    }

    /// Gives every personal key that an administrator creates to this user, which is a fault.
    pub fn gives_keys_to(&self, user: Option<&str>) {
        self.lock().keys_go_to = user.map(str::to_owned);
    }

    /// Compares logins without case from now on.
    pub fn folds_case(&self) {
        self.lock().logins = Logins::WithoutCase;
    }

    /// Takes every caller who acts as another user for this user, which is a fault.
    pub fn takes_callers_for(&self, user: Option<&str>) {
        self.lock().callers_act_as = user.map(str::to_owned);
    }

    /// Creates a personal key as its user would, on DSS' own pages.
    pub fn add_personal_key(&self, user: &str, label: &str) -> PersonalKey {
        let wanted = Wanted { user: user.to_owned(), label: label.to_owned(), description: String::new() };
        self.create_key(wanted, user)
    }

    /// Gives a personal key another label, as its user may.
    pub fn relabel_personal_key(&self, id: &str, label: &str) {
        let mut state = self.lock();
        let key = state.personal_keys.iter_mut().find(|key| key.id == id);
        label.clone_into(&mut key.expect("a key of this ID").label);
    }

    /// Deletes a personal key. If there is none, nothing happens.
    pub fn delete_personal_key(&self, id: &str) {
        self.lock().personal_keys.retain(|key| key.id != id);
    }
}

/// Connections, their sessions, and the instance.
impl Dss {
    /// Adds a connection, or replaces the one of this name.
    pub fn add_connection(&self, name: &str, connection: Connection) {
        self.lock().connections.insert(name.to_owned(), connection);
    }

    /// Removes a connection.
    pub fn remove_connection(&self, name: &str) {
        self.lock().connections.remove(name);
    }

    /// Sets the source of the sessions of AssumeRole connections.
    pub fn set_sessions(&self, sessions: Sessions) {
        self.lock().sessions = sessions;
    }

    /// Whether the credential of an AssumeRole connection has its expiry (RFC 3339, in
    /// `expiration`). Off by default, because a real DSS is not known to report it.
    pub fn tells_expiration(&self, tells: bool) {
        self.lock().tells_expiration = tells;
    }

    /// Whether DSS answers with the same session each time for the same role and user. Off by
    /// default.
    pub fn caches_sessions(&self, caches: bool) {
        self.lock().caches_sessions = caches;
    }

    /// Forgets the sessions that were cached.
    pub fn forget_sessions(&self) {
        self.lock().cached.clear();
    }

    /// The version that the instance reports.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut self.lock().version);
    }
}
