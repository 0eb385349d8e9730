//! A metadata service for one test: `benches/metadata_service.py`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{python, tests_folder};

pub(crate) struct MetadataService {
    process: Child,
    url: String,
}

impl MetadataService {
    /// Each answer takes so many milliseconds.
    pub(crate) fn start(latency_ms: u32) -> Self {
        let mut process = Command::new(python::with_metaflow())
            .arg(tests_folder().with_file_name("benches/metadata_service.py"))
            .args(["--latency-ms", &latency_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut url = String::new();
        let stdout = process.stdout.as_mut().expect("its output is piped");
        // No more than the first line: the rest is for `report`.
        BufReader::with_capacity(1, stdout)
            .read_line(&mut url)
            .expect("it tells its URL");
        let url = url.trim().to_owned();
        Self { process, url }
    }

    /// By which Metaflow uses it.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("METAFLOW_DEFAULT_METADATA", "service"),
            ("METAFLOW_SERVICE_URL", &self.url),
        ]
    }

    /// What it says at its end.
    pub(crate) fn report(mut self) -> Value {
        drop(self.process.stdin.take());
        let stdout = self.process.stdout.take().expect("its output is piped");
        serde_json::from_reader(stdout).expect("a line of JSON")
    }
}

impl Drop for MetadataService {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
