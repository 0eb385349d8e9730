//! The store: the index behind a lock, its journal, and the blobs.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use s3s::S3Result;
use serde_json::json;

use super::{
    blob::Blobs,
    failure,
    index::{AboutBucket, Bucket, Index, Record, Removed},
    object::Object,
};
use crate::{Caller, Context, Journal};

tokio::task_local! {
    /// Who makes the call that this task carries out. What it does to objects is written down under the lock of the index,
    /// where no operation could hand it over without all of them doing so.
    pub(super) static WRITER: Caller;
}

/// What all operations work on.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) context: Arc<Context>,
    pub(super) blobs: Blobs,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    index: Index,
    journal: Journal,
}

impl Store {
    /// Opens `<folder>/s3`: replays the journal, rewrites it when it holds more than what is left, sweeps the blobs.
    pub(super) fn open(context: Arc<Context>) -> io::Result<Self> {
        let folder = context.folder.join("s3");
        let (mut journal, records) = Journal::open::<Record>(folder.join("index.jsonl"))?;
        let replayed = records.len();
        let mut index = Index::default();
        for record in records {
            index.apply(record, &mut Removed::default());
        }
        if index.records().count() < replayed {
            journal.rewrite(index.records())?;
        }
        let blobs = Blobs::open(&folder.join("blobs"), index.blobs_mut())?;
        let kept = Mutex::new(Kept { index, journal });
        Ok(Self {
            context,
            blobs,
            kept,
        })
    }

    /// Looks at the index.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Index) -> S3Result<T>) -> S3Result<T> {
        look(&self.lock().index)
    }

    /// Checks and writes in one step: `decide` sees the index as it is when its records are applied.
    pub(super) fn write<T>(
        &self,
        decide: impl FnOnce(&Index) -> S3Result<(Vec<Record>, T)>,
    ) -> S3Result<T> {
        let mut removed = Removed::default();
        let mut kept = self.lock();
        let (records, answer) = decide(&kept.index)?;
        kept.journal.append(&records).map_err(failure::internal)?;
        let by = WRITER.try_with(|by| json!(by)).unwrap_or_default();
        for record in records {
            record.tell(&self.context, &kept.index, &by);
            kept.index.apply(record, &mut removed);
        }
        drop(kept);
        drop(removed);
        Ok(answer)
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.read(|index| index.bucket(bucket)?.object(key).cloned())
    }

    /// For the stack's own bucket.
    pub(super) fn create_bucket_if_missing(&self, name: &str) -> S3Result<()> {
        let created_ms = self.context.clock.now_ms();
        self.write(|index| {
            let create = || Record::CreateBucket {
                bucket: name.into(),
                about: AboutBucket {
                    created_ms,
                    location: None,
                },
            };
            let missing = !index.buckets.contains_key(name);
            Ok((missing.then(create).into_iter().collect(), ()))
        })
    }

    /// A panic under the lock leaves an index that is whole: records are applied one by one, and none panics.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    pub(super) fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets.get(name).ok_or_else(failure::no_such_bucket)
    }
}

impl Bucket {
    pub(super) fn object(&self, key: &str) -> S3Result<&Arc<Object>> {
        self.objects.get(key).ok_or_else(failure::no_such_key)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Barrier, thread};

    use s3s::S3ErrorCode;
    use serde_json::Value;

    use super::*;
    use crate::{
        Clock,
        faults::Faults,
        history::History,
        s3::{
            checksum::{Algorithm, Kind},
            condition::OfWrite,
            draft::{Draft, Place, Written},
            headers::Headers,
            index::{AboutUpload, Part},
            object::{Content, Piece},
            send::Reader,
        },
    };

    fn open(folder: &Path) -> Arc<Store> {
        let context = Context {
            folder: folder.to_owned(),
            endpoint: String::new(),
            region: String::new(),
            account: String::new(),
            clock: Clock::default(),
            history: History::default(),
            faults: Faults::default(),
            python: None,
            strict: false,
        };
        let store = Store::open(Arc::new(context)).unwrap();
        store.create_bucket_if_missing("bucket").unwrap();
        Arc::new(store)
    }

    fn written(store: &Store, place: Place, size: usize) -> Written {
        let mut draft = Draft::new(&store.blobs, place, Algorithm::Crc32);
        draft.write(&vec![b'x'; size]).unwrap();
        draft.finish().unwrap()
    }

    fn object(store: &Store, size: usize) -> Arc<Object> {
        let object = written(store, Place::Anywhere, size);
        Arc::new(object.into_object(7, Headers::default(), None))
    }

    fn put(key: &str, object: Arc<Object>) -> Record {
        Record::PutObject {
            bucket: "bucket".into(),
            key: key.into(),
            object,
        }
    }

    fn change(store: &Store, record: Record) {
        store.write(|_| Ok((vec![record], ()))).unwrap();
    }

    fn create_upload(upload_id: &str) -> Record {
        Record::CreateUpload {
            bucket: "bucket".into(),
            key: "upload".into(),
            upload_id: upload_id.into(),
            about: Arc::new(AboutUpload {
                initiated_ms: 5,
                algorithm: Some(Algorithm::Sha1),
                kind: Some(Kind::Composite),
                headers: Headers::default(),
                tags: None,
            }),
        }
    }

