//! The connection between the operator and the doubles of DSS and DataRobot in the same process.

use crate::doubles::wire::ConnectionLost;
use axum::{
    Router,
    body::{Body, to_bytes},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use keyturn::dss::{Lost, Wire};
use tower::ServiceExt as _;

/// A connection without a socket.
#[derive(Debug)]
pub struct InProcess(pub Router);

/// The connections of a world: to the DataRobot of the host `robot.test`, and to the DSS of every
/// other.
#[derive(Debug)]
pub struct ByHost {
    /// The DataRobot.
    pub datarobot: InProcess,
    /// The DSS.
    pub others: InProcess,
}

impl Wire for ByHost {
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Response<Bytes>, Lost>> {
        let wire = if request.uri().host() == Some("robot.test") { &self.datarobot } else { &self.others };
        wire.send(request, most_bytes)
    }
}

impl Wire for InProcess {
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Response<Bytes>, Lost>> {
        let router = self.0.clone();
        Box::pin(async move {
            let answer = router.oneshot(request.map(Body::from)).await.unwrap_or_else(|never| match never {});
            let lost = |error: &dyn std::fmt::Display| Lost::Unreachable(error.to_string());
            let answer = ConnectionLost::check(answer).map_err(|error| lost(&error))?;
            let (head, body) = answer.into_parts();
            let body = to_bytes(body, most_bytes).await.map_err(|_| Lost::TooLong)?;
            Ok(Response::from_parts(head, body))
        })
    }
}
