//! The test program started again, with another environment: a test cannot change its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use aws::{Aws, Settings, batch, s3::S3Store};
use datastore::ObjectStore;
use model::batch::JobId;
use tempfile::TempDir;

use crate::server::impatience;

/// Tells the started program what to do.
const ROLE: &str = "FERROFLOW_TEST_ROLE";
/// How often the role `describe` asks.
const TIMES: &str = "FERROFLOW_TEST_TIMES";

/// A program to be started with a home folder of its own and nothing of AWS in its environment.
pub(crate) struct Again {
    home: TempDir,
    role: &'static str,
    variables: Vec<(String, String)>,
}

impl Again {
    pub(crate) fn new(role: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        let again = Self {
            home,
            role,
            variables: Vec::new(),
        };
        again
            .set("HOME", path)
            .set("PATH", std::env::var("PATH").unwrap())
            .set("AWS_EC2_METADATA_DISABLED", "true")
            .set("AWS_DEFAULT_REGION", "eu-west-3")
    }

    /// The same with keys in the environment.
    pub(crate) fn with_keys(role: &'static str) -> Self {
        Self::new(role)
            .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .set("AWS_SECRET_ACCESS_KEY", "secret")
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Makes a file in the home folder.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn times(self, times: u32) -> Self {
        self.set(TIMES, times.to_string())
    }

    pub(crate) async fn output(&self) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "again::started_again", "--nocapture"])
            .env_clear()
            .env(ROLE, self.role)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Runs it, and gives what it printed.
    pub(crate) async fn run(&self) -> String {
        let output = self.output().await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }
}

/// Not a test of its own: what a test starts.
#[tokio::test]
async fn started_again() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let settings = Settings {
        patience: impatience(),
        ..Settings::default()
    };
    let aws = match Aws::load(settings).await {
        Ok(aws) => aws,
        Err(error) => return println!("{error}"),
    };
    match role.to_str().unwrap() {
        "describe" => describe(&aws).await,
        "get" => {
            let store = S3Store::open(&aws, "s3://bucket/prefix").await.unwrap();
            assert_eq!(store.get("key").await.unwrap(), None);
            println!("region {}", store.address().region);
        }
        "load" => println!("{:?}", batch::Client::new(&aws).map(drop).err()),
        other => panic!("unknown role {other}"),
    }
}

async fn describe(aws: &Aws) {
    let client = batch::Client::new(aws).unwrap();
    let times = std::env::var(TIMES).map_or(1, |times| times.parse().unwrap());
    for _ in 0..times {
        if let Some(error) = client.describe_jobs(&[JobId::new("id")]).await.error {
            println!("{error}");
        }
    }
}

/// A path as text.
pub(crate) fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}
