//! The ways out of the process: the proxies that the environment names, and the connection to the
//! API server.
//!
//! keyturn reads the variables once, and gives the same [`Proxies`] to all of its clients, because
//! the libraries of these clients read the variables each in a way of its own.
//!
//! * `network/api_server.rs`: the connection to the API server
//! * `network/cause.rs`: what an error of a client comes from
//! * `network/tls.rs`: the TLS library of all clients

mod api_server;
mod cause;
mod tls;

pub use api_server::{NamedCluster, NoCluster, WATCH_SECONDS, api_server};
pub use cause::{innermost, with_cause};
pub use tls::provide_tls;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use std::{env, fmt};

/// Addresses that no proxy is asked for, whatever `NO_PROXY` says: this machine (as Go's
/// `net/http` and therefore kubectl have it), and the link-local services that give a pod its AWS
/// credentials. These are EKS Pod Identity (169.254.170.23, `fd00:ec2::23`), ECS (169.254.170.2)
/// and the instance metadata service (169.254.169.254, `fd00:ec2::254`). A proxy answers for its
/// own machine there.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10,fd00:ec2::/32";

/// The URL of a proxy. Its text may hold a password, so that `Debug` shows none of it but the host.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Uri);

impl Proxy {
    /// Reads a proxy as the variables have it: `http://host:port`, `https://host:port`,
    /// `http://user:password@host:port` or `host:port`. `named` is the name of the setting.
    ///
    /// # Errors
    /// [`InvalidProxy`] if it is nothing of this.
    pub fn new(named: &'static str, text: &str) -> Result<Self, InvalidProxy> {
        let invalid = InvalidProxy { setting: named };
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Uri = text.trim_end_matches('/').parse().map_err(|_| invalid.clone())?;
        let is_known = matches!(url.scheme_str(), Some("http" | "https"));
        if is_known && url.host().is_some_and(|host| !host.is_empty()) { Ok(Self(url)) } else { Err(invalid) }
    }

    /// Its URL, with the user and the password.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.0.host()).finish()
    }
}

/// A setting that names no proxy that keyturn can use. The value is not shown, because it may hold
/// a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting} is not the URL of a proxy that keyturn can use: it has to be http://HOST:PORT or https://HOST:PORT (with USER:PASSWORD@ before \
     HOST if the proxy wants that); SOCKS proxies are not supported"
)]
pub struct InvalidProxy {
    /// The name of the variable, or of the field of the kubeconfig.
    pub setting: &'static str,
}

/// The proxies of the environment. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    all: Option<Proxy>,
    /// The hosts that are called directly, in the form that hyper-util, reqwest and the AWS SDK
    /// read.
    direct: String,
}

impl Proxies {
    /// Reads the variables of the process: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`,
    /// each also in lower case. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`InvalidProxy`] if one of them names no proxy that keyturn can use.
    #[expect(
        clippy::disallowed_methods,
        reason = "every client of the machine reads these variables, and no flag stands for them"
    )]
    pub fn from_env() -> Result<Self, InvalidProxy> {
        Self::new(|name| env::var(name).ok())
    }

    /// The same from other variables.
    ///
    /// # Errors
    /// As for [`Proxies::from_env`].
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidProxy> {
        let set = |name| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, set(name)?)));
        let no_proxy = first(["NO_PROXY", "no_proxy"]).map(|(_, text)| text).unwrap_or_default();
        let Some(direct) = direct(&no_proxy) else { return Ok(Self::default()) };
        let proxy = |names| first(names).map(|(name, text)| Proxy::new(name, &text)).transpose();
        Ok(Self {
            http: proxy(["HTTP_PROXY", "http_proxy"])?,
            https: proxy(["HTTPS_PROXY", "https_proxy"])?,
            all: proxy(["ALL_PROXY", "all_proxy"])?,
            direct,
        })
    }

    /// The proxy for http URLs.
    #[must_use]
    pub fn http(&self) -> Option<&Proxy> {
        self.http.as_ref().or(self.all.as_ref())
    }

    /// The proxy for https URLs.
    #[must_use]
    pub fn https(&self) -> Option<&Proxy> {
        self.https.as_ref().or(self.all.as_ref())
    }

    /// The hosts, networks and addresses that are called directly, separated by commas.
    #[must_use]
    pub fn direct(&self) -> &str {
        &self.direct
    }

    /// The proxy for a URL of the API server. kubectl knows no `ALL_PROXY`, and neither does this.
    #[must_use]
    fn for_api_server(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = match url.scheme_str() {
            Some("http") => self.http.as_ref(),
            _ => self.https.as_ref(),
        };
        let any = Matcher::builder().all("http://any").no(self.direct()).build();
        proxy.filter(|_| any.intercept(url).is_some())
    }
}

/// The hosts to call directly, as the libraries read them: commas between them, `.host` for the
/// hosts below a domain. Users also write `*.host`, `host:port` and `[address]` (Go reads these),
/// and blanks between entries (curl does). A port is dropped: the host is called directly at each
/// of its ports. `None` for `*`, which is every host.
fn direct(no_proxy: &str) -> Option<String> {
    let mut hosts = vec![ALWAYS_DIRECT];
    for entry in no_proxy.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty()) {
        if entry == "*" {
            return None;
        }
        let entry = entry.strip_prefix('*').unwrap_or(entry);
        let host = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => match entry.split_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
                _ => entry,
            },
        };
        hosts.push(host);
    }
    Some(hosts.join(","))
}

#[cfg(test)]
mod tests;
