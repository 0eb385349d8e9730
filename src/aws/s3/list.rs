//! ListObjectsV2: all keys below a prefix, or the folders of a folder.

use aws_sdk_s3::operation::list_objects_v2::{
    ListObjectsV2Output, builders::ListObjectsV2FluentBuilder,
};
use datastore::{Cause, Entry, object_store::MAX_LISTED_KEYS};

use super::S3Store;
use crate::failure::Failure;

pub(super) async fn entries(store: &S3Store, prefix: &str) -> Result<Vec<Entry>, Cause> {
    let root = store.full_key("");
    let wanted = store.full_key(prefix);
    let mut entries = Vec::new();
    let call = store.sdk.list_objects_v2().prefix(wanted);
    pages(store, prefix, call, |page| {
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
        entries.len()
    })
    .await?;
    // General purpose buckets list in this order; directory buckets do not.
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

pub(super) async fn folders(store: &S3Store, folder: &str) -> Result<Vec<String>, Cause> {
    let wanted = format!("{}/", store.full_key(folder));
    let mut names = Vec::new();
    let call = store.sdk.list_objects_v2().prefix(&wanted).delimiter("/");
    pages(store, folder, call, |page| {
        let prefixes = page.common_prefixes().iter().filter_map(|p| p.prefix());
        let found = prefixes.filter_map(|p| p.strip_prefix(&wanted)?.strip_suffix('/'));
        names.extend(found.filter(|name| !name.is_empty()).map(str::to_owned));
        names.len()
    })
    .await?;
    names.sort_unstable();
    Ok(names)
}

/// Hands each page of a listing of the store's bucket to `take`, which answers how much it has by then. An error is told of
/// the key `asked`.
async fn pages(
    store: &S3Store,
    asked: &str,
    call: ListObjectsV2FluentBuilder,
    mut take: impl FnMut(&ListObjectsV2Output) -> usize,
) -> Result<(), Cause> {
    let call = call.bucket(&store.address.bucket);
    let mut token = None;
    loop {
        let page = match call.clone().set_continuation_token(token).send().await {
            Ok(page) => page,
            Err(error) => return Err(store.cause(asked, Failure::from(error))),
        };
        if take(&page) > MAX_LISTED_KEYS {
            return Err(Cause::TooManyKeys {
                limit: MAX_LISTED_KEYS,
            });
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
}
