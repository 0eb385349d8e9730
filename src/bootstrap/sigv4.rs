//! Signature version 4 in the headers of a request: job roles may refuse presigned URLs.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};

/// A request to S3, before it is signed.
#[derive(Debug)]
pub(crate) struct Unsigned<'a> {
    /// Its method.
    pub(crate) method: &'a str,
    /// Its URL, with the key already encoded.
    pub(crate) url: &'a str,
    /// Its headers, without `host`.
    pub(crate) headers: &'a [(&'static str, String)],
    /// SHA-256 of its body in hexadecimal.
    pub(crate) body_sha256: &'a str,
}

/// The headers that sign a request to S3.
pub(crate) fn signature(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    region: &str,
    time: SystemTime,
) -> Result<Vec<(&'static str, String)>, SigningError> {
    let mut settings = SigningSettings::default();
    // S3 signs the path as it is sent, and wants the hash of the body among the headers.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(time)
        .settings(settings)
        .build()
        .expect("every field of the parameters is set")
        .into();
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Precomputed(request.body_sha256.to_owned());
    let signable = SignableRequest::new(request.method, request.url, headers, body)?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers
        .iter()
        .map(|header| (header.name(), header.value().to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, UNIX_EPOCH},
    };

    use serde::Deserialize;

    use super::*;
    use crate::s3::Payload;

    /// A request signed by botocore's `S3SigV4Auth` at 2024-02-29T12:34:56Z.
    #[derive(Deserialize)]
    struct Case {
        method: String,
        url: String,
        headers: BTreeMap<String, String>,
        body: String,
        token: Option<String>,
        region: String,
        signed: BTreeMap<String, String>,
    }

    #[test]
    fn signatures_are_botocores() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("testdata/botocore_signatures.json")).unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let headers: Vec<(&'static str, String)> = case
                .headers
                .iter()
                .map(|(name, value)| (&*name.clone().leak(), value.clone()))
                .collect();
            let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
            let credentials = Credentials::new("AKIDEXAMPLE", secret, case.token, None, "test");
            let request = Unsigned {
                method: &case.method,
                url: &case.url,
                headers: &headers,
                body_sha256: &case.body.into_bytes().sha256(),
            };
            let time = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
            let signed: BTreeMap<String, String> =
                signature(&request, &credentials, &case.region, time)
                    .unwrap()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
            assert_eq!(signed, case.signed, "{} {}", case.method, case.url);
        }
    }
}
