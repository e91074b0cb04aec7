//! The next step for one place.

use super::{Place, Slot};
use crate::{api::Pushed, digest::Digest, secret::Record};
use jiff::Timestamp;

/// What the spec asks for, of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// This place.
    Place(Place),
    /// A place that is not known at the moment, for example because DSS does not answer. What is
    /// there stays.
    Unknown,
    /// A place that the config may not have.
    Forbidden,
    /// A place that another config has or comes first for.
    Taken(Place),
}

/// The credential in the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InSecret {
    /// It is not known, or it does not answer the request. What is pushed stays.
    Unknown,
    /// keyturn withdrew it, or does so now.
    Withdrawn,
    /// A valid credential.
    Holds {
        /// Its digest ([`digest_of`]).
        digest: String,
        /// Its access key ID.
        access_key_id: String,
        /// The time at which it expires; `None` for a key.
        expires_at: Option<Timestamp>,
    },
}

/// Everything that the next step for one place depends on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The kind of the place.
    pub slot: Slot,
    /// What the spec asks for.
    pub wanted: &'a Wanted,
    /// What status records.
    pub recorded: Option<&'a Pushed>,
    /// The credential in the Secret.
    pub in_secret: &'a InSecret,
}

/// A step for one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make sure that the place is free, so that it can become keyturn's.
    Claim(Place),
    /// Write the credential there.
    Put(Place),
    /// Replace the credential by values that AWS refuses. The entry keeps its ID.
    Revoke(Place),
    /// Remove what is there.
    Remove(Place),
    /// Give the place up without a call, because another config has the very same place. What is
    /// there is that config's.
    Release(Place),
}

/// The digest in status of the values that are there after [`Step::Revoke`].
pub const REVOKED: &str = "revoked";

/// A digest of the credential of a record. Two sessions never have the same, and two keys of the
/// same ID neither.
#[must_use]
pub fn digest_of(record: &Record) -> String {
    let Record { issue_digest, access_key_id, issued_at, .. } = record;
    Digest::default().with("push").with(issue_digest).with(access_key_id).with(issued_at.to_string()).short()
}

impl InSecret {
    /// The valid credential of a record.
    #[must_use]
    pub fn holds(record: &Record) -> Self {
        Self::Holds {
            digest: digest_of(record),
            access_key_id: record.access_key_id.clone(),
            expires_at: record.expires_at,
        }
    }
}

impl Step {
    /// The place that the step is about.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Claim(place)
            | Self::Put(place)
            | Self::Revoke(place)
            | Self::Remove(place)
            | Self::Release(place) => place,
        }
    }
}

impl Input<'_> {
    /// The next step; `None` if there is nothing to do.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        let Some(recorded) = self.recorded else {
            return match (self.wanted, self.in_secret) {
                (Wanted::Place(place), InSecret::Holds { .. }) => Some(Step::Claim(place.clone())),
                _ => None,
            };
        };
        let there = Place::of(self.slot, recorded);
        match (self.wanted, self.in_secret) {
            (Wanted::Taken(place), _) if *place == there => Some(Step::Release(there)),
            (Wanted::Nothing | Wanted::Forbidden | Wanted::Taken(_), _) => Some(self.removal(recorded, there)),
            (Wanted::Place(place), _) if *place != there => Some(self.removal(recorded, there)),
            (Wanted::Place(_) | Wanted::Unknown, InSecret::Withdrawn) => match self.slot {
                Slot::DataRobot => (!is_revoked(recorded)).then_some(Step::Revoke(there)),
                Slot::DssSecrets | Slot::DssConnection | Slot::DssPlugin => Some(Step::Remove(there)),
            },
            (Wanted::Place(_), InSecret::Holds { digest, .. }) if recorded.digest.as_ref() != Some(digest) => {
                Some(Step::Put(there))
            }
            (Wanted::Place(_) | Wanted::Unknown, _) => None,
        }
    }

    /// The removal of what status records. DataRobot does not delete a credential that something
    /// uses, therefore the credential is made unusable first.
    fn removal(&self, recorded: &Pushed, there: Place) -> Step {
        let is_live = recorded.digest.is_some() && !is_revoked(recorded);
        if self.slot == Slot::DataRobot && is_live { Step::Revoke(there) } else { Step::Remove(there) }
    }
}

