//! Roles with variables in `spec.role`. keyturn fills the variables in with data that
//! administrators of DSS recorded about the person.

use super::RoleArn;
use std::fmt;

/// A role with variables in it, such as `${adminProperty:associatedRole}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// A variable, spelled as in DSS ("Variables expansion" and "Per-user credentials" in DSS's
/// reference documentation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `${adminProperty:NAME}`: an admin property of the user.
    AdminProperty(String),
    /// `${dssUserLogin}`: the user's login.
    Login,
}

/// A text that is not a role with variables. It holds at most the first 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} holds something that is no variable here; there are ${{adminProperty:NAME}} and ${{dssUserLogin}} (user properties, \
     which users edit themselves, name no roles)"
)]
pub struct InvalidTemplate(String);

/// The reason why a filled-in template is not a role. It never quotes the text, because only the
/// administrators of DSS may see the value of an admin property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRole {
    /// The text is neither an ARN nor a name.
    #[error("does not hold the ARN of a role")]
    Invalid,
    /// The text is the name of a role, and the `DssInstance` sets no AWS account for it.
    #[error("holds the name of a role and not its ARN; awsAccountId of the DssInstance would complete it")]
    NoAccount,
}

impl RoleTemplate {
    /// Whether the text of a role holds variables.
    #[must_use]
    pub fn is_one(role: &str) -> bool {
        role.contains('$')
    }

    /// Parses a role with variables.
    ///
    /// # Errors
    /// `InvalidTemplate` if the text holds a `$` that does not begin a known variable.
    pub fn read(text: &str) -> Result<Self, InvalidTemplate> {
        let invalid = || InvalidTemplate(text.chars().take(200).collect());
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            let (name, after) = from.strip_prefix("${").and_then(|from| from.split_once('}')).ok_or_else(invalid)?;
            let variable = match name.strip_prefix("adminProperty:") {
                Some(property) if !property.is_empty() => Variable::AdminProperty(property.to_owned()),
                None if name == "dssUserLogin" => Variable::Login,
                _ => return Err(invalid()),
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The names of the admin properties that the template asks for.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(Variable::AdminProperty(name)) => Some(name.as_str()),
            Part::Variable(Variable::Login) | Part::Text(_) => None,
        })
    }

    /// The text of the role with a value for each variable. `value` returns the value of a
    /// variable.
    ///
    /// # Errors
    /// The first error that `value` returns.
    pub fn fill<E>(&self, value: impl Fn(&Variable) -> Result<String, E>) -> Result<String, E> {
        let filled = self.parts.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Variable(variable) => value(variable),
        });
        filled.collect()
    }
}

impl fmt::Display for RoleTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdminProperty(name) => write!(f, "${{adminProperty:{name}}}"),
            Self::Login => f.write_str("${dssUserLogin}"),
        }
    }
}

/// The role that a filled-in text names: an ARN as it is, or a name (with its path), which
/// `account` and `partition` complete. Both forms are accepted, because DSS documents the name and
/// people write the ARN.
///
/// # Errors
/// [`NoRole`] if the text is invalid, or is a name while `account` is `None`.
pub fn role_named(text: &str, partition: &str, account: Option<&str>) -> Result<RoleArn, NoRole> {
    let text = text.trim();
    if text.starts_with("arn:") || text.is_empty() {
        return text.parse().map_err(|_| NoRole::Invalid);
    }
    let name = text.strip_prefix('/').unwrap_or(text);
    let in_account = |account: &str| format!("arn:{partition}:iam::{account}:role/{name}").parse::<RoleArn>();
    match account {
        Some(account) => in_account(account).map_err(|_| NoRole::Invalid),
        None if in_account(ANY_ACCOUNT).is_ok() => Err(NoRole::NoAccount),
        None => Err(NoRole::Invalid),
    }
}

/// An account with which a name is tried, to find out whether it is one.
const ANY_ACCOUNT: &str = "000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> String {
        let template = RoleTemplate::read(template).unwrap();
        let value = |variable: &Variable| match variable {
            Variable::AdminProperty(name) => Ok(format!("<{name}>")),
            Variable::Login => Ok::<_, ()>("alice".to_owned()),
        };
        template.fill(value).unwrap()
    }

    #[test]
    fn variables_are_filled_in_wherever_they_stand() {
        assert_eq!(filled("${adminProperty:associatedRole}"), "<associatedRole>");
        assert_eq!(
            filled("arn:aws:iam::123456789012:role/dss-${dssUserLogin}"),
            "arn:aws:iam::123456789012:role/dss-alice"
        );
        assert_eq!(filled("${adminProperty:team}/${dssUserLogin}"), "<team>/alice");
    }

    #[test]
    fn the_properties_of_a_template_are_those_that_it_asks_for() {
        let template = RoleTemplate::read("${adminProperty:a}/${dssUserLogin}-${adminProperty:b}").unwrap();
        assert_eq!(template.properties().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn unknown_variables_are_refused() {
        for text in
            ["${userProperty:role}", "${", "$x", "${adminProperty:}", "${adminproperty:x}", "${dssUserLogin", "$${x}"]
        {
            assert!(RoleTemplate::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_completed_and_an_arn_is_not() {
        let named = |text, account| role_named(text, "aws-cn", account).map(|role| role.to_string());
        let account = Some("123456789012");
        assert_eq!(named("analyst", account).unwrap(), "arn:aws-cn:iam::123456789012:role/analyst");
        assert_eq!(named("/team/analyst", account).unwrap(), "arn:aws-cn:iam::123456789012:role/team/analyst");
        assert_eq!(named(" arn:aws:iam::210987654321:role/x\n", account).unwrap(), "arn:aws:iam::210987654321:role/x");
        assert_eq!(named("analyst", None), Err(NoRole::NoAccount));
        assert_eq!(named("pass word!", None), Err(NoRole::Invalid), "no name of a role");
        for text in ["", "a b", "role:x", "arn:aws:iam::123456789012:user/x", "x\nrole_arn = y"] {
            assert_eq!(named(text, account), Err(NoRole::Invalid), "{text}");
        }
    }
}
