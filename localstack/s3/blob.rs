//! Bodies as files, named by a counter.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A file. It is removed when the last holder drops it, unless it is kept; so what is being read stays readable after it
/// was replaced, and what was never indexed leaves nothing behind.
#[derive(Debug)]
pub(super) struct Blob {
    id: u64,
    /// `None` between reading the journal and the end of opening: then dropping removes nothing.
    folder: Option<Arc<Path>>,
    kept: AtomicBool,
}

impl Blob {
    /// It is in the index, or leaves it.
    pub(super) fn keep(&self, keep: bool) {
        self.kept.store(keep, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> io::Result<File> {
        File::open(self.path()?)
    }

    fn path(&self) -> io::Result<PathBuf> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(folder.join(name(self.id)))
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(path) = self.path()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a blob of the S3 store cannot be removed");
        }
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(output)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Self {
            id: u64::deserialize(input)?,
            folder: None,
            kept: AtomicBool::new(true),
        })
    }
}

/// The folder of blobs.
#[derive(Debug)]
pub(super) struct Blobs {
    folder: Arc<Path>,
    next: AtomicU64,
}

impl Blobs {
    /// Gives the blobs of the index their folder and removes the files that are none of them.
    pub(super) fn open<'a>(
        folder: &Path,
        indexed: impl Iterator<Item = &'a mut Arc<Blob>>,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder: Arc<Path> = folder.into();
        let mut ids = HashSet::new();
        for blob in indexed {
            *blob = Arc::new(Blob {
                id: blob.id,
                folder: Some(folder.clone()),
                kept: AtomicBool::new(true),
            });
            ids.insert(blob.id);
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(id_of);
            if id.is_some_and(|id| !ids.contains(&id)) {
                fs::remove_file(entry.path())?;
            }
        }
        let next = AtomicU64::new(ids.into_iter().max().map_or(1, |id| id + 1));
        Ok(Self { folder, next })
    }

    /// An empty blob that is not kept yet, and the file to write it with.
    pub(super) fn create(&self) -> io::Result<(Arc<Blob>, File)> {
        let blob = self.reserve();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(blob.path()?)?;
        blob.keep(false);
        Ok((Arc::new(blob), file))
    }

    /// The same content under another number, without reading it.
    pub(super) fn link(&self, original: &Blob) -> io::Result<Arc<Blob>> {
        let blob = self.reserve();
        fs::hard_link(original.path()?, blob.path()?)?;
        blob.keep(false);
        Ok(Arc::new(blob))
    }

    fn reserve(&self) -> Blob {
        Blob {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            folder: Some(self.folder.clone()),
            kept: AtomicBool::new(true),
        }
    }
}

fn name(id: u64) -> String {
    format!("{id:016x}")
}

/// The inverse of `name`; other files in the folder are not ours.
fn id_of(file_name: &str) -> Option<u64> {
    let id = u64::from_str_radix(file_name, 16).ok()?;
    (name(id) == file_name).then_some(id)
}
