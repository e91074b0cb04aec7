//! What is known of one login of a DSS.

use super::User;
use std::sync::Arc;

/// The cached state of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenUser {
    /// Unknown, because the users have not been listed since the process started.
    Unread,
    /// The last listing does not show the user, or not fully, and DSS has not been asked for the
    /// user by name.
    Unlisted,
    /// DSS answered that there is no such user.
    Missing,
    /// The user.
    There(Arc<User>),
}
