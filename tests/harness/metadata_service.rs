//! A metadata service for the tests of one process (`stack/metadata_service.py`).

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::{python, tests_folder};

pub(crate) struct MetadataService {
    process: Child,
    url: String,
}

impl MetadataService {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(python::with_metaflow())
            .arg(tests_folder().join("stack/metadata_service.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut port = String::new();
        let stdout = process.stdout.take().expect("its output is piped");
        BufReader::new(stdout)
            .read_line(&mut port)
            .expect("it tells its port");
        let url = format!("http://127.0.0.1:{}", port.trim());
        Self { process, url }
    }

    /// By which Metaflow uses it.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        [
            ("METAFLOW_DEFAULT_METADATA", "service"),
            ("METAFLOW_SERVICE_URL", &self.url),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

impl Drop for MetadataService {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
