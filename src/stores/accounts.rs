//! The accounts that this process writes to at the moment, and the places in them that it claimed.
//!
//! A write of secrets or credentials sends back everything that was read before. Two reconciles
//! that write to one account at the same time would therefore undo each other's write, and no
//! version in DSS would tell them. Only the leader writes, therefore the process can know.
//!
//! The claims stand in for status until every reconcile sees it. With `watchNamespaces` a reconcile
//! never sees the configs of another namespace.

use crate::push::Slot;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The time for which a claim counts after its last use. A place that is written is claimed again,
/// at least every ten minutes while the writes fail.
const KEPT: SignedDuration = SignedDuration::from_mins(15);

/// The accounts, and the claims. Clones share them. A restart forgets them; status then says which
/// places are whose.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<State>>);

/// The URL of a DSS, and a login.
type Account = (String, String);

#[derive(Debug, Default)]
struct State {
    busy: HashSet<Account>,
    claims: HashMap<(Account, Slot, String), Claim>,
}

#[derive(Debug)]
struct Claim {
    uid: String,
    until: Timestamp,
}

/// The right to write to an account. Nobody else of this process has it until it is dropped.
#[derive(Debug)]
pub struct Entered {
    accounts: Accounts,
    account: Account,
}

impl Accounts {
    /// Enters an account; `None` while another reconcile is in it.
    #[must_use]
    pub fn enter(&self, url: &str, login: &str) -> Option<Entered> {
        let account = account(url, login);
        let is_free = self.state().busy.insert(account.clone());
        is_free.then(|| Entered { accounts: self.clone(), account })
    }

    /// Gives up the claim of the object with this UID, if it has one.
    pub fn give_up(&self, url: &str, login: &str, (slot, name): (Slot, &str), uid: &str) {
        self.remove(&(account(url, login), slot, name.to_owned()), uid);
    }

    fn remove(&self, place: &(Account, Slot, String), uid: &str) {
        let mut state = self.state();
        if state.claims.get(place).is_some_and(|claim| claim.uid == uid) {
            state.claims.remove(place);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Entered {
    /// Claims a place for the object with this UID. Returns whether no other object has claimed it.
    #[must_use]
    pub fn claim(&self, slot: Slot, name: &str, uid: &str, now: Timestamp) -> bool {
        let mut state = self.accounts.state();
        state.claims.retain(|_, claim| claim.until > now);
        let place = (self.account.clone(), slot, name.to_owned());
        if state.claims.get(&place).is_some_and(|claim| claim.uid != uid) {
            return false;
        }
        let until = now.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        state.claims.insert(place, Claim { uid: uid.to_owned(), until });
        true
    }

    /// Gives up the claim of the object with this UID, if it has one.
    pub fn give_up(&self, slot: Slot, name: &str, uid: &str) {
        self.accounts.remove(&(self.account.clone(), slot, name.to_owned()), uid);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.accounts.state().busy.remove(&self.account);
    }
}

fn account(url: &str, login: &str) -> Account {
    (url.trim_end_matches('/').to_owned(), login.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://dss.test";

    #[test]
    fn one_reconcile_at_a_time_writes_to_an_account() {
        let accounts = Accounts::default();
        let entered = accounts.enter(URL, "alice").unwrap();
        assert!(accounts.enter("https://dss.test/", "alice").is_none(), "under each name of the instance");
        assert!(accounts.enter(URL, "bob").is_some(), "another account");
        drop(entered);
        assert!(accounts.enter(URL, "alice").is_some(), "it is free again");
    }

    #[test]
    fn a_place_belongs_to_the_first_that_claims_it_for_a_while() {
        let accounts = Accounts::default();
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let entered = accounts.enter(URL, "alice").unwrap();
        let claim = |uid, minutes| entered.claim(Slot::DssSecrets, "AWS_", uid, at(minutes));
        assert!(claim("first", 0) && !claim("second", 1) && claim("first", 10), "the first uses it again");
        assert!(!claim("second", 24) && claim("second", 25), "the first has not used it for 15 minutes");
        assert!(entered.claim(Slot::DssConnection, "AWS_", "first", at(26)), "another kind of place");
        accounts.give_up(URL, "alice", (Slot::DssSecrets, "AWS_"), "first");
        assert!(!claim("first", 27), "nobody gives up the place of another");
        entered.give_up(Slot::DssSecrets, "AWS_", "second");
        assert!(claim("first", 28));
    }
}
