//! Who may ask, and which service is asked: the host, the signature, the service of the credential scope.

use std::{sync::Arc, time::Duration};

use http::{
    Method, Request, Response, StatusCode, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use s3s::Body;
use serde_json::json;

use crate::{
    Caller, Context,
    batch::Batch,
    call::{Call, LostReply, Service},
    container_agent,
    credentials::{Keys, same},
    faults::LoseReply,
    logs::Logs,
    s3::S3,
    sigv4::{Claim, SignatureError},
    status, sts,
    wire::{Failure, Protocol, document},
};

/// Longest body of a JSON call; what Batch takes is far below.
const MAX_BODY: usize = 1 << 20;
/// For a JSON body to come in.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);
/// Where `ferroflow dev status` asks; it shows the stack's token.
pub const STATUS_PATH: &str = "/_stack/status";

/// All services of a stack behind one port.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) context: Arc<Context>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) token: String,
    pub(crate) port: u16,
    pub(crate) batch: Arc<Batch>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) s3: S3,
}

impl Services {
    /// Answers a request, or closes the connection.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, LostReply> {
        let (parts, body) = request.into_parts();
        if !self.is_for_us(&parts) {
            let message = "this server answers to 127.0.0.1 and localhost only";
            return Ok(refused(StatusCode::MISDIRECTED_REQUEST, message));
        }
        match Claim::of(&parts) {
            Ok(Some(claim)) => self.signed(claim, parts, body).await,
            Ok(None) => Ok(self.unsigned(&parts).await),
            Err(error) => Ok(denied(protocol_of(&parts), &error)),
        }
    }

    /// A page of another name that leads to this address, as after DNS rebinding, gets nothing.
    fn is_for_us(&self, parts: &Parts) -> bool {
        let of_header = || parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok();
        let host: Option<Authority> = parts.uri.authority().cloned().or_else(of_header);
        host.is_some_and(|host| {
            ["127.0.0.1", "localhost"].contains(&host.host()) && host.port_u16() == Some(self.port)
        })
    }

    async fn unsigned(&self, parts: &Parts) -> Response<Body> {
        if parts.uri.path() == STATUS_PATH && parts.method == Method::GET {
            return if same(container_agent::authorization(&parts.headers), &self.token) {
                document(StatusCode::OK, &status::counts(&self.batch).await)
            } else {
                refused(StatusCode::FORBIDDEN, "the token is wrong")
            };
        }
        let answer = container_agent::answer(&self.context, &self.keys, &self.batch, parts).await;
        if let Some((status, body)) = answer {
            return document(status, &body);
        }
        let protocol = protocol_of(parts);
        protocol.failure(&Failure::new(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token: requests to the embedded stack are signed; `ferroflow dev env` prints the keys",
        ))
    }

    async fn signed(
        &self,
        claim: Claim,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Body>, LostReply> {
        let protocol = match claim.service.as_str() {
            "s3" => Protocol::Xml,
            "batch" => Protocol::RestJson,
            "logs" => Protocol::AwsJson,
            "sts" => Protocol::Query,
            other => return Ok(no_such_service(other, protocol_of(&parts))),
        };
        let began = self.context.clock.now_ms();
        let mut by = Caller::of(&parts.headers);
        let secret = match self.keys.secret(&claim, &mut by) {
            Ok(secret) => secret,
            Err(error) => return Ok(denied(protocol, &error)),
        };
        if protocol == Protocol::Xml {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(by);
            let response = self.s3.call(request).await;
            return match response.extensions().get::<LoseReply>() {
                Some(_) => Err(LostReply),
                None => Ok(response),
            };
        }
        let body = match read(body).await {
            Ok(body) => body,
            Err(failure) => return Ok(protocol.failure(&failure)),
        };
        let now = Timestamp::from_millisecond(self.context.clock.now_ms()).unwrap_or_default();
        if let Err(error) = claim.verify(&parts, &body, &secret, now) {
            return Ok(denied(protocol, &error));
        }
        if protocol == Protocol::Query {
            let form = match parts.method {
                Method::GET => parts.uri.query().unwrap_or_default().into(),
                _ => String::from_utf8_lossy(&body),
            };
            return Ok(sts::call(
                &self.context,
                &self.keys,
                &form,
                by.job.as_deref(),
            ));
        }
        match self.named(protocol, &parts, body) {
            Ok((service, operation, body)) => {
                let call = Call {
                    service,
                    operation,
                    body,
                    by,
                    began,
                };
                call.make(Arc::clone(&self.context)).await
            }
            Err(failure) => Ok(protocol.failure(&failure)),
        }
    }

    /// Service, operation and body that a request names.
    fn named(
        &self,
        protocol: Protocol,
        parts: &Parts,
        body: Vec<u8>,
    ) -> Result<(Service, String, Vec<u8>), Failure> {
        if protocol == Protocol::AwsJson {
            let target = parts.headers.get("x-amz-target");
            let target = target
                .and_then(|t| t.to_str().ok())
                .and_then(|t| t.split_once('.'));
            let (_, operation) =
                target.ok_or_else(|| Failure::new(400, "UnknownOperationException", ""))?;
            let logs = Service::Logs(Arc::clone(&self.logs));
            return Ok((logs, operation.to_owned(), body));
        }
        let path = parts.uri.path();
        let operation = Batch::operation(parts.method.as_str(), path).ok_or_else(|| {
            let message = format!("Batch has no operation `{} {path}`", parts.method);
            Failure::new(404, "UnknownOperationException", message)
        })?;
        let body = if path.starts_with("/v1/tags/") {
            let query = parts
                .uri
                .path_and_query()
                .and_then(PathAndQuery::query)
                .unwrap_or_default();
            Batch::tag_body(path, query, &body)
                .ok_or_else(|| Failure::new(400, "ClientException", "The body is no JSON object"))?
        } else {
            body
        };
        Ok((
            Service::Batch(Arc::clone(&self.batch)),
            operation.to_owned(),
            body,
        ))
    }
}

