//! What a client says about an object, kept and given back as it came.

use s3s::{S3Error, S3ErrorCode, S3Result, dto};
use serde::{Deserialize, Serialize};

use super::failure;

/// S3's limit for user metadata, names and values together.
const MAX_METADATA: usize = 2048;

/// S3's name for what has no type.
const USUAL_CONTENT_TYPE: &str = "binary/octet-stream";

/// The system-defined and the user-defined metadata of an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<dto::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) website_redirect_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_side_encryption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ssekms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bucket_key_enabled: Option<bool>,
    /// In the order of their names.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) metadata: Box<[(String, String)]>,
}

impl Headers {
    /// Refuses what S3 refuses, and drops what is as usual.
    pub(super) fn checked(mut self) -> S3Result<Self> {
        self.content_encoding = self.content_encoding.and_then(|all| without_framing(&all));
        self.content_type = self
            .content_type
            .filter(|text| !text.is_empty() && text != USUAL_CONTENT_TYPE);
        self.storage_class = self
            .storage_class
            .filter(|class| class != dto::StorageClass::STANDARD);
        self.server_side_encryption = self
            .server_side_encryption
            .filter(|kind| kind != dto::ServerSideEncryption::AES256);
        let length: usize = self.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        if length > MAX_METADATA {
            let text = "Your metadata headers exceed the maximum allowed metadata size";
            return Err(S3Error::with_message(S3ErrorCode::MetadataTooLarge, text));
        }
        Ok(self)
    }

    /// For the index.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    pub(super) fn content_type(&self) -> String {
        let kept = self.content_type.as_deref();
        kept.unwrap_or(USUAL_CONTENT_TYPE).to_owned()
    }

    /// S3 encrypts whatever was said.
    pub(super) fn encryption(&self) -> dto::ServerSideEncryption {
        let kept = self.server_side_encryption.clone();
        kept.unwrap_or_else(|| dto::ServerSideEncryption::AES256.to_owned())
            .into()
    }

    pub(super) fn listed_class(&self) -> dto::ObjectStorageClass {
        let kept = self.storage_class.clone();
        kept.unwrap_or_else(|| dto::ObjectStorageClass::STANDARD.to_owned())
            .into()
    }
}

/// `aws-chunked` is how the body travelled, not what it is.
fn without_framing(encodings: &str) -> Option<String> {
    let kept: Vec<_> = encodings
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// What a write asks for and this store does not do: nothing of it may be dropped silently.
pub(super) fn refuse_unsupported(
    acl: Option<&dto::ObjectCannedACL>,
    grants: [&Option<String>; 4],
    customer_key: Option<&String>,
    object_lock: bool,
) -> S3Result<()> {
    let owner_keeps_all = |acl: &dto::ObjectCannedACL| {
        [
            dto::ObjectCannedACL::PRIVATE,
            dto::ObjectCannedACL::BUCKET_OWNER_FULL_CONTROL,
        ]
        .contains(&acl.as_str())
    };
    if acl.is_some_and(|acl| !owner_keeps_all(acl)) || grants.into_iter().any(Option::is_some) {
        return Err(S3Error::with_message(
            S3ErrorCode::AccessControlListNotSupported,
            "The bucket does not allow ACLs",
        ));
    }
    if customer_key.is_some() {
        return Err(failure::not_implemented(
            "x-amz-server-side-encryption-customer-key",
        ));
    }
    if object_lock {
        return Err(failure::not_implemented("x-amz-object-lock-mode"));
    }
    Ok(())
}

/// User metadata as it is kept.
pub(super) fn sorted(metadata: Option<dto::Metadata>) -> Box<[(String, String)]> {
    let mut pairs: Box<[_]> = metadata.unwrap_or_default().into_iter().collect();
    pairs.sort_unstable();
    pairs
}

/// Checks an input of PutObject, CopyObject or CreateMultipartUpload and takes what is to be kept of it.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::s3::headers::refuse_unsupported(
            $input.acl.as_ref(),
            [
                &$input.grant_full_control,
                &$input.grant_read,
                &$input.grant_read_acp,
                &$input.grant_write_acp,
            ],
            $input.sse_customer_key.as_ref(),
            $input.object_lock_mode.is_some() || $input.object_lock_legal_hold_status.is_some(),
        )
        .and_then(|()| {
            $crate::s3::headers::Headers {
                cache_control: $input.cache_control.clone(),
                content_disposition: $input.content_disposition.clone(),
                content_encoding: $input.content_encoding.clone(),
                content_language: $input.content_language.clone(),
                content_type: $input.content_type.clone(),
                expires: $input.expires.clone(),
                website_redirect_location: $input.website_redirect_location.clone(),
                storage_class: $input.storage_class.as_ref().map(|c| c.as_str().to_owned()),
                server_side_encryption: $input
                    .server_side_encryption
                    .as_ref()
                    .map(|kind| kind.as_str().to_owned()),
                ssekms_key_id: $input.ssekms_key_id.clone(),
                bucket_key_enabled: $input.bucket_key_enabled,
                metadata: $crate::s3::headers::sorted($input.metadata.clone()),
            }
            .checked()
        })
    };
}

pub(super) use headers_of;
