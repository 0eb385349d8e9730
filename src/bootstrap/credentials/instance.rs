//! Credentials of the instance's role, by version 2 of its metadata service.

use aws_credential_types::Credentials;
use ureq::http::Request;

use super::{CredentialsError, Document, ask};
use crate::{environment::Environment, http::Http, settings::Settings};

const WHAT: &str = "the instance metadata service";
const PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// Asks the metadata service. Whatever goes wrong means that there are no credentials at all,
/// since this is the last source.
pub(super) fn credentials(
    http: &Http,
    environment: &Environment,
    settings: &Settings,
) -> Result<Credentials, CredentialsError> {
    let disabled = environment.text("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(CredentialsError::None { source: None });
    }
    let host = environment
        .text("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or(&settings.instance_metadata)
        .trim_end_matches('/');
    from_service(http, host).map_err(|source| match source {
        transient if transient.is_transient() && !is_unreachable(&transient) => transient,
        source => CredentialsError::None {
            source: Some(Box::new(source)),
        },
    })
}

/// A service that cannot be reached is not there: no reason to try again for a minute.
fn is_unreachable(error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::NoAnswer { .. })
}

fn from_service(http: &Http, host: &str) -> Result<Credentials, CredentialsError> {
    let agent = http.direct();
    let token = Request::put(format!("{host}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        .body(Vec::new());
    let token = ask(WHAT, agent, token)?;
    let get = |url: &str| {
        let request = Request::get(url).header("x-aws-ec2-metadata-token", &token);
        ask(WHAT, agent, request.body(()))
    };
    let url = format!("{host}{PATH}");
    let roles = get(&url)?;
    let role = roles
        .lines()
        .next()
        .ok_or(CredentialsError::Nonsense { what: WHAT })?;
    Document::parse(WHAT, &get(&format!("{url}{role}"))?)
}
