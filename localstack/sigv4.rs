//! AWS Signature Version 4, checked for the services whose requests `s3s` does not check. Rules: "AWS Signature Version 4
//! for API requests" in the IAM user guide; the path is encoded twice, as for every service but S3.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header, request::Parts};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the caller's clock may be off.
const MAX_SKEW: Duration = Duration::from_mins(15);
/// Longest life of a presigned URL.
const MAX_EXPIRES: i64 = 7 * 24 * 3600;

/// Why a request is not taken for what its signature claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// There is a signature, but not in its form.
    #[error("Authorization header or query string is not in the form of Signature Version 4: {0}.")]
    Incomplete(&'static str),
    /// Nobody has this key, or not with this session token.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// Signed too long ago or in the future.
    #[error(
        "Signature expired or not yet current: {0} is more than 15 minutes from the time here."
    )]
    Skewed(String),
    /// A presigned URL that is over.
    #[error("Signature expired: the URL was valid until {0}.")]
    Expired(String),
    /// Signed by another secret, or changed on the way.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl SignatureError {
    /// AWS's name for it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::Skewed(_) | Self::Expired(_) | Self::Mismatch => "InvalidSignatureException",
        }
    }
}

/// What a request says about who signed it and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Of the key.
    pub(crate) access_key_id: String,
    /// Session token of a temporary key.
    pub(crate) session_token: Option<String>,
    /// Service of the credential scope; `s3` for S3's older signatures.
    pub(crate) service: String,
    signed: Option<Signed>,
}

/// The parts of a signature of version 4.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signed {
    /// `20260131/us-east-1/batch/aws4_request`.
    scope: String,
    headers: Vec<String>,
    signature: Vec<u8>,
    /// `20260131T120000Z`, as sent.
    time: String,
    /// Seconds that a presigned URL is valid for.
    expires: Option<i64>,
}

impl Claim {
    /// Reads the claim of a request. Nothing means that it is not signed at all.
    pub(crate) fn of(request: &Parts) -> Result<Option<Self>, SignatureError> {
        let query = Query::of(request);
        if let Some(authorization) = text(&request.headers, header::AUTHORIZATION.as_str()) {
            let token = text(&request.headers, "x-amz-security-token").map(str::to_owned);
            return Self::of_header(authorization, token, &request.headers);
        }
        if let Some(credential) = query.get("X-Amz-Credential") {
            return Self::of_query(credential, &query).map(Some);
        }
        // Signature Version 2, of S3 alone: `s3s` knows it.
        Ok(query.get("AWSAccessKeyId").map(|id| Self {
            access_key_id: id,
            session_token: query.get("x-amz-security-token"),
            service: "s3".to_owned(),
            signed: None,
        }))
    }

    fn of_header(
        authorization: &str,
        session_token: Option<String>,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, SignatureError> {
        if let Some((id, _)) = authorization
            .strip_prefix("AWS ")
            .and_then(|rest| rest.split_once(':'))
        {
            return Ok(Some(Self {
                access_key_id: id.to_owned(),
                session_token,
                service: "s3".to_owned(),
                signed: None,
            }));
        }
        let Some(rest) = authorization.strip_prefix(ALGORITHM) else {
            return Ok(None);
        };
        let field = |name: &'static str| {
            let mut fields = rest.split(',').map(str::trim);
            fields
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or(SignatureError::Incomplete(name))
        };
        let time = text(headers, "x-amz-date").ok_or(SignatureError::Incomplete("X-Amz-Date"))?;
        Self::new(
            field("Credential")?,
            session_token,
            field("SignedHeaders")?,
            field("Signature")?,
            (time.to_owned(), None),
        )
        .map(Some)
    }

