//! Which datastore `ferroflow status` reads: the one that `run` would use here.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use aws::{Aws, Patience, Settings, s3::S3Store};
use clap::ValueEnum;
use datastore::local::LocalStore;
use model::plan::S3Settings;

use crate::metaflow_config::{FOLDER, MetaflowConfig, folder_above};

/// Tries of a request to S3: somebody is waiting.
const S3_ATTEMPTS: u32 = 3;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Choice {
    /// Which datastore [default: $METAFLOW_DEFAULT_DATASTORE, else local]
    #[arg(long, value_enum, value_name = "TYPE")]
    datastore: Option<Kind>,
    /// Its root: a .metaflow folder, or s3://bucket/prefix [default: what `run` would use here]
    #[arg(long, value_name = "ROOT")]
    datastore_root: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// On disk
    Local,
    /// On Amazon S3, or a server that speaks its API
    S3,
}

/// A datastore.
#[derive(Debug)]
pub(in crate::cli) enum Place {
    Local(LocalStore),
    S3 { root: String, s3: S3Settings },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(store) => write!(f, "the datastore `{}`", store.root().display()),
            Self::S3 { root, .. } => write!(f, "the datastore `{root}`"),
        }
    }
}

impl Choice {
    pub(in crate::cli) fn find(&self) -> Result<Place> {
        let config = MetaflowConfig::load()?;
        match self.kind(&config)? {
            Kind::Local => self.local(&config),
            Kind::S3 => self.s3(&config),
        }
    }

    fn kind(&self, config: &MetaflowConfig) -> Result<Kind> {
        if let Some(kind) = self.datastore {
            return Ok(kind);
        }
        if let Some(root) = &self.datastore_root {
            return Ok(if root.starts_with("s3://") {
                Kind::S3
            } else {
                Kind::Local
            });
        }
        match config.text("DEFAULT_DATASTORE").as_deref() {
            None | Some("local") => Ok(Kind::Local),
            Some("s3") => Ok(Kind::S3),
            Some(other) => bail!(
                "METAFLOW_DEFAULT_DATASTORE is `{other}`, and Ferroflow keeps records in the datastores local and s3 only\nhint: --datastore names another"
            ),
        }
    }

    fn local(&self, config: &MetaflowConfig) -> Result<Place> {
        let root = match (&self.datastore_root, config.text("DATASTORE_SYSROOT_LOCAL")) {
            (Some(root), _) => PathBuf::from(root),
            (None, Some(root)) => Path::new(&root).join(FOLDER),
            (None, None) => {
                let here = env::current_dir().context("cannot find the working directory")?;
                let Some(root) = folder_above(&here) else {
                    bail!(
                        "there is no {FOLDER} folder in `{}` or above it, so no run was started here\nhint: go where the flow was started, or name the datastore by --datastore or --datastore-root",
                        here.display()
                    );
                };
                root
            }
        };
        Ok(Place::Local(LocalStore::new(root)))
    }

    fn s3(&self, config: &MetaflowConfig) -> Result<Place> {
        let given = self.datastore_root.clone();
        let Some(root) = given.or_else(|| config.text("DATASTORE_SYSROOT_S3")) else {
            bail!(
                "METAFLOW_DATASTORE_SYSROOT_S3 does not say where the datastore is\nhint: set it, or name the root by --datastore-root s3://bucket/prefix"
            );
        };
        let bundle = config
            .text("S3_VERIFY_CERTIFICATE")
            .filter(|path| Path::new(path).exists());
        let s3 = S3Settings {
            endpoint: config.text("S3_ENDPOINT_URL"),
            ca_bundle: bundle,
            ..S3Settings::default()
        };
        Ok(Place::S3 { root, s3 })
    }
}

/// Opens a datastore on S3.
pub(in crate::cli) async fn open(root: &str, s3: &S3Settings) -> Result<S3Store> {
    let settings = Settings {
        s3: s3.clone(),
        patience: Patience {
            s3_attempts: S3_ATTEMPTS,
            ..Patience::default()
        },
        ..Settings::default()
    };
    let aws = Aws::load(settings).await?;
    Ok(S3Store::open(&aws, root).await?)
}