    fn put_part(store: &Store, upload_id: &str, number: u16) -> (Record, Piece) {
        let written = written(store, Place::File, 10);
        let Content::Blob(blob) = written.content else {
            panic!("a part is in a file");
        };
        let piece = Piece {
            blob,
            size: 10,
            checksum: written.checksum,
        };
        let record = Record::PutPart {
            bucket: "bucket".into(),
            key: "upload".into(),
            upload_id: upload_id.into(),
            number,
            part: Part {
                etag: "etag".into(),
                modified_ms: 6,
                piece: piece.clone(),
            },
        };
        (record, piece)
    }

    fn state(store: &Store) -> Vec<Value> {
        let kept = store.lock();
        let records = kept.index.records();
        let json = records.map(|record| serde_json::to_value(record).unwrap());
        json.collect()
    }

    fn blobs(folder: &Path) -> usize {
        std::fs::read_dir(folder.join("s3/blobs")).unwrap().count()
    }

    #[test]
    fn replayed_state_is_live_state() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for size in [3, 3000, 4, 4000] {
            change(&store, put("often", object(&store, size)));
        }
        change(&store, put("gone", object(&store, 5000)));
        let (bucket, key) = ("bucket".into(), "gone".into());
        change(&store, Record::DeleteObject { bucket, key });
        for upload_id in ["aborted", "completed", "open"] {
            change(&store, create_upload(upload_id));
            let (record, _) = put_part(&store, upload_id, 1);
            change(&store, record);
        }
        let (record, piece) = put_part(&store, "completed", 1);
        change(&store, record);
        let made = Object {
            content: Content::Parts([piece].into()),
            upload_id: Some("completed".into()),
            ..written(&store, Place::Anywhere, 0).into_object(8, Headers::default(), None)
        };
        let names = || ("bucket".into(), "upload".into());
        let (bucket, key) = names();
        change(
            &store,
            Record::CompleteUpload {
                bucket,
                key,
                upload_id: "completed".into(),
                object: Arc::new(made),
            },
        );
        let (bucket, key) = names();
        change(
            &store,
            Record::AbortUpload {
                bucket,
                key,
                upload_id: "aborted".into(),
            },
        );
        assert_eq!(blobs(folder.path()), 3, "often, upload, and the open part");
        let before = state(&store);
        drop(store);
        for _ in 0..2 {
            let store = open(folder.path());
            assert_eq!(state(&store), before);
            assert_eq!(blobs(folder.path()), 3);
            let journal = std::fs::read_to_string(folder.path().join("s3/index.jsonl")).unwrap();
            assert_eq!(journal.lines().count(), before.len());
            // Numbers are not given twice.
            change(&store, put("new", object(&store, 600)));
            assert_eq!(blobs(folder.path()), 4);
            let (bucket, key) = ("bucket".into(), "new".into());
            change(&store, Record::DeleteObject { bucket, key });
        }
    }

    #[test]
    fn a_file_is_there_as_long_as_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        drop(written(&store, Place::Anywhere, 1000));
        assert_eq!(blobs(folder.path()), 0, "never indexed");
        change(&store, put("key", object(&store, 1000)));
        let reading = store.object("bucket", "key").unwrap();
        let retagged = Object {
            content: reading.content.clone(),
            ..written(&store, Place::Anywhere, 0).into_object(9, Headers::default(), None)
        };
        change(&store, put("key", Arc::new(retagged)));
        assert_eq!(blobs(folder.path()), 1, "the new object has the same file");
        change(&store, put("key", object(&store, 2000)));
        assert_eq!(blobs(folder.path()), 2, "the old one is being read");
        let mut reader = Reader::new(reading, 0..1000);
        assert_eq!(reader.next().unwrap().map(|data| data.len()), Some(1000));
        drop(reader);
        assert_eq!(blobs(folder.path()), 1);
        let bucket = "bucket".into();
        change(&store, Record::DeleteBucket { bucket });
        assert_eq!(blobs(folder.path()), 0);
    }

    #[test]
    fn of_many_that_create_one_succeeds() {
        const THREADS: usize = 16;
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for round in 0..20 {
            let key = format!("claim/{round}");
            let barrier = Barrier::new(THREADS);
            let create = || {
                let object = object(&store, 10);
                barrier.wait();
                store.write(|index| {
                    let condition = OfWrite {
                        if_none_match: Some(s3s::dto::ETagCondition::Any),
                        if_match: None,
                    };
                    let current = index.bucket("bucket")?.objects.get(key.as_str());
                    condition.check(current.map(AsRef::as_ref))?;
                    Ok((vec![put(&key, object)], ()))
                })
            };
            let results: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(create)).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
                threads.into_iter().map(join).collect()
            });
            let failed = |result: &S3Result<()>| {
                let error = result.as_ref().err();
                error.is_some_and(|e| *e.code() == S3ErrorCode::PreconditionFailed)
            };
            assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
            assert_eq!(results.iter().filter(|r| failed(r)).count(), THREADS - 1);
        }
    }
}