    fn of_query(credential: String, query: &Query) -> Result<Self, SignatureError> {
        let field = |name: &'static str| query.get(name).ok_or(SignatureError::Incomplete(name));
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return Err(SignatureError::Incomplete("X-Amz-Algorithm"));
        }
        let expires = field("X-Amz-Expires")?.parse().ok();
        let expires = expires
            .filter(|seconds| (0..=MAX_EXPIRES).contains(seconds))
            .ok_or(SignatureError::Incomplete("X-Amz-Expires"))?;
        Self::new(
            &credential,
            query.get("X-Amz-Security-Token"),
            &field("X-Amz-SignedHeaders")?,
            &field("X-Amz-Signature")?,
            (field("X-Amz-Date")?, Some(expires)),
        )
    }

    fn new(
        credential: &str,
        session_token: Option<String>,
        headers: &str,
        signature: &str,
        (time, expires): (String, Option<i64>),
    ) -> Result<Self, SignatureError> {
        let incomplete = SignatureError::Incomplete("Credential");
        let (id, scope) = credential.split_once('/').ok_or(incomplete.clone())?;
        let parts: Vec<_> = scope.split('/').collect();
        let [date, _region, service, "aws4_request"] = parts[..] else {
            return Err(incomplete);
        };
        if !time.starts_with(date) || date.len() != 8 {
            return Err(incomplete);
        }
        Ok(Self {
            access_key_id: id.to_owned(),
            session_token,
            service: service.to_owned(),
            signed: Some(Signed {
                scope: scope.to_owned(),
                headers: headers.split(';').map(str::to_owned).collect(),
                signature: hex::decode(signature)
                    .map_err(|_| SignatureError::Incomplete("Signature"))?,
                time,
                expires,
            }),
        })
    }

    /// Whether the holder of `secret` signed this request, not long before or after `now`.
    pub(crate) fn verify(
        &self,
        request: &Parts,
        body: &[u8],
        secret: &str,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let signed = self.signed.as_ref();
        let signed = signed.ok_or(SignatureError::Incomplete("the version"))?;
        signed.check_time(now)?;
        signed.check_headers(&request.headers)?;
        let canonical = signed.canonical_request(request, body);
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            signed.time,
            signed.scope,
            hex::encode(Sha256::digest(canonical))
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in signed.scope.split('/') {
            key = hmac(&key, part).finalize().into_bytes().to_vec();
        }
        // Compares in constant time.
        hmac(&key, &text)
            .verify_slice(&signed.signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

impl Signed {
    fn check_time(&self, now: Timestamp) -> Result<(), SignatureError> {
        let skewed = || SignatureError::Skewed(self.time.clone());
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time)
            .and_then(|time| TimeZone::UTC.to_timestamp(time))
            .map_err(|_| SignatureError::Incomplete("X-Amz-Date"))?;
        let age = now.as_second() - time.as_second();
        let skew = MAX_SKEW.as_secs() as i64;
        match self.expires {
            _ if age < -skew => Err(skewed()),
            Some(seconds) if age > seconds => {
                let end = Timestamp::from_second(time.as_second() + seconds);
                Err(SignatureError::Expired(
                    end.map_or_else(|_| self.time.clone(), |end| end.to_string()),
                ))
            }
            None if age > skew => Err(skewed()),
            _ => Ok(()),
        }
    }

    /// What says where a request goes and what it does must be under the signature.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        let is_signed = |name: &str| self.headers.iter().any(|signed| signed == name);
        let mut amazons = headers
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|name| name.starts_with("x-amz-"));
        if is_signed("host") && amazons.all(is_signed) {
            Ok(())
        } else {
            Err(SignatureError::Incomplete("SignedHeaders"))
        }
    }

    fn canonical_request(&self, request: &Parts, body: &[u8]) -> String {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|name| format!("{name}:{}", canonical_value(&request.headers, name)))
            .collect();
        let headers = headers.join("\n");
        format!(
            "{}\n{}\n{}\n{headers}\n\n{}\n{}",
            request.method,
            encode(request.uri.path(), b"-._~/"),
            Query::of(request).canonical(),
            self.headers.join(";"),
            hex::encode(Sha256::digest(body)),
        )
    }
}

/// A query string, taken apart and decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &Parts) -> Self {
        let query = request.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(n, v)| (decode(n), decode(v))).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    }

    fn canonical(&self) -> String {
        let mut pairs: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| (encode(name, b"-._~"), encode(value, b"-._~")))
            .collect();
        pairs.sort();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("&")
    }
}

fn hmac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(text.as_bytes());
    hmac
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// All values of a header with single spaces, joined by commas.
fn canonical_value(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).into_iter();
    let values = values.map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(format!("%{byte:02X}").chars());
        }
    }
    encoded
}

