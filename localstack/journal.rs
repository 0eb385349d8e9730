//! State that survives a restart: an append-only file of JSON lines, replayed when it is opened. A record is written by one
//! `write` call before its effect is answered, so the death of this process loses nothing; power loss may.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or creates a journal; the second part of the answer is its records, oldest first. A last line that is cut off
    /// is dropped; a broken line before it is an error that names the line.
    pub fn open<R: DeserializeOwned>(path: impl Into<PathBuf>) -> io::Result<(Self, Vec<R>)> {
        let path = path.into();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let whole = content
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        let records = content[..whole]
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_slice(line).map_err(|e| broken(&path, number, &e))
            })
            .collect::<io::Result<Vec<R>>>()?;
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        Ok((Self { path, file }, records))
    }

    /// Appends records by one write. One that fails half-way, on a full disk, leaves nothing behind.
    pub fn append<R: Serialize>(&mut self, records: &[R]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&lines(records.iter())?);
        if written.is_err() {
            self.file.set_len(before)?;
        }
        written
    }

    /// Replaces the whole content, e.g. by one record for each thing that is still there.
    pub fn rewrite<R: Serialize>(&mut self, records: impl Iterator<Item = R>) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        std::fs::write(&draft, lines(records)?)?;
        std::fs::rename(&draft, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(())
    }
}

fn lines<R: Serialize>(records: impl Iterator<Item = R>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, &record)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn broken(path: &Path, number: usize, error: &serde_json::Error) -> io::Error {
    let text = format!(
        "record {} of `{}` cannot be read: {error}",
        number + 1,
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_dropped_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.jsonl");
        let (mut journal, none) = Journal::open::<u32>(&path).unwrap();
        assert!(none.is_empty());
        journal.append(&[1_u32, 2]).unwrap();
        drop(journal);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"[3")
            .unwrap();
        let (mut journal, found) = Journal::open::<u32>(&path).unwrap();
        assert_eq!(found, [1, 2]);
        journal.append(&[4_u32]).unwrap();
        journal.rewrite([7_u32, 8].iter()).unwrap();
        journal.append(&[9_u32]).unwrap();
        assert_eq!(Journal::open::<u32>(&path).unwrap().1, [7, 8, 9]);
    }

    #[test]
    fn a_broken_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let error = Journal::open::<u32>(&path).unwrap_err().to_string();
        assert!(error.starts_with("record 2 of "), "{error}");
    }
}
