//! `GetCallerIdentity`, because that is what people try first.

use http::{Response, StatusCode};
use s3s::Body;
use uuid::Uuid;

use crate::{
    Context,
    credentials::Keys,
    wire::{Failure, Protocol, escaped, response},
};

/// Answers a call of AWS STS; `form` is its body, or the query of a presigned URL.
pub(crate) fn call(
    context: &Context,
    keys: &Keys,
    form: &str,
    job_id: Option<&str>,
) -> Response<Body> {
    let mut fields = form.split('&');
    let action = fields.find_map(|field| field.strip_prefix("Action="));
    if action != Some("GetCallerIdentity") {
        let message = format!(
            "the embedded stack has no STS operation `{}`, only GetCallerIdentity",
            action.unwrap_or_default()
        );
        return Protocol::Query.failure(&Failure::new(400, "InvalidAction", message));
    }
    let (id, arn) = keys.caller(job_id);
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        escaped(&arn),
        escaped(&id),
        context.account,
        Uuid::new_v4(),
    );
    response(StatusCode::OK, "text/xml", body)
}
