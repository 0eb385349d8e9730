//! Packages that nobody should send.

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};

use super::*;

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1_575_360_000);
    // Past the checks of `set_path`.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

fn link(kind: EntryType, name: &str, target: &str) -> Header {
    let mut header = header(kind, name, 0);
    header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn package(members: &[(Header, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (header, body) in members {
        builder.append(header, *body).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn file(name: &str) -> (Header, &'static [u8]) {
    (header(EntryType::Regular, name, 5), b"hello")
}

fn unpack(members: &[(Header, &[u8])]) -> (tempfile::TempDir, Result<(), ExtractError>) {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir(&root).unwrap();
    let result = extract(&package(members)[..], &root);
    (outer, result)
}

#[test]
fn files_keep_mode_and_time() {
    let mut script = header(EntryType::Regular, "bin/run", 5);
    script.set_mode(0o6755);
    script.set_cksum();
    let (outer, result) = unpack(&[
        (header(EntryType::Directory, "bin/", 0), b""),
        (script, b"hello"),
        file("./a/b.py"),
        (link(EntryType::Symlink, "a/c", "../bin/run"), b""),
        (link(EntryType::Link, "d", "a/b.py"), b""),
    ]);
    result.unwrap();
    let root = outer.path().join("root");
    let metadata = fs::metadata(root.join("a/c")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
    let mtime = metadata.modified().unwrap().duration_since(UNIX_EPOCH);
    assert_eq!(mtime.unwrap().as_secs(), 1_575_360_000);
    assert_eq!(fs::read(root.join("d")).unwrap(), b"hello");
}

#[test]
fn gzip_may_have_several_members() {
    let mut builder = Builder::new(Vec::new());
    for (header, body) in [file("one"), file("two")] {
        builder.append(&header, body).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    let (first, second) = tar.split_at(1024);
    let root = tempfile::tempdir().unwrap();
    extract(&[gzip(first), gzip(second)].concat()[..], root.path()).unwrap();
    assert_eq!(fs::read(root.path().join("two")).unwrap(), b"hello");
}

type Case = (&'static str, Vec<(Header, &'static [u8])>);

#[test]
fn nothing_leaves_the_folder() {
    let symlink = |name, target| (link(EntryType::Symlink, name, target), &b""[..]);
    let hard = |name, target| (link(EntryType::Link, name, target), &b""[..]);
    let cases: Vec<Case> = vec![
        ("parent", vec![file("../x")]),
        ("parent in the middle", vec![file("a/../../x")]),
        ("absolute", vec![file("/tmp/x")]),
        ("absolute link", vec![symlink("l", "/etc/passwd")]),
        ("link upwards", vec![symlink("l", "..")]),
        ("link upwards from below", vec![symlink("a/l", "../../x")]),
        (
            "link through a link",
            vec![symlink("d/x", ".."), symlink("y", "d/x/..")],
        ),
        (
            "link in a link",
            vec![symlink("d", "e"), symlink("d/x", "..")],
        ),
        ("empty link", vec![symlink("l", "")]),
        ("hard link out", vec![hard("l", "../x")]),
        (
            "hard link to an absolute file",
            vec![hard("l", "/etc/passwd")],
        ),
        ("hard link to nothing", vec![hard("l", "nothing")]),
        (
            "hard link to a link",
            vec![symlink("s", "t"), hard("l", "s")],
        ),
        ("link over a file", vec![file("l"), symlink("l", "x")]),
        ("write through a link", vec![symlink("l", "a"), file("l/x")]),
        ("pipe", vec![(header(EntryType::Fifo, "p", 0), b"")]),
        ("device", vec![(header(EntryType::Char, "c", 0), b"")]),
        (
            "block device",
            vec![(header(EntryType::Block, "b", 0), b"")],
        ),
    ];
    for (what, members) in cases {
        let (outer, result) = unpack(&members);
        assert!(
            matches!(result, Err(ExtractError::Refused { .. })),
            "{what}: {result:?}"
        );
        let outside: Vec<_> = fs::read_dir(outer.path()).unwrap().collect();
        assert_eq!(outside.len(), 1, "{what}");
    }
}

#[test]
fn sizes_are_limited_before_anything_is_written() {
    let (_, result) = unpack(&[]);
    result.unwrap();
    let mut bomb = header(EntryType::Regular, "bomb", MAX_BYTES + 1);
    bomb.set_cksum();
    let root = tempfile::tempdir().unwrap();
    let result = extract(&gzip(bomb.as_bytes())[..], root.path());
    assert!(matches!(result, Err(ExtractError::TooLarge)), "{result:?}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_last_of_two_members_stays() {
    let second = (header(EntryType::Regular, "a", 3), &b"two"[..]);
    let (outer, result) = unpack(&[file("a"), second]);
    result.unwrap();
    assert_eq!(fs::read(outer.path().join("root/a")).unwrap(), b"two");
}

#[test]
fn a_torn_package_is_an_error() {
    let whole = package(&[file("a")]);
    let root = tempfile::tempdir().unwrap();
    assert!(extract(&whole[..whole.len() / 2], root.path()).is_err());
}
