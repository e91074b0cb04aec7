//! The kinds of places, one slot of the spec each, and one place.

use crate::api::{DssPlugin, Push, PushStatus, Pushed};
use std::fmt;

/// A kind of place. A config has at most one place of each kind.
#[allow(clippy::enum_variant_names, reason = "there will be places in other systems")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// User secrets in DSS.
    DssSecrets,
    /// The login's own credential of a DSS connection.
    DssConnection,
    /// The login's own credential of a preset of a DSS plugin.
    DssPlugin,
}

/// A place in a DSS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// The login whose account has the place.
    pub login: String,
    /// The prefix of the secrets, or the key of the credential among those of the user.
    pub name: String,
}

impl Slot {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::DssSecrets, Self::DssConnection, Self::DssPlugin];

    /// The field of the spec, for messages.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::DssSecrets => "push.dssSecrets",
            Self::DssConnection => "push.dssConnection",
            Self::DssPlugin => "push.dssPlugin",
        }
    }

    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DssSecrets => "dss_secrets",
            Self::DssConnection => "dss_connection",
            Self::DssPlugin => "dss_plugin",
        }
    }

    /// The name of the place that a spec asks for; `None` if it asks for none of this kind.
    #[must_use]
    pub fn wanted_name(self, push: &Push) -> Option<String> {
        match self {
            Self::DssSecrets => push.dss_secrets.as_ref().map(|it| it.prefix.clone()),
            Self::DssConnection => push.dss_connection.as_ref().map(|it| it.connection.clone()),
            Self::DssPlugin => push.dss_plugin.as_ref().map(DssPlugin::credential_key),
        }
    }

    /// The place and its content in words, such as `user secrets "AWS_…"`.
    #[must_use]
    pub fn described(self, name: &str) -> String {
        match self {
            Self::DssSecrets => format!("user secrets \"{name}…\""),
            Self::DssConnection => format!("credential of connection \"{name}\""),
            Self::DssPlugin => format!("credential of plugin preset {}", name.replace("\"PLUGIN\", ", "")),
        }
    }
}

impl Place {
    /// The place that status records.
    #[must_use]
    pub fn of(pushed: &Pushed) -> Self {
        let Pushed { instance, login, name, .. } = pushed.clone();
        Self { instance, login, name }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of \"{}\" in DssInstance \"{}\"", self.login, self.instance)
    }
}

/// The names that a spec asks for, each with its kind.
pub fn wanted_names(push: Option<&Push>) -> impl Iterator<Item = (Slot, String)> {
    Slot::ALL.into_iter().filter_map(move |slot| Some((slot, slot.wanted_name(push?)?)))
}

/// What status records of this kind.
#[must_use]
pub fn recorded(status: Option<&PushStatus>, slot: Slot) -> Option<&Pushed> {
    let status = status?;
    match slot {
        Slot::DssSecrets => status.dss_secrets.as_ref(),
        Slot::DssConnection => status.dss_connection.as_ref(),
        Slot::DssPlugin => status.dss_plugin.as_ref(),
    }
}

/// Everything that status records, each with its kind.
pub fn all_recorded(status: Option<&PushStatus>) -> impl Iterator<Item = (Slot, &Pushed)> {
    Slot::ALL.into_iter().filter_map(move |slot| Some((slot, recorded(status, slot)?)))
}

/// Records this of a kind.
pub fn set_recorded(status: &mut PushStatus, slot: Slot, pushed: Option<Pushed>) {
    *match slot {
        Slot::DssSecrets => &mut status.dss_secrets,
        Slot::DssConnection => &mut status.dss_connection,
        Slot::DssPlugin => &mut status.dss_plugin,
    } = pushed;
}
