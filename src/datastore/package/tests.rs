use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use flate2::read::GzDecoder;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tar::Archive;
use tempfile::TempDir;

use super::{
    Cache, Compiled, Member, Package, PackageError, Source, archive, compress,
    make::{make, make_at},
    member,
    owners::Owners,
};

struct Tree {
    folder: TempDir,
    members: Vec<Member>,
}

impl Tree {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Self {
            folder,
            members: Vec::new(),
        };
        for (name, content) in files {
            fs::write(tree.path(name), content).unwrap();
            tree.list(name);
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn list(&mut self, name: &str) {
        let source = Source::File(self.path(name));
        self.members.push(Member {
            name: name.to_owned(),
            source,
        });
    }

    fn caches(&self) -> Vec<Cache> {
        vec![Cache::new(self.path("cache"))]
    }

    fn make(&self) -> Result<Package, PackageError> {
        make(&self.members, &self.caches())
    }

    /// As if the files had not been touched for an hour.
    fn make_later(&self) -> Package {
        let now = SystemTime::now() + Duration::from_hours(1);
        make_at(now, &self.members, &self.caches()).unwrap()
    }

    fn entries(&self) -> usize {
        fs::read_dir(self.path("cache")).unwrap().count()
    }
}

fn contents(package: &Package) -> Vec<(String, Vec<u8>)> {
    let mut archive = Archive::new(GzDecoder::new(fs::File::open(&package.path).unwrap()));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry: tar::Entry<'_, GzDecoder<fs::File>> = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn members_stand_in_their_order_with_their_contents() {
    let big = vec![7; 3 << 20];
    let mut tree = Tree::new(&[
        ("b.py", b"b"),
        ("empty.py", b""),
        ("ünï.py", b"u"),
        ("big.bin", &big),
    ]);
    let long = format!("{}/x.py", "directory".repeat(40));
    symlink("b.py", tree.path("link.py")).unwrap();
    tree.list("link.py");
    for (name, data) in [("INFO", b"{}"), (&long, b"xx"), ("b.py", b"22")] {
        let source = Source::Data(data.to_vec());
        tree.members.push(Member {
            name: name.to_owned(),
            source,
        });
    }
    let package = tree.make().unwrap();
    let names: Vec<_> = contents(&package)
        .into_iter()
        .map(|(name, content)| (name, content.len()))
        .collect();
    let expected = [
        ("b.py", 1),
        ("empty.py", 0),
        ("ünï.py", 1),
        ("big.bin", 3 << 20),
        ("link.py", 1),
        ("INFO", 2),
        (&long, 2),
        ("b.py", 2),
    ];
    assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));

    let bytes = fs::read(&package.path).unwrap();
    assert_eq!(package.size, bytes.len() as u64);
    assert_eq!(package.sha1, hex::encode(Sha1::digest(&bytes)));
    assert_eq!(package.sha256, hex::encode(Sha256::digest(&bytes)));
    assert_eq!(fs::metadata(&package.path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let files: [(&str, &[u8]); 2] = [("a.py", b"a"), ("b.py", &vec![1; 100_000])];
    let [one, two] =
        [Tree::new(&files), Tree::new(&files)].map(|tree| (tree.make().unwrap().sha256, tree));
    assert_eq!(one.0, two.0);
}

#[test]
fn an_unchanged_tree_is_packed_once() {
    let tree = Tree::new(&[("a.py", b"a")]);
    let first = tree.make_later();
    let made = inode(&first.path);
    assert_eq!(tree.make().unwrap(), first);
    assert_eq!((inode(&first.path), tree.entries()), (made, 1));

    // A copy with the old content and times is another file, and may have been anything in between.
    let times = fs::metadata(tree.path("a.py")).unwrap().modified().unwrap();
    fs::write(tree.path("a.py"), b"b").unwrap();
    fs::File::open(tree.path("a.py"))
        .unwrap()
        .set_modified(times)
        .unwrap();
    let second = tree.make_later();
    assert_eq!(contents(&second), [("a.py".to_owned(), b"b".to_vec())]);
    assert_eq!(contents(&first), [("a.py".to_owned(), b"a".to_vec())]);

    fs::set_permissions(tree.path("a.py"), Permissions::from_mode(0o755)).unwrap();
    assert_ne!(tree.make_later(), second);
}

#[test]
fn what_was_written_just_now_is_read_again() {
    let tree = Tree::new(&[("a.py", b"a")]);
    let first = tree.make().unwrap();
    let made = inode(&first.path);
    assert_eq!(tree.make().unwrap(), first);
    assert_ne!(inode(&first.path), made);
    assert_eq!(tree.entries(), 1);
}

#[test]
fn a_damaged_entry_is_made_again() {
    let tree = Tree::new(&[("a.py", b"a")]);
    let first = tree.make_later();
    fs::OpenOptions::new()
        .write(true)
        .open(&first.path)
        .unwrap()
        .set_len(5)
        .unwrap();
    assert_eq!(tree.make_later(), first);
    assert_eq!(contents(&first), [("a.py".to_owned(), b"a".to_vec())]);
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let tree = Tree::new(&[("a.py", &vec![3; 1 << 20]), ("b.py", b"b")]);
    thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| tree.make_later())).collect();
        let made: Vec<_> = makers
            .into_iter()
            .map(|maker| maker.join().unwrap())
            .collect();
        assert!(made.windows(2).all(|two| two[0] == two[1]));
        assert_eq!(contents(&made[0]).len(), 2);
    });
    assert_eq!(tree.entries(), 1);
}

