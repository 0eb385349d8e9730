//! Buckets, objects and uploads in memory, and the records from which they are made again.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    blob::Blob,
    checksum::{Algorithm, Kind},
    headers::Headers,
    object::{Object, Piece, Tags},
};

/// All that the store knows.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) buckets: BTreeMap<Box<str>, Bucket>,
}

#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) about: AboutBucket,
    pub(super) objects: BTreeMap<Box<str>, Arc<Object>>,
    /// By key and upload id; ids of later uploads are greater.
    pub(super) uploads: BTreeMap<(Box<str>, Box<str>), Upload>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AboutBucket {
    pub(super) created_ms: i64,
    /// The LocationConstraint it was created with.
    pub(super) location: Option<String>,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) about: Arc<AboutUpload>,
    pub(super) parts: BTreeMap<u16, Part>,
}

/// What was said when the upload was created.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AboutUpload {
    pub(super) initiated_ms: i64,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) kind: Option<Kind>,
    pub(super) headers: Headers,
    pub(super) tags: Option<Tags>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) etag: Box<str>,
    pub(super) modified_ms: i64,
    pub(super) piece: Piece,
}

/// A change. Replaying all of them in order gives the index; a change is whole or not at all.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record {
    CreateBucket {
        bucket: Box<str>,
        about: AboutBucket,
    },
    DeleteBucket {
        bucket: Box<str>,
    },
    PutObject {
        bucket: Box<str>,
        key: Box<str>,
        object: Arc<Object>,
    },
    DeleteObject {
        bucket: Box<str>,
        key: Box<str>,
    },
    CreateUpload {
        bucket: Box<str>,
        key: Box<str>,
        upload_id: Box<str>,
        about: Arc<AboutUpload>,
    },
    PutPart {
        bucket: Box<str>,
        key: Box<str>,
        upload_id: Box<str>,
        number: u16,
        part: Part,
    },
    CompleteUpload {
        bucket: Box<str>,
        key: Box<str>,
        upload_id: Box<str>,
        object: Arc<Object>,
    },
    AbortUpload {
        bucket: Box<str>,
        key: Box<str>,
        upload_id: Box<str>,
    },
}

/// What a change took out of the index. Dropping it removes files, so it is dropped after the lock.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Removed {
    objects: Vec<Arc<Object>>,
    blobs: Vec<Arc<Blob>>,
}

impl Index {
    /// Makes a change. A record of a bucket or upload that is not there changes nothing.
    pub(super) fn apply(&mut self, record: Record, removed: &mut Removed) {
        match record {
            Record::CreateBucket { bucket, about } => {
                self.buckets.entry(bucket).or_insert(Bucket {
                    about,
                    objects: BTreeMap::new(),
                    uploads: BTreeMap::new(),
                });
            }
            Record::DeleteBucket { bucket } => {
                if let Some(bucket) = self.buckets.remove(&bucket) {
                    bucket.objects.into_values().for_each(|o| removed.object(o));
                    bucket.uploads.into_values().for_each(|u| removed.upload(u));
                }
            }
            Record::PutObject {
                bucket,
                key,
                object,
            } => self.put(&bucket, key, object, removed),
            Record::DeleteObject { bucket, key } => {
                let bucket = self.buckets.get_mut(&bucket);
                if let Some(object) = bucket.and_then(|bucket| bucket.objects.remove(&key)) {
                    removed.object(object);
                }
            }
            Record::CreateUpload {
                bucket,
                key,
                upload_id,
                about,
            } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket) {
                    let parts = BTreeMap::new();
                    bucket
                        .uploads
                        .insert((key, upload_id), Upload { about, parts });
                }
            }
            Record::PutPart {
                bucket,
                key,
                upload_id,
                number,
                part,
            } => {
                let bucket = self.buckets.get_mut(&bucket);
                if let Some(upload) = bucket.and_then(|b| b.uploads.get_mut(&(key, upload_id))) {
                    part.piece.blob.keep(true);
                    if let Some(old) = upload.parts.insert(number, part) {
                        removed.blob(old.piece.blob);
                    }
                }
            }
            Record::CompleteUpload {
                bucket,
                key,
                upload_id,
                object,
            } => {
                self.drop_upload(&bucket, key.clone(), upload_id, removed);
                self.put(&bucket, key, object, removed);
            }
            Record::AbortUpload {
                bucket,
                key,
                upload_id,
            } => self.drop_upload(&bucket, key, upload_id, removed),
        }
    }

    fn put(&mut self, bucket: &str, key: Box<str>, object: Arc<Object>, removed: &mut Removed) {
        let Some(bucket) = self.buckets.get_mut(bucket) else {
            return;
        };
        if let Some(old) = bucket.objects.insert(key, object.clone()) {
            removed.object(old);
        }
        // Last, since both may have the same blobs.
        object.content.blobs().for_each(|blob| blob.keep(true));
    }

    fn drop_upload(
        &mut self,
        bucket: &str,
        key: Box<str>,
        upload_id: Box<str>,
        removed: &mut Removed,
    ) {
        let bucket = self.buckets.get_mut(bucket);
        if let Some(upload) = bucket.and_then(|b| b.uploads.remove(&(key, upload_id))) {
            removed.upload(upload);
        }
    }

    /// The records that make this index, the fewest.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.buckets.iter().flat_map(|(name, bucket)| {
            let created = Record::CreateBucket {
                bucket: name.clone(),
                about: bucket.about.clone(),
            };
            let objects = bucket
                .objects
                .iter()
                .map(|(key, object)| Record::PutObject {
                    bucket: name.clone(),
                    key: key.clone(),
                    object: object.clone(),
                });
            let uploads = bucket
                .uploads
                .iter()
                .flat_map(|(ids, upload)| records_of(name, ids, upload));
            [created].into_iter().chain(objects).chain(uploads)
        })
    }

    /// Every blob; only right after replaying, when nobody else holds the objects.
    pub(super) fn blobs_mut(&mut self) -> impl Iterator<Item = &mut Arc<Blob>> {
        self.buckets.values_mut().flat_map(|bucket| {
            let objects = bucket.objects.values_mut().filter_map(Arc::get_mut);
            let uploads = bucket.uploads.values_mut();
            let parts = uploads.flat_map(|upload| upload.parts.values_mut());
            objects
                .flat_map(|object| object.content.blobs_mut())
                .chain(parts.map(|part| &mut part.piece.blob))
        })
    }
}

fn records_of<'a>(
    bucket: &'a str,
    (key, upload_id): &'a (Box<str>, Box<str>),
    upload: &'a Upload,
) -> impl Iterator<Item = Record> + 'a {
    let created = Record::CreateUpload {
        bucket: bucket.into(),
        key: key.clone(),
        upload_id: upload_id.clone(),
        about: upload.about.clone(),
    };
    let parts = upload.parts.iter().map(|(number, part)| Record::PutPart {
        bucket: bucket.into(),
        key: key.clone(),
        upload_id: upload_id.clone(),
        number: *number,
        part: part.clone(),
    });
    [created].into_iter().chain(parts)
}

impl Removed {
    fn object(&mut self, object: Arc<Object>) {
        object.content.blobs().for_each(|blob| blob.keep(false));
        self.objects.push(object);
    }

    fn upload(&mut self, upload: Upload) {
        for part in upload.parts.into_values() {
            self.blob(part.piece.blob);
        }
    }

    fn blob(&mut self, blob: Arc<Blob>) {
        blob.keep(false);
        self.blobs.push(blob);
    }
}