/// Text without its percent escapes; what is no UTF-8 then cannot be signed by anyone.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|digits| hex::decode(digits).ok());
        if let (b'%', Some(byte)) = (*first, escape) {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde::Deserialize;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// When botocore signed the requests.
    const SIGNED_AT: i64 = 1_769_860_800;

    /// Made by testdata/sign.py.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        method: String,
        uri: String,
        headers: Vec<(String, String)>,
        body: String,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("testdata/botocore_signatures.json")).unwrap()
    }

    fn case(name: &str) -> (Parts, String) {
        let mut cases = cases().into_iter();
        let case = cases.find(|case| case.name == name).unwrap();
        case.request()
    }

    impl Case {
        fn request(self) -> (Parts, String) {
            let mut request = Request::builder()
                .method(self.method.as_str())
                .uri(self.uri);
            for (name, value) in self.headers {
                request = request.header(name, value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            (parts, self.body)
        }
    }

    fn verify_at(parts: &Parts, body: &str, second: i64) -> Result<(), SignatureError> {
        let claim = Claim::of(parts)?.unwrap();
        let now = Timestamp::from_second(second).unwrap();
        claim.verify(parts, body.as_bytes(), SECRET, now)
    }

    #[test]
    fn what_botocore_signed_is_right() {
        for case in cases() {
            let name = case.name.clone();
            let (parts, body) = case.request();
            let claim = Claim::of(&parts).unwrap().unwrap();
            assert_eq!(claim.access_key_id, "AKIDEXAMPLE", "{name}");
            let token = name.contains("token").then_some("tok/en+=");
            assert_eq!(claim.session_token.as_deref(), token, "{name}");
            assert_eq!(verify_at(&parts, &body, SIGNED_AT), Ok(()), "{name}");
            let now = Timestamp::from_second(SIGNED_AT).unwrap();
            let other = claim.verify(&parts, body.as_bytes(), "other", now);
            assert_eq!(other, Err(SignatureError::Mismatch), "{name}");
        }
    }

    #[test]
    fn changes_on_the_way_are_seen() {
        let (parts, body) = case("batch submit_job");
        assert_eq!(
            verify_at(&parts, &format!("{body} "), SIGNED_AT),
            Err(SignatureError::Mismatch)
        );
        let mut other = parts.clone();
        other.uri = "/v1/terminatejob".parse().unwrap();
        assert_eq!(
            verify_at(&other, &body, SIGNED_AT),
            Err(SignatureError::Mismatch)
        );
        let (mut parts, body) = case("logs get_log_events");
        let target = "Logs_20140328.DeleteLogGroup".parse().unwrap();
        parts.headers.insert("x-amz-target", target);
        assert_eq!(
            verify_at(&parts, &body, SIGNED_AT),
            Err(SignatureError::Mismatch)
        );
        parts
            .headers
            .insert("x-amz-added", "unsigned".parse().unwrap());
        assert_eq!(
            verify_at(&parts, &body, SIGNED_AT),
            Err(SignatureError::Incomplete("SignedHeaders"))
        );
    }

    #[test]
    fn clocks_may_differ_by_a_quarter_of_an_hour() {
        let (parts, body) = case("batch submit_job");
        for off in [-900, 900] {
            assert_eq!(verify_at(&parts, &body, SIGNED_AT + off), Ok(()));
        }
        for off in [-901, 901] {
            let refused = verify_at(&parts, &body, SIGNED_AT + off);
            assert!(matches!(refused, Err(SignatureError::Skewed(_))));
        }
        let (parts, body) = case("sts presigned");
        assert_eq!(verify_at(&parts, &body, SIGNED_AT + 60), Ok(()));
        let refused = verify_at(&parts, &body, SIGNED_AT + 61);
        assert!(matches!(refused, Err(SignatureError::Expired(_))));
    }

    #[test]
    fn nonsense_is_no_signature() {
        let parts = |authorization: &str| {
            let request = Request::builder()
                .header("authorization", authorization)
                .header("x-amz-date", "20260131T120000Z");
            request.body(()).unwrap().into_parts().0
        };
        assert_eq!(Claim::of(&parts("Basic eA==")), Ok(None));
        for broken in [
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=A, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=A/20260131/r/batch/aws4_request, SignedHeaders=host, Signature=xy",
            "AWS4-HMAC-SHA256 Credential=A/20260130/r/batch/aws4_request, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=A/20260131/r/batch/other, SignedHeaders=host, Signature=00",
        ] {
            assert!(Claim::of(&parts(broken)).is_err(), "{broken}");
        }
        let old = Claim::of(&parts("AWS A:sig")).unwrap().unwrap();
        assert_eq!(old.service, "s3");
    }
}