fn is_revoked(recorded: &Pushed) -> bool {
    recorded.digest.as_deref() == Some(REVOKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { instance: "design".to_owned(), login: "alice".to_owned(), name: name.to_owned(), ..Place::default() }
    }

    fn pushed(name: &str, digest: Option<&str>) -> Pushed {
        Pushed {
            instance: "design".to_owned(),
            login: "alice".to_owned(),
            name: name.to_owned(),
            access_key_id: digest.map(|_| "ASIA".to_owned()),
            digest: digest.map(str::to_owned),
            ..Pushed::default()
        }
    }

    fn holds(digest: &str) -> InSecret {
        InSecret::Holds { digest: digest.to_owned(), access_key_id: "ASIA".to_owned(), expires_at: None }
    }

    #[test]
    fn the_step_follows_from_the_wish_the_record_and_the_secret() {
        use {
            InSecret::Withdrawn,
            Step::*,
            Wanted::{Forbidden, Nothing, Taken, Unknown},
        };
        let (a, b) = (|| Wanted::Place(place("a")), || Wanted::Place(place("b")));
        for (row, wanted, recorded, in_secret, step) in [
            ("nothing is asked for", Nothing, None, holds("1"), None),
            ("a first credential", a(), None, holds("1"), Some(Claim(place("a")))),
            ("no credential yet", a(), None, InSecret::Unknown, None),
            ("a withdrawn one", a(), None, Withdrawn, None),
            ("not allowed", Forbidden, None, holds("1"), None),
            ("claimed", a(), Some(pushed("a", None)), holds("1"), Some(Put(place("a")))),
            ("up to date", a(), Some(pushed("a", Some("1"))), holds("1"), None),
            ("renewed", a(), Some(pushed("a", Some("1"))), holds("2"), Some(Put(place("a")))),
            ("withdrawn", a(), Some(pushed("a", Some("1"))), Withdrawn, Some(Remove(place("a")))),
            ("expired", a(), Some(pushed("a", Some("1"))), InSecret::Unknown, None),
            ("DSS is away", Unknown, Some(pushed("a", Some("1"))), holds("2"), None),
            (
                "DSS is away, and the grant gone",
                Unknown,
                Some(pushed("a", Some("1"))),
                Withdrawn,
                Some(Remove(place("a"))),
            ),
            ("taken out of the spec", Nothing, Some(pushed("a", Some("1"))), holds("1"), Some(Remove(place("a")))),
            ("another name", b(), Some(pushed("a", Some("1"))), holds("1"), Some(Remove(place("a")))),
            ("no longer allowed", Forbidden, Some(pushed("a", Some("1"))), holds("1"), Some(Remove(place("a")))),
            ("another has it", Taken(place("a")), Some(pushed("a", None)), holds("1"), Some(Release(place("a")))),
            (
                "another has the next name, and the first write may have arrived",
                Taken(place("b")),
                Some(pushed("a", None)),
                holds("1"),
                Some(Remove(place("a"))),
            ),
        ] {
            let slot = Slot::DssSecrets;
            let input = Input { slot, wanted: &wanted, recorded: recorded.as_ref(), in_secret: &in_secret };
            assert_eq!(input.step(), step, "{row}");
        }
    }

    #[test]
    fn an_entry_with_an_id_stays_while_the_credential_is_withdrawn() {
        use {
            InSecret::Withdrawn,
            Step::{Put, Remove, Revoke},
            Wanted::{Forbidden, Nothing, Unknown},
        };
        let slot = Slot::DataRobot;
        let at = |name: &str| Place { slot, ..place(name) };
        let (a, of_bob) = (|| Wanted::Place(at("a")), Wanted::Place(Place { login: "bob".to_owned(), ..at("a") }));
        for (row, wanted, digest, in_secret, step) in [
            ("withdrawn", a(), Some("1"), Withdrawn, Some(Revoke(at("a")))),
            ("withdrawn before the first answer", a(), None, Withdrawn, Some(Revoke(at("a")))),
            ("withdrawn, and DataRobot is away", Unknown, Some("1"), Withdrawn, Some(Revoke(at("a")))),
            ("revoked", a(), Some(REVOKED), Withdrawn, None),
            ("issued again", a(), Some(REVOKED), holds("2"), Some(Put(at("a")))),
            ("another person", of_bob.clone(), Some("1"), holds("2"), Some(Revoke(at("a")))),
            ("another person, and it is revoked", of_bob, Some(REVOKED), holds("2"), Some(Remove(at("a")))),
            ("taken out of the spec", Nothing, Some(REVOKED), Withdrawn, Some(Remove(at("a")))),
            ("no longer allowed", Forbidden, Some("1"), holds("1"), Some(Revoke(at("a")))),
            ("no longer allowed, and only claimed", Forbidden, None, holds("1"), Some(Remove(at("a")))),
        ] {
            let recorded = pushed("a", digest);
            let input = Input { slot, wanted: &wanted, recorded: Some(&recorded), in_secret: &in_secret };
            assert_eq!(input.step(), step, "{row}");
        }
    }
}
