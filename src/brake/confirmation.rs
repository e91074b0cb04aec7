//! The confirmation of the withdrawals that are held back: a time in an annotation.

use jiff::Timestamp;

/// The confirmation, as far as keyturn knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Confirmation {
    /// keyturn has not read it yet.
    #[default]
    Unread,
    /// Nobody has confirmed anything yet.
    Absent,
    /// Somebody confirmed the withdrawals that were held back at this time.
    At(Timestamp),
    /// The annotation holds no time.
    NoTime,
    /// The `ConfigMap` cannot be read, for this reason.
    Failed(String),
}

impl Confirmation {
    /// The confirmation in the text of the annotation, if there is one.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        match text.map(|text| text.trim().parse()) {
            None => Self::Absent,
            Some(Ok(at)) => Self::At(at),
            Some(Err(_)) => Self::NoTime,
        }
    }

    /// Whether it confirms a withdrawal that is held back since a time. A time in the future
    /// confirms nothing before it has come, because nobody has seen then what would go.
    #[must_use]
    pub(super) fn confirms(&self, since: Timestamp, now: Timestamp) -> bool {
        matches!(self, Self::At(at) if *at >= since && *at <= now)
    }

    /// Why it does not confirm a withdrawal that is held back since a time; `None` if nobody has
    /// tried.
    pub(super) fn trouble(&self, since: Timestamp, now: Timestamp) -> Option<String> {
        match self {
            Self::At(at) if *at > now => Some(format!("the last confirmation is of {at}, which is in the future")),
            Self::At(at) if *at < since => {
                Some(format!("the last confirmation is of {at}, before this withdrawal was held back"))
            }
            Self::Unread | Self::Absent | Self::At(_) => None,
            Self::NoTime => Some("the last confirmation holds no time such as 2026-01-01T00:00:00Z".to_owned()),
            Self::Failed(why) => Some(format!("keyturn cannot read the confirmation: {why}")),
        }
    }
}
