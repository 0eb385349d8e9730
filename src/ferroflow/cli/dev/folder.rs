//! Which folder is the stack's.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use localstack::Folder;

use super::env::quoted;

/// Names the folder of the stack in use; `ferroflow dev env` sets it.
pub(super) const STACK: &str = "FERROFLOW_DEV_STACK";

#[derive(Debug, clap::Args)]
pub(super) struct Dir {
    /// The stack's folder [default: $FERROFLOW_DEV_STACK, else ferroflow/dev in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Dir {
    /// The folder; nothing need be there.
    pub(super) fn folder(&self) -> Result<Folder> {
        let named = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let home = || named("HOME").map(|home| home.join(".local/share"));
        let chosen = self.dir.clone().or_else(|| named(STACK)).or_else(|| {
            let data = named("XDG_DATA_HOME").or_else(home)?;
            Some(data.join("ferroflow/dev"))
        });
        let Some(chosen) = chosen else {
            bail!("there is no home folder for the stack\nhint: name a folder by --dir");
        };
        let path = std::path::absolute(&chosen)
            .with_context(|| format!("`{}` names no folder", chosen.display()))?;
        Ok(Folder::new(path))
    }
}

impl Dir {
    /// What leads to the same folder in another command.
    pub(super) fn words(&self) -> String {
        let dir = self.dir.as_ref();
        dir.map_or_else(String::new, |dir| {
            format!(" --dir {}", quoted(&dir.to_string_lossy()))
        })
    }
}

/// The default one, or that of the environment.
pub(super) fn usual() -> Result<Folder> {
    Dir { dir: None }.folder()
}
