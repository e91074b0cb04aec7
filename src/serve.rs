//! The endpoint in a pod, put together. It is the program `keyturn-endpoint` in a container beside
//! those of the pod's author ([`crate::inject`]), and has neither a Kubernetes client nor rights.
//!
//! The endpoint reads the mounted Secret at each request. Its answers therefore follow a renewal, a
//! rotation or a withdrawal as soon as the kubelet has brought the new files.

use crate::{
    clock::Clock,
    endpoint::{Answer, SOURCE, answer, is_the_token, unauthorized, without_credential},
    https::{Bounds, Port, serve},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use axum_server::Handle;
use futures::future::BoxFuture;
use std::{
    fs,
    future::ready,
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The path of the credential. It is that of EKS Pod Identity.
pub const PATH: &str = "/v1/credentials";
/// The file with the token, in the folder that the containers of the pod share.
pub const TOKEN_FILE: &str = "token";
/// The file with the profile that leads to no credential, in the same folder.
pub const CONFIG_FILE: &str = "config";

/// An empty credentials file, in the same folder. Keys in the home folder of an image would win.
pub const CREDENTIALS_FILE: &str = "credentials";

/// The bytes of randomness in a token.
const RANDOM: usize = 32;
/// The longest time for the connection of a probe.
const PROBED_WITHIN: Duration = Duration::from_secs(1);
/// The size of the largest file that is read, in bytes. A Secret has at most 1 MiB.
const LARGEST: u64 = 64 * 1024;

/// The endpoint of one pod.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The folder at which the Secret is mounted.
    pub secret: PathBuf,
    /// The folder for the token and the profile, which the containers of the pod share.
    pub shared: PathBuf,
}

/// A failure at the start, for the log of the container.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file could not be written or read.
    #[error("cannot {doing} {path}: {error}", path = path.display())]
    File {
        /// The attempt, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The port is taken.
    #[error(
        "cannot listen on {0}: {1}. Another container of the pod uses the port: choose another with the annotation \
         keyturn.dev/endpoint-port"
    )]
    Port(SocketAddr, io::Error),
}

/// The source of the answers to requests with the right token.
pub(crate) type Answers = Arc<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>;

/// The values for the answer to a request.
#[derive(Clone)]
struct Answering {
    token: Arc<str>,
    answers: Answers,
}

impl Endpoint {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Writes the token and the profile, and then takes the port. The startup probe therefore
    /// succeeds only once both files are there. A restarted container keeps the token, because the
    /// programs in the pod may have read it.
    ///
    /// # Errors
    /// [`ServeError`] if a file cannot be written or the port is taken.
    pub fn open(&self) -> Result<Open, ServeError> {
        let path = self.shared.join(TOKEN_FILE);
        let token = match fs::read_to_string(&path) {
            Ok(token) if is_well_formed(&token) => token,
            _ => random_token()?,
        };
        publish(&path, token.as_bytes())?;
        let config = read(&self.secret.join("config")).ok().flatten().unwrap_or_default();
        let profile = without_credential(&String::from_utf8_lossy(&config), &self.secret.to_string_lossy());
        publish(&self.shared.join(CONFIG_FILE), profile.as_bytes())?;
        publish(&self.shared.join(CREDENTIALS_FILE), &[])?;
        let listener = TcpListener::bind(self.address()).map_err(|error| ServeError::Port(self.address(), error))?;
        Ok(Open { listener, token: token.into(), source: self.secret.join(SOURCE).into() })
    }

    /// Whether the endpoint listens. The container's startup probe asks this, because the image
    /// holds no other program.
    #[must_use]
    pub fn is_up(&self) -> bool {
        TcpStream::connect_timeout(&self.address(), PROBED_WITHIN).is_ok()
    }
}

/// An endpoint that has its port.
pub struct Open {
    listener: TcpListener,
    token: Arc<str>,
    source: Arc<Path>,
}

impl Open {
    /// Answers requests until the listener fails.
    ///
    /// # Errors
    /// [`io::Error`] if the listener fails.
    pub async fn run(self, clock: Clock) -> io::Result<()> {
        let Self { listener, token, source } = self;
        let answers: Answers = Arc::new(move || {
            // The file is small and in memory (tmpfs), therefore the read does not wait.
            Box::pin(ready(match read(&source) {
                Ok(contents) => answer(contents.as_deref(), clock.now()),
                Err(error) => {
                    tracing::warn!(path = %source.display(), %error, "the mounted Secret cannot be read");
                    answer(Some(&[]), clock.now())
                }
            }))
        });
        answer_on(listener, token, answers).await
    }
}

/// Answers the requests at [`PATH`] that have the token, until the listener fails.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub(crate) async fn answer_on(listener: TcpListener, token: Arc<str>, answers: Answers) -> io::Result<()> {
    let routes = Router::new().route(PATH, get(credential)).with_state(Answering { token, answers });
    let refused = Arc::new(|| tracing::warn!("too many connections at once: one was closed"));
    listener.set_nonblocking(true)?;
    let port = Port { listener, handle: Handle::new(), bounds: Bounds::ENDPOINT, refused };
    serve(routes, port).await
}

async fn credential(State(answering): State<Answering>, headers: HeaderMap) -> Response {
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let answer =
        if is_the_token(sent, answering.token.as_bytes()) { (answering.answers)().await } else { unauthorized() };
    let Answer { status, body } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Reads a file; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut contents = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut contents).map(|_| Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_well_formed(token: &str) -> bool {
    token.len() == 2 * RANDOM && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(unix)]
fn let_everybody_read(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

/// The endpoint in a pod runs on Linux only.
#[cfg(not(unix))]
fn let_everybody_read(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Random bytes of the kernel, without the code of a cryptographic library, because the endpoint in
/// a pod has to be small.
#[cfg(unix)]
fn random_bytes() -> Result<[u8; RANDOM], ServeError> {
    let path = Path::new("/dev/urandom");
    let mut random = [0; RANDOM];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| ServeError::File { doing: "read", path: path.into(), error })?;
    Ok(random)
}

/// Random bytes of the cryptographic library.
#[cfg(not(unix))]
fn random_bytes() -> Result<[u8; RANDOM], ServeError> {
    let mut random = [0; RANDOM];
    let filled = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut random);
    let failed =
        |_| ServeError::File { doing: "make", path: "random bytes".into(), error: io::ErrorKind::Other.into() };
    filled.map_err(failed)?;
    Ok(random)
}

/// A new token, as hexadecimal digits. botocore refuses a token that holds a line end.
pub(crate) fn random_token() -> Result<String, ServeError> {
    Ok(random_bytes()?
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect())
}

/// Writes a file at once, readable for every container of the pod: they may run as other users.
fn publish(path: &Path, contents: &[u8]) -> Result<(), ServeError> {
    let new = path.with_extension("new");
    let written =
        fs::write(&new, contents).and_then(|()| let_everybody_read(&new)).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| ServeError::File { doing: "write", path: path.into(), error })
}

#[cfg(test)]
mod tests;
