//! The XML of STS's answers.
//!
//! Element names and nesting are what the SDK reads. Every answer, right or wrong, carries STS's
//! `Date` and a request ID, as the real one's do. The operator corrects its clock by `Date`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;

use super::behaviour::Refusal;
use super::session::Issued;
use crate::doubles::wire::http_date;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const XML: &str = "text/xml";

/// The common part of every answer: STS's time and the number of the request.
pub(super) struct Envelope {
    pub(super) date: Timestamp,
    pub(super) request_id: String,
}

impl Envelope {
    /// The answer to an action that issues a session.
    pub(super) fn issued(&self, action: &str, session: &Issued, source_identity: Option<&str>) -> Response {
        let source_identity = source_identity.map_or(String::new(), |source_identity| {
            format!("<SourceIdentity>{}</SourceIdentity>", escaped(source_identity))
        });
        self.result(
            action,
            &format!(
                "<AssumedRoleUser><AssumedRoleId>AROA{number:0>17}:{name}</AssumedRoleId>\
                 <Arn>{arn}</Arn></AssumedRoleUser>\
                 <Credentials><AccessKeyId>{key}</AccessKeyId>\
                 <SecretAccessKey>{secret}</SecretAccessKey>\
                 <SessionToken>{token}</SessionToken>\
                 <Expiration>{end}</Expiration></Credentials>{source_identity}",
                number = session.number,
                name = escaped(&session.session_name),
                arn = escaped(&session.arn),
                key = session.access_key_id,
                secret = session.secret_access_key,
                token = session.session_token,
                end = session.expiration,
            ),
        )
    }

    pub(super) fn get_caller_identity(&self, arn: &str) -> Response {
        let account = arn.split(':').nth(4).unwrap_or_default();
        self.result(
            "GetCallerIdentity",
            &format!("<Arn>{}</Arn><UserId>AIDAKEYTURNTESTS00001</UserId><Account>{account}</Account>", escaped(arn)),
        )
    }

    fn result(&self, action: &str, result: &str) -> Response {
        let body = format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
             <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
            self.request_id
        );
        self.raw(StatusCode::OK, XML, body)
    }

    pub(super) fn refusal(&self, refusal: &Refusal) -> Response {
        let fault = if refusal.status.is_server_error() { "Receiver" } else { "Sender" };
        let body = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
            escaped(&refusal.code),
            escaped(&refusal.message),
            self.request_id
        );
        self.raw(refusal.status, XML, body)
    }

    pub(super) fn broken_xml(&self) -> Response {
        let body = format!(
            "<AssumeRoleResponse xmlns=\"{NAMESPACE}\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIABROKEN"
        );
        self.raw(StatusCode::OK, XML, body)
    }

    pub(super) fn empty(&self) -> Response {
        self.raw(StatusCode::OK, XML, String::new())
    }

    pub(super) fn proxy_error_page(&self) -> Response {
        let body = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>Bad Gateway</h1><hr>proxy</body></html>";
        self.raw(StatusCode::BAD_GATEWAY, "text/html", body.to_owned())
    }

    fn raw(&self, status: StatusCode, content_type: &'static str, body: String) -> Response {
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::DATE, header_value(&http_date(self.date)));
        headers.insert("x-amzn-requestid", header_value(&self.request_id));
        answer
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("plain ASCII")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
