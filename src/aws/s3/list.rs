//! ListObjectsV2: all keys below a prefix, or the folders of a folder.

use datastore::{Cause, Entry, object_store::MAX_LISTED_KEYS};

use super::S3Store;
use crate::failure::Failure;

pub(super) async fn entries(store: &S3Store, prefix: &str) -> Result<Vec<Entry>, Cause> {
    let root = store.full_key("");
    let wanted = store.full_key(prefix);
    let mut entries = Vec::new();
    let mut token = None;
    loop {
        let call = store
            .sdk
            .list_objects_v2()
            .bucket(&store.address.bucket)
            .prefix(&wanted);
        let page = match call.set_continuation_token(token).send().await {
            Ok(page) => page,
            Err(error) => return Err(store.cause(prefix, Failure::from(error))),
        };
        for object in page.contents() {
            let key = object.key().and_then(|key| key.strip_prefix(&root));
            // The console makes empty objects that end with a slash and calls them folders.
            if let Some(key) = key.filter(|key| !key.is_empty() && !key.ends_with('/')) {
                entries.push(Entry {
                    key: key.to_owned(),
                    size: object.size().unwrap_or(0).try_into().unwrap_or(0),
                });
            }
        }
        if entries.len() > MAX_LISTED_KEYS {
            return Err(Cause::TooManyKeys {
                limit: MAX_LISTED_KEYS,
            });
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // General purpose buckets list in this order; directory buckets do not.
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

pub(super) async fn folders(store: &S3Store, folder: &str) -> Result<Vec<String>, Cause> {
    let wanted = format!("{}/", store.full_key(folder));
    let mut names = Vec::new();
    let mut token = None;
    loop {
        let call = store
            .sdk
            .list_objects_v2()
            .bucket(&store.address.bucket)
            .prefix(&wanted)
            .delimiter("/");
        let page = match call.set_continuation_token(token).send().await {
            Ok(page) => page,
            Err(error) => return Err(store.cause(folder, Failure::from(error))),
        };
        let prefixes = page.common_prefixes().iter().filter_map(|p| p.prefix());
        let found = prefixes.filter_map(|p| p.strip_prefix(&wanted)?.strip_suffix('/'));
        names.extend(found.filter(|name| !name.is_empty()).map(str::to_owned));
        if names.len() > MAX_LISTED_KEYS {
            return Err(Cause::TooManyKeys {
                limit: MAX_LISTED_KEYS,
            });
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    names.sort_unstable();
    Ok(names)
}
