//! ListTagsForResource, TagResource, UntagResource, and the rules for tags.

use std::collections::BTreeMap;

use serde_json::json;

use super::{event::Event, request::Request, service::Shared};
use crate::{ApiError, Reply};

/// User guide, "Tag restrictions".
const MAX_TAGS: usize = 50;
const KEY_LENGTH: usize = 128;
const VALUE_LENGTH: usize = 256;

impl Shared {
    /// ListTagsForResource.
    pub(super) fn list_tags_for_resource(&self, request: &Request) -> Reply {
        let arn = request.required("resourceArn");
        let mut core = self.core();
        let tags = core.state.tags_mut(arn).ok_or_else(|| unknown(arn))?;
        Ok(json!({"tags": tags}))
    }

    /// TagResource.
    pub(super) fn tag_resource(&self, request: &Request) -> Reply {
        let new = request.map("tags");
        self.change_tags(request.required("resourceArn"), |tags| tags.extend(new))
    }

    /// UntagResource.
    pub(super) fn untag_resource(&self, request: &Request) -> Reply {
        let keys = request.texts("tagKeys");
        self.change_tags(request.required("resourceArn"), |tags| {
            tags.retain(|key, _| !keys.contains(key));
        })
    }

    fn change_tags(&self, arn: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Reply {
        let mut core = self.core();
        let mut tags = core
            .state
            .tags_mut(arn)
            .ok_or_else(|| unknown(arn))?
            .clone();
        change(&mut tags);
        check_tags(&tags)?;
        let arn = arn.to_owned();
        self.apply(&mut core, Event::Tagged { arn, tags })?;
        Ok(json!({}))
    }
}

fn unknown(arn: &str) -> ApiError {
    ApiError::client(format!("Resource {arn} does not exist"))
}

/// Refuses tags that no resource can have.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(ApiError::client(format!(
            "A resource must have at most {MAX_TAGS} tags."
        )));
    }
    for (key, value) in tags {
        let key_length = key.chars().count();
        if key_length == 0 || key_length > KEY_LENGTH || value.chars().count() > VALUE_LENGTH {
            return Err(ApiError::client(format!(
                "The tag '{key}' is too long or has no name."
            )));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(ApiError::client(
                "Tag keys must not begin with aws:, which is reserved.",
            ));
        }
    }
    Ok(())
}
