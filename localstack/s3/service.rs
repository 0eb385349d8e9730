//! S3 as the server sees it.

use std::{fmt, io, sync::Arc};

use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_RANGE, HeaderMap},
};
use s3s::{
    Body, S3Error,
    auth::S3Auth,
    service::{S3Service, S3ServiceBuilder},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    drain::Shared,
    failure,
    operations::Operations,
    store::{self, Store},
    watch::{Seen, Watch, injected},
};
use crate::{
    Caller, Context,
    call::skew_date,
    faults::{Fault, LoseReply},
};

/// The S3 service of a stack. Clones share the store.
#[derive(Clone)]
pub struct S3 {
    pub(super) store: Arc<Store>,
    service: S3Service,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

impl S3 {
    /// Opens `<context.folder>/s3`. One process at a time may have it open.
    pub fn open(context: Arc<Context>, keys: impl S3Auth) -> io::Result<Self> {
        let store = Arc::new(Store::open(context.clone())?);
        let mut builder = S3ServiceBuilder::new(Operations(store.clone()));
        builder.set_auth(keys);
        builder.set_access(Watch(context));
        let service = builder.build();
        Ok(Self { store, service })
    }

    /// Answers one request. Its signature is verified against the keys; a session token is not looked at. A reply that a
    /// fault wants lost has the extension [`LoseReply`]: the server closes the connection instead of sending it.
    pub async fn call(&self, request: Request<impl Into<Body>>) -> Response<Body> {
        let context = &self.store.context;
        let began = context.clock.now_ms();
        let (parts, body) = request.into_parts();
        let body = Shared::new(body.into());
        let mut request = Request::from_parts(parts, Body::http_body(body.clone()));
        let seen = Seen::default();
        let by = request.extensions().get::<Caller>().cloned();
        let by = by.unwrap_or_else(|| Caller::of(request.headers()));
        request.extensions_mut().insert(seen.clone());
        request.extensions_mut().insert(by.clone());
        let answer = store::WRITER
            .scope(by.clone(), self.service.call(request))
            .await;
        let mut response = answer.unwrap_or_else(|error| {
            let error = s3s::StdError::from(error);
            response_of(failure::internal(io::Error::other(error)))
        });
        if response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
            // `s3s` says so for GET only.
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let call = seen.call();
        match call.fault() {
            Some(Fault::RefuseAfterEffect { status, code }) => {
                response = response_of(injected(*status, code));
            }
            Some(Fault::LoseReply | Fault::HangUp) => {
                response.extensions_mut().insert(LoseReply);
            }
            Some(Fault::SkewDate(seconds)) => skew_date(context, &mut response, *seconds),
            _ => {}
        }
        if !response.status().is_success() {
            body.drain().await;
        }
        add_request_id(response.headers_mut());
        let mut detail = json!({
            "operation": call.operation,
            "bucket": call.bucket,
            "key": call.key,
            "status": response.status().as_u16(),
            "began": began,
            "by": by,
        });
        if let Some(fired) = call.fired {
            detail["fault"] = json!(fired.fault);
            detail["rule"] = fired.rule.into();
        }
        context.record("s3.call", detail);
        response
    }

    /// Makes the bucket unless it is there. The name must be one that S3 allows.
    pub fn create_bucket_if_missing(&self, name: &str) -> io::Result<()> {
        if !s3s::path::check_bucket_name(name) {
            let text = format!("`{name}` is not the name of a bucket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let done = self.store.create_bucket_if_missing(name);
        done.map_err(io::Error::other)
    }
}

fn response_of(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn add_request_id(headers: &mut HeaderMap) {
    let id = Uuid::new_v4().simple().to_string()[..16].to_uppercase();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-amz-request-id"), id);
    }
}