async fn read(body: Incoming) -> Result<Vec<u8>, Failure> {
    let read = Limited::new(body, MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::new(
            413,
            "RequestEntityTooLargeException",
            format!("The body is longer than {MAX_BODY} bytes"),
        )),
        Ok(Err(error)) => Err(Failure::new(400, "ClientException", error.to_string())),
        Err(_) => Err(Failure::new(
            408,
            "RequestTimeoutException",
            "The body did not come",
        )),
    }
}

/// The protocol of a request that is not signed, as far as it can be told, so that clients can read the refusal.
fn protocol_of(parts: &Parts) -> Protocol {
    if parts.headers.contains_key("x-amz-target") {
        Protocol::AwsJson
    } else if Batch::operation(parts.method.as_str(), parts.uri.path()).is_some() {
        Protocol::RestJson
    } else {
        Protocol::Xml
    }
}

fn denied(protocol: Protocol, error: &SignatureError) -> Response<Body> {
    let code = match (protocol, error) {
        (Protocol::Xml, SignatureError::UnknownKey) => "InvalidAccessKeyId",
        (Protocol::Query, SignatureError::UnknownKey) => "InvalidClientTokenId",
        (Protocol::Query, SignatureError::Mismatch) => "SignatureDoesNotMatch",
        _ => error.code(),
    };
    protocol.failure(&Failure::new(403, code, error.to_string()))
}

/// What no service answers; for people rather than programs.
fn refused(status: StatusCode, message: &str) -> Response<Body> {
    document(status, &json!({"message": message}))
}

fn no_such_service(name: &str, protocol: Protocol) -> Response<Body> {
    let message =
        format!("the embedded stack has no service `{name}`: it has batch, logs, s3 and sts");
    let failure = Failure::new(501, "UnknownServiceException", message);
    protocol.failure(&failure)
}