#[test]
fn the_first_folder_that_can_be_used_is_used() {
    let tree = Tree::new(&[("a.py", b"a")]);
    let open = tree.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let unusable = [
        Cache::new(tree.path("a.py").join("cache")),
        Cache::new(&open),
    ];
    let error = make(&tree.members, &unusable).unwrap_err();
    assert!(
        matches!(&error, PackageError::NoFolder { tried } if tried.contains("this user alone")),
        "{error}"
    );
    assert!(error.hint().contains("XDG_CACHE_HOME"));

    let caches = [unusable.as_slice(), &tree.caches()].concat();
    assert!(
        make(&tree.members, &caches)
            .unwrap()
            .path
            .starts_with(tree.path("cache"))
    );
}

#[test]
fn entries_not_used_for_long_give_way() {
    let tree = Tree::new(&[("a.py", b"a")]);
    let cache = Cache::new(tree.path("cache"));
    let old = tree.make_later();
    fs::write(tree.path("a.py"), b"b").unwrap();
    let new = tree.make_later();
    for (name, size) in [(".new-1", 1), ("other.tgz", 5)] {
        fs::write(tree.path("cache").join(name), vec![0; size]).unwrap();
    }
    let now = SystemTime::now();
    cache.shrink(&new.path, 0, now);
    assert_eq!(tree.entries(), 4, "all are young");
    cache.shrink(&new.path, 1 << 20, now + Duration::from_hours(2));
    assert_eq!(tree.entries(), 4, "there is room");
    cache.shrink(&new.path, 0, now + Duration::from_hours(2));
    assert!(!old.path.exists() && new.path.exists());
    assert_eq!(tree.entries(), 3);
    cache.shrink(&new.path, 0, now + Duration::from_hours(48));
    assert_eq!(
        tree.entries(),
        2,
        "the unfinished file is gone, the stranger is not"
    );
}

#[test]
fn what_cannot_be_packed_is_named() {
    let mut tree = Tree::new(&[("a.py", b"a")]);
    symlink("nowhere", tree.path("dangling.py")).unwrap();
    tree.list("dangling.py");
    let error = tree.make().unwrap_err();
    assert!(
        matches!(&error, PackageError::Unreadable { path, .. } if *path == tree.path("dangling.py")),
        "{error}"
    );
    assert!(
        error.hint().contains("symbolic link to nothing"),
        "{}",
        error.hint()
    );

    fs::remove_file(tree.path("dangling.py")).unwrap();
    assert!(
        tree.make()
            .unwrap_err()
            .hint()
            .contains("start the run again")
    );

    fs::create_dir(tree.path("dangling.py")).unwrap();
    let error = tree.make().unwrap_err();
    assert!(
        error.to_string().contains("dangling.py") && error.to_string().contains("a folder"),
        "{error}"
    );
    assert!(error.hint().contains("--package-suffixes"));
    assert!(!tree.path("cache").exists());
}

