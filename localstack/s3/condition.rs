//! `If-Match` and its family.
//! Facts: "Add preconditions to S3 operations with conditional requests" of the user guide, and RFC 9110 §13.2.2.

use http::Extensions;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ETagCondition, Timestamp},
};

use super::{
    failure,
    object::Object,
    watch::{Call, Seen},
};
use crate::faults::Fault;

/// Of a write, checked under the lock of the index.
#[derive(Debug, Default)]
pub(super) struct OfWrite {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl OfWrite {
    /// The same, unless a fault wants a store that ignores conditions, as some that look like S3 do.
    pub(super) fn under(self, extensions: &Extensions) -> Self {
        let call = extensions.get::<Seen>().map(Seen::call);
        match call.as_ref().and_then(Call::fault) {
            Some(Fault::IgnoreConditions) => Self::default(),
            _ => self,
        }
    }

    pub(super) fn check(&self, current: Option<&Object>) -> S3Result<()> {
        if let Some(condition) = &self.if_none_match {
            if !condition.is_any() {
                return Err(failure::not_implemented("If-None-Match"));
            }
            if current.is_some() {
                return Err(failure::precondition_failed());
            }
        }
        if let Some(condition) = &self.if_match {
            let current = current.ok_or_else(failure::no_such_key)?;
            if !matches(condition, current) {
                return Err(failure::precondition_failed());
            }
        }
        Ok(())
    }
}

/// Of a read.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "the names of the headers are the clearest"
)]
pub(super) struct OfRead {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

/// Why an object is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmet {
    /// 412
    Failed,
    /// 304
    NotModified,
}

impl OfRead {
    pub(super) fn unmet(&self, object: &Object) -> Option<Unmet> {
        let modified = object.last_modified();
        if let Some(condition) = &self.if_match {
            if !matches(condition, object) {
                return Some(Unmet::Failed);
            }
        } else if self
            .if_unmodified_since
            .as_ref()
            .is_some_and(|t| modified > *t)
        {
            return Some(Unmet::Failed);
        }
        if let Some(condition) = &self.if_none_match {
            if matches(condition, object) {
                return Some(Unmet::NotModified);
            }
        } else if self
            .if_modified_since
            .as_ref()
            .is_some_and(|t| modified <= *t)
        {
            return Some(Unmet::NotModified);
        }
        None
    }

    /// For GetObject and HeadObject; 304 says which version it is about.
    pub(super) fn check(&self, object: &Object) -> S3Result<()> {
        match self.unmet(object) {
            None => Ok(()),
            Some(Unmet::Failed) => Err(failure::precondition_failed()),
            Some(Unmet::NotModified) => {
                let mut error = S3Error::new(S3ErrorCode::NotModified);
                if let Ok(etag) = object.etag().to_http_header() {
                    error.set_headers([(http::header::ETAG, etag)].into_iter().collect());
                }
                Err(error)
            }
        }
    }

    /// For the source of a copy, where all that is unmet is 412.
    pub(super) fn check_source(&self, object: &Object) -> S3Result<()> {
        match self.unmet(object) {
            None => Ok(()),
            Some(_) => Err(failure::precondition_failed()),
        }
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == &*object.etag,
    }
}
