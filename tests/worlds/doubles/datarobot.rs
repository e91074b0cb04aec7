//! A double of DataRobot: its public HTTP API (`/api/v2`), as far as keyturn and the Python client
//! use it.
//!
//! A token belongs to one account, and an account sees its own credentials and jobs only. No answer
//! holds the values of a credential. A credential is stored as it is sent, field by field: an
//! update with one of the three values of an AWS session leaves a mixture behind, and every user of
//! the credential fails. [`Behaviour`]s make the double fail in every way that matters.
//!
//! Routes, field names and the form of lists are those of the Python package `datarobot` 3.20.0,
//! which runs against the double in `real::datarobot_client`, and of DataRobot's OpenAPI document
//! 2.28.0, in the form in which `datarobot/rsdk` on GitHub has it (`datarobot.apicore`). That
//! document names these answers: a list has at most 100 objects unless a call says otherwise, and
//! the default "may change without notice"; 201 for a new credential; 409 for a name that is in
//! use, in a creation and in an update; 404 for an unknown credential; 422 for an update without a
//! field; 409 for the deletion of a credential that a data connection or a batch prediction job
//! uses; and an update that leaves out `description` but not `name` clears the description.
//!
//! No source says the following of a real DataRobot, so it is an **assumption**:
//!
//! * the texts of errors, and the object `errors` beside `message`
//! * 422 for a field that is unknown, empty, no text, or of another type of credential
//! * that an update stores the fields that it has, and checks no other
//! * that the answer to an update has no body ([`DataRobot::answers_updates_with_object`] changes
//!   it); the document names no content for it, and the Python client does not read it
//! * 403 for an account that may not use credentials
//! * 404, and not 403, for the credential or the job of another account
//! * 202 for a new job, and 422 for a job whose credential is not there or not of type `s3`
//! * the order of lists: by creation
//! * 404 for a path without its last slash, and 405 for a method that a path does not have
//!
//! * `datarobot/administration.rs`: the test as every account's owner, and DataRobot's settings
//! * `datarobot/http.rs`: the routes of the API; `datarobot/answer.rs`: the form of answers
//! * `datarobot/caller.rs`: the account of a token
//! * `datarobot/credential.rs`: credentials; `datarobot/routes.rs`: their routes
//! * `datarobot/list.rs`: pages
//! * `datarobot/job.rs`: batch predictions; `datarobot/storage.rs`: the S3 that they read

mod administration;
mod answer;
mod caller;
mod credential;
mod http;
mod job;
mod list;
mod routes;
mod storage;
#[cfg(test)]
mod tests;

pub use self::credential::{Credential, Triplet};
pub use self::list::Pages;
pub use self::storage::{Access, Operation, Storage, any_storage, storage_of};
pub use super::behaviour::Behaviour;
pub use super::server::{Call, NOBODY};

use self::caller::Account;
use self::credential::Kept;
use self::job::Job;
use super::server::Server;
use super::wire::Clock;

/// A part of the value of every token that nothing else contains.
pub const TOKEN_MARKER: &str = "LeakedDataRobotToken";

/// The `limit` of a list that names none (OpenAPI document 2.28.0).
pub const PAGE: usize = 100;

/// DataRobot. Clones are the same DataRobot.
pub type DataRobot = Server<State>;

/// The accounts, credentials and jobs of a DataRobot, and its settings.
pub struct State {
    version: String,
    accounts: Vec<Account>,
    tokens_ever: usize,
    credentials: Vec<Kept>,
    credentials_ever: usize,
    page: usize,
    pages: Pages,
    answers_updates_with_object: bool,
    jobs: Vec<Job>,
    storage: Storage,
}

impl DataRobot {
    /// A DataRobot without accounts. Its batch predictions find every object with every complete
    /// credential ([`any_storage`]).
    pub fn new(clock: Clock) -> Self {
        let state = State {
            version: "2.49.0".to_owned(),
            accounts: Vec::new(),
            tokens_ever: 0,
            credentials: Vec::new(),
            credentials_ever: 0,
            page: PAGE,
            pages: Pages::Right,
            answers_updates_with_object: false,
            jobs: Vec::new(),
            storage: any_storage(),
        };
        Self::of(clock, state)
    }
}