#[test]
fn a_package_has_limits() {
    let tree = Tree::new(&[
        ("small.py", b"1"),
        ("large.py", b"12345"),
        ("middle.py", b"123"),
    ]);
    let listed = member::look(&tree.members).unwrap();
    assert!(member::within_limit(&listed, 9).is_ok());
    let error = member::within_limit(&listed, 8).unwrap_err().to_string();
    assert!(
        error.contains("9 bytes") && error.contains("large.py` with 5"),
        "{error}"
    );
}

#[test]
fn a_file_that_changed_since_it_was_listed_is_found_out() {
    let tree = Tree::new(&[("a.py", b"a"), ("b.py", b"b")]);
    let path = tree.path("b.py");
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(&path, b"longer").unwrap(),
        &|| fs::write(&path, b"c").unwrap(),
        &|| fs::rename(tree.path("a.py"), &path).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
    ];
    for change in changes {
        let members = &tree.members[1..];
        let listed = member::look(members).unwrap();
        thread::sleep(Duration::from_millis(20)); // the step of the file system's clock
        change();
        let packed = compress::gzip(Vec::new(), |chunks| {
            archive::write(&listed, &mut Owners::default(), chunks)
        });
        let error = packed.unwrap_err();
        assert!(
            matches!(&error, PackageError::Changing { path: p } if *p == path),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_keeps_changing_is_named() {
    let tree = Tree::new(&[("a.py", b"a"), ("growing.csv", &vec![b'x'; 8 << 20])]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(tree.path("growing.csv"))
                .unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
            }
        });
        let made = tree.make();
        done.store(true, Ordering::Relaxed);
        let error = made.unwrap_err();
        assert!(
            error.to_string().contains("growing.csv` changes while"),
            "{error}"
        );
        assert!(error.hint().contains("wait until"));
    });
    let package = tree.make().unwrap();
    assert_eq!(contents(&package).len(), 2);
}

/// What Python writes before the code: magic number, flags, time and size of the source.
fn bytecode(magic: [u8; 4], flags: u32, source: &fs::Metadata) -> Vec<u8> {
    let numbers = [flags, source.mtime() as u32, source.size() as u32];
    let header = numbers.iter().flat_map(|number| number.to_le_bytes());
    magic.into_iter().chain(header).chain(*b"code").collect()
}

#[test]
fn bytecode_is_packed_for_the_sources_of_a_package() {
    const MAGIC: [u8; 4] = *b"\xa7\r\r\n";
    let tree = Tree::new(&[("m.py", b"x = 1")]);
    let metadata = fs::metadata(tree.path("m.py")).unwrap();
    let mut aged = bytecode(MAGIC, 0, &metadata);
    aged[8] ^= 1;
    let mut longer = bytecode(MAGIC, 0, &metadata);
    longer[12] ^= 1;
    let files = [
        ("current", bytecode(MAGIC, 0, &metadata)),
        ("of_another_version", bytecode(*b"\xcb\r\r\n", 0, &metadata)),
        ("by_digest", bytecode(MAGIC, 3, &metadata)),
        ("aged", aged),
        ("longer", longer),
        ("cut", MAGIC.to_vec()),
    ];
    let compiled = files.map(|(name, content)| {
        fs::write(tree.path(name), content).unwrap();
        Compiled {
            name: format!("__pycache__/{name}.pyc"),
            path: tree.path(name),
            source: tree.path("m.py"),
            modified: metadata.mtime(),
            size: metadata.size(),
        }
    });
    let current = &compiled[0];
    let others = [
        Compiled {
            path: tree.path("nowhere"),
            ..current.clone()
        },
        Compiled {
            source: tree.path("nowhere"),
            ..current.clone()
        },
        // It was packed, and changed since.
        Compiled {
            source: tree.path("aged"),
            ..current.clone()
        },
    ];
    let members = super::bytecode(compiled.iter().cloned().chain(others), MAGIC);
    let package = make(&members, &tree.caches()).unwrap();
    let [(name, content)] = contents(&package).try_into().unwrap();
    assert_eq!(name, "__pycache__/current.pyc");
    let size = 5_u32.to_le_bytes();
    let expected = [
        &MAGIC[..],
        &[0; 4],
        &1_575_360_000_u32.to_le_bytes(),
        &size,
        b"code",
    ];
    assert_eq!(content, expected.concat());
}
