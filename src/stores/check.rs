//! Checks an API key of DSS before keyturn delivers it: DSS has to say that it is a personal API
//! key of the login, and that it is no administrator's.
//!
//! A personal key has exactly the rights of its user. A global key can act as the same user
//! (`dssUserForImpersonation`) and have other rights, such as those of an administrator. It is
//! therefore not enough that DSS names the right user. A personal key of an administrator may act
//! as every user (`X-DKU-ProxyUser`), so that it needs a permission of its own.

use crate::{
    api::Reason,
    credentials::{IssueError, Retry},
    dss::{AuthInfo, Dss, DssError, KeyKind},
    dss_keys::DssRequest,
};
use secrecy::{ExposeSecret as _, SecretString};

/// Passes if DSS says that the key is a personal API key of the login in the request, and no
/// administrator's, unless the request allows it. `admin` is the DSS with the admin key.
///
/// DSS says both in its answer to a call with the key itself. If that answer does not say the kind
/// of the key, the list of all personal keys decides about a key that keyturn has just created:
/// `created` is the ID that DSS gave it. The list decides about no other key, because nothing ties
/// the value of such a key to an ID in the list.
pub(super) async fn check(
    admin: &Dss,
    request: &DssRequest,
    key: &SecretString,
    created: Option<&str>,
) -> Result<(), IssueError> {
    let info = admin.with_key(key).auth_info().await.map_err(|error| of_own_key(request, &error))?;
    if info.login() != Some(request.login.as_str()) {
        return Err(of_another_user(request, &info, key));
    }
    match info.kind() {
        KeyKind::Personal => {}
        KeyKind::Other => return Err(not_personal(request, info.named_kind())),
        KeyKind::Unsaid => match created {
            Some(id) if is_listed(admin, request, id).await? => {}
            _ => return Err(of_unsaid_kind(request)),
        },
    }
    is_no_administrators(&admin.with_key(key), request).await
}

/// Passes if DSS refuses the caller what only administrators may do, or if the request allows the
/// key of an administrator.
pub(super) async fn is_no_administrators(caller: &Dss, request: &DssRequest) -> Result<(), IssueError> {
    if request.admin_keys {
        return Ok(());
    }
    match caller.may_administer(&request.login).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(of_administrator(request)),
        Err(error) => {
            let mut unknown = IssueError::of_dss(&error);
            unknown.why.message = format!(
                "the API key of \"{}\" is not delivered while it is not known whether it is an administrator's: {}",
                request.login, unknown.why.message
            );
            Err(unknown)
        }
    }
}

/// Whether the list of all personal keys has this ID under the login of the request.
pub(super) async fn is_listed(admin: &Dss, request: &DssRequest, id: &str) -> Result<bool, IssueError> {
    let listed = admin.personal_keys().await.map_err(|error| IssueError::of_dss(&error))?;
    Ok(listed.iter().any(|key| key.id == id && key.user == request.login))
}

/// The failure of a call that keyturn made with the API key itself.
fn of_own_key(request: &DssRequest, error: &DssError) -> IssueError {
    if error.kind.passes() {
        return IssueError::of_dss(error);
    }
    let message = format!(
        "DSS does not accept the API key of \"{login}\": {error}; it is not delivered; put a valid personal API key of \"{login}\" \
         into the Secret that spec.dss.apiKeySecretRef names, or set spec.dss.apiKey to Personal; if keyturn has just created the key, a \
         DSS admin checks whether \"{login}\" may use personal API keys",
        login = request.login,
    );
    IssueError::new(Reason::DssDenied, Retry::Durable, message)
}

fn of_another_user(request: &DssRequest, info: &AuthInfo, key: &SecretString) -> IssueError {
    // Releases of DSS before 14 address a global key by its value, which may then be its ID too.
    let login = info.login().filter(|login| !login.contains(key.expose_secret()));
    let whose = login.map_or("nobody's".to_owned(), |login| format!("\"{login}\"'s"));
    let message = format!(
        "DssInstance \"{}\" says that the API key is {whose}, and it has to be \"{}\"'s; it is not delivered",
        request.instance, request.login
    );
    IssueError::new(Reason::DssUserMismatch, Retry::Durable, message)
}

fn not_personal(request: &DssRequest, kind: Option<&str>) -> IssueError {
    let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or("of an unknown kind");
    let message = format!(
        "DssInstance \"{}\" says that the API key acts as \"{login}\", but is no personal API key (GET auth/info with the key: \
         authSource is {kind}); it is not delivered; \"{login}\" creates a personal API key in DSS under Profile > API keys",
        request.instance,
        login = request.login,
    );
    IssueError::new(Reason::DssKeyNotPersonal, Retry::Durable, message)
}

fn of_unsaid_kind(request: &DssRequest) -> IssueError {
    let message = format!(
        "DssInstance \"{}\" says that the API key acts as \"{login}\", but not of which kind it is (GET auth/info with the key: no \
         authSource); it is not delivered, because it may be a global API key; with spec.dss.apiKey Personal, keyturn creates a \
         personal API key of \"{login}\" and finds it in DSS's list of such keys",
        request.instance,
        login = request.login,
    );
    IssueError::new(Reason::DssKeyNotPersonal, Retry::Durable, message)
}

fn of_administrator(request: &DssRequest) -> IssueError {
    let message = format!(
        "DssInstance \"{}\" lets the API key of \"{login}\" do what only administrators of DSS may (GET admin/users/{login}); it is \
         not delivered, because such a key may act as every user; a cluster admin can set adminKeys: true in the entry of spec.allow \
         for this namespace and person, or a DSS admin can take \"{login}\" out of the administrators",
        request.instance,
        login = request.login,
    );
    IssueError::new(Reason::DssAdminKey, Retry::Durable, message)
}
