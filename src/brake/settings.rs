//! The settings of the brake, and the texts that quote them.

use crate::{
    api::{Reason, Statement, names::WITHDRAWALS_CONFIRMED},
    clock::whole_seconds,
};
use jiff::Timestamp;

/// More withdrawals at once than this are reported as one, if there is no brake.
const MANY: usize = 5;

/// The `ConfigMap` of keyturn's release that confirms withdrawals. Events about many withdrawals
/// are about it, because the grant that is missing cannot have any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapName {
    /// Its namespace: that of the release.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The settings of the brake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most credentials that go within [`super::AT_ONCE`] without a confirmation; `None` for no
    /// brake.
    pub limit: Option<usize>,
    /// The object that confirms.
    pub config_map: ConfigMapName,
}

impl Settings {
    /// More withdrawals at once than this are reported as one.
    pub(super) fn many(&self) -> usize {
        self.limit.unwrap_or(MANY)
    }

    /// The command that confirms all withdrawals that are held back now.
    #[must_use]
    pub fn command(&self) -> String {
        let ConfigMapName { namespace, name } = &self.config_map;
        format!(
            "kubectl -n {namespace} annotate configmap {name} --overwrite {WITHDRAWALS_CONFIRMED}=\"$(date -u +%FT%TZ)\""
        )
    }

    /// The limit, in words.
    pub(super) fn limit_in_words(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        format!("more than {limit} (withdrawalBrake) credentials would go within 60 s")
    }

    pub(super) fn held(&self, why: &Statement, until: Timestamp, trouble: Option<String>) -> Statement {
        let trouble = trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let message = format!(
            "{}. keyturn renews nothing, and leaves the credential in the Secret until {}, because {}. If it shall go \
             earlier, a cluster admin confirms all that is held back now: {}{trouble}",
            why.message,
            whole_seconds(until),
            self.limit_in_words(),
            self.command()
        );
        Statement::new(Reason::WithdrawalHeld, message)
    }
}
