//! The S3 that batch predictions read and write with a stored credential.
//!
//! The test decides what it is: an S3 that believes everybody, one that knows the sessions of the
//! STS double, or a real one on another port.

use std::pin::Pin;
use std::sync::Arc;

use super::Triplet;
use crate::doubles::sts::Sts;
use crate::doubles::wire::Clock;

/// A request of DataRobot to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The credential that signs the request.
    pub triplet: Triplet,
    /// `s3://bucket/key`.
    pub url: String,
    /// The endpoint that the job names (`endpointUrl`), if it is not AWS' own.
    pub endpoint_url: Option<String>,
    /// What is asked.
    pub operation: Operation,
}

/// What DataRobot asks of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads the object.
    Read,
    /// Writes this object.
    Write(Vec<u8>),
}

/// An S3. It answers a read with the object, and a write with nothing. An error is the message of
/// AWS, which DataRobot repeats.
pub type Storage = Arc<dyn Fn(Access) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>> + Send + Sync>;

/// A data set of two rows.
const DATA_SET: &[u8] = b"amount,country\n10,FR\n20,DE\n";

/// An S3 that finds every object for everybody.
pub fn any_storage() -> Storage {
    Arc::new(|_| Box::pin(async { Ok(DATA_SET.to_vec()) }))
}

/// An S3 that believes only sessions that this STS issued and that have not expired by this clock.
/// The three values have to be of one session. The errors have the codes of S3
/// (`List of error codes` in its API reference).
pub fn storage_of(sts: &Sts, clock: Clock) -> Storage {
    let sts = sts.clone();
    Arc::new(move |access| {
        let session = sts.session(&access.triplet.access_key_id);
        let believed = match session {
            None => Err("InvalidAccessKeyId"),
            Some(session) if session.secret_access_key != access.triplet.secret_access_key => {
                Err("SignatureDoesNotMatch")
            }
            Some(session) if Some(&session.session_token) != access.triplet.session_token.as_ref() => {
                Err("InvalidToken")
            }
            Some(session) if session.expiration <= clock() => Err("ExpiredToken"),
            Some(_) => Ok(DATA_SET.to_vec()),
        };
        Box::pin(async move { believed.map_err(str::to_owned) })
    })
}
