//! The kinds of places, one slot of the spec each, and one place.

use crate::api::{AwsConfigSpec, DssPlugin, Push, PushStatus, Pushed, Reason, Statement, TokenSecretRef, names};
use std::fmt;

/// A kind of place. A config has at most one place of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// User secrets in DSS.
    #[default]
    DssSecrets,
    /// The login's own credential of a DSS connection.
    DssConnection,
    /// The login's own credential of a preset of a DSS plugin.
    DssPlugin,
    /// An S3 credential in DataRobot.
    DataRobot,
}

/// A system that has places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// Dataiku DSS, described by a `DssInstance`.
    Dss,
    /// DataRobot, described by a `DataRobotInstance`.
    DataRobot,
}

/// A place in an outside system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The kind of the place.
    pub slot: Slot,
    /// The name of the `DssInstance` or the `DataRobotInstance`.
    pub instance: String,
    /// The login of DSS whose account has the place. In DataRobot: the subject of the credential.
    /// Another person therefore has another place, and an ID in DataRobot is never of two persons.
    pub login: String,
    /// The prefix of the secrets, the key of the credential among those of the user, or the name of
    /// the credential in DataRobot.
    pub name: String,
    /// In DataRobot: the Secret with the API token for the calls; `None` for the token of the
    /// `DataRobotInstance`.
    pub token: Option<TokenSecretRef>,
}

impl Slot {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::DssSecrets, Self::DssConnection, Self::DssPlugin, Self::DataRobot];

    /// The system that has places of this kind.
    #[must_use]
    pub fn system(self) -> System {
        match self {
            Self::DssSecrets | Self::DssConnection | Self::DssPlugin => System::Dss,
            Self::DataRobot => System::DataRobot,
        }
    }

    /// The field of the spec, for messages.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::DssSecrets => "push.dssSecrets",
            Self::DssConnection => "push.dssConnection",
            Self::DssPlugin => "push.dssPlugin",
            Self::DataRobot => "push.dataRobot",
        }
    }

    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DssSecrets => "dss_secrets",
            Self::DssConnection => "dss_connection",
            Self::DssPlugin => "dss_plugin",
            Self::DataRobot => "datarobot",
        }
    }

    /// The name of the place that a spec asks for; `None` if it asks for none of this kind.
    #[must_use]
    pub fn wanted_name(self, push: &Push) -> Option<String> {
        match self {
            Self::DssSecrets => push.dss_secrets.as_ref().map(|it| it.prefix.clone()),
            Self::DssConnection => push.dss_connection.as_ref().map(|it| it.connection.clone()),
            Self::DssPlugin => push.dss_plugin.as_ref().map(DssPlugin::credential_key),
            Self::DataRobot => push.data_robot.as_ref().map(|it| it.name.clone()),
        }
    }
}

impl Slot {
    /// The name of the instance that a spec names for places of this kind; `None` if it names none.
    #[must_use]
    pub fn wanted_instance(self, spec: &AwsConfigSpec) -> Option<&str> {
        match self.system() {
            System::Dss => spec.dss.as_ref().map(|dss| dss.instance.as_str()),
            System::DataRobot => spec.push.as_ref()?.data_robot.as_ref().map(|it| it.instance.as_str()),
        }
    }
}

impl System {
    /// The kind of the object that describes an instance of the system.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Dss => "DssInstance",
            Self::DataRobot => "DataRobotInstance",
        }
    }

    /// The name of the system.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dss => "DSS",
            Self::DataRobot => "DataRobot",
        }
    }
}

impl Place {
    /// The place of this kind that status records.
    #[must_use]
    pub fn of(slot: Slot, pushed: &Pushed) -> Self {
        let Pushed { instance, login, name, token_secret_ref: token, .. } = pushed.clone();
        Self { slot, instance, login, name, token }
    }

    /// Whether two configs cannot both have their places. In DataRobot the names of an account are
    /// unique, whoever the credentials are of.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let of_account = |place: &Self| match place.slot.system() {
            System::Dss => place.clone(),
            System::DataRobot => Self { login: String::new(), ..place.clone() },
        };
        of_account(self) == of_account(other)
    }

    /// The system and the instance, such as `DssInstance "design"`.
    #[must_use]
    pub fn of_instance(&self) -> String {
        format!("{} \"{}\"", self.slot.system().kind(), self.instance)
    }
}

/// The place in words, such as `user secrets "AWS_…" of "alice" in DssInstance "design"`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.slot {
            Slot::DssSecrets => write!(f, "user secrets \"{name}…\"")?,
            Slot::DssConnection => write!(f, "credential of connection \"{name}\"")?,
            Slot::DssPlugin => write!(f, "credential of plugin preset {}", name.replace("\"PLUGIN\", ", ""))?,
            Slot::DataRobot => write!(f, "S3 credential \"{name}\"")?,
        }
        write!(f, " of \"{}\" in {}", self.login, self.of_instance())
    }
}

/// The statement that there is no Secret of this name with an API token of DataRobot that its owner
/// offers.
#[must_use]
pub fn token_not_offered(secret: &str) -> Statement {
    let message = format!(
        "there is no Secret \"{secret}\" with an API token that its owner offers to keyturn (label {}: \"{}\"), or keyturn writes that \
         Secret itself; its owner creates it, or labels it",
        names::SOURCE,
        names::SOURCE_OFFERED
    );
    Statement::new(Reason::SecretNotOffered, message)
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
        Slot::DataRobot => status.data_robot.as_ref(),
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
        Slot::DataRobot => &mut status.data_robot,
    } = pushed;
}
