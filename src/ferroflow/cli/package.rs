//! `ferroflow package`: makes a code package of what the flow host has listed (`python/ferroflow/package.py`).

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use datastore::package::{self, Cache, Compiled, Member, Package, PackageError, Source};
use model::exit_code;
use serde::Deserialize;

use super::say;
use crate::host_files;

/// Standard input: what to pack. Standard output has the answer, the JSON form of [`Package`]; `null` where there is bytecode
/// to be packed, and none of it can be used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    members: Vec<Listed>,
    /// Where to put a copy of the archive; `path` of the answer is then this.
    output: Option<PathBuf>,
    bytecode: Option<Bytecode>,
}

/// Bytecode of what another package has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytecode {
    /// `importlib.util.MAGIC_NUMBER` in hexadecimal.
    magic: String,
    /// Of each the name of the member, file, source, and time and size of the source when it was packed.
    modules: Vec<(String, PathBuf, PathBuf, i64, u64)>,
}

impl Bytecode {
    fn members(self) -> Result<Vec<Member>> {
        let magic = hex::decode(&self.magic).ok();
        let magic = magic.and_then(|bytes| bytes.try_into().ok());
        let magic = magic.with_context(|| format!("`{}` is no magic number", self.magic))?;
        let compiled = |(name, path, source, modified, size)| Compiled {
            name,
            path,
            source,
            modified,
            size,
        };
        let compiled = self.modules.into_iter().map(compiled);
        Ok(package::bytecode(compiled, magic))
    }
}

/// A member: `{"name", "path"}` is a file, `{"name", "data"}` is content in hexadecimal.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Listed {
    File { name: String, path: PathBuf },
    Data { name: String, data: String },
}

impl TryFrom<Listed> for Member {
    type Error = anyhow::Error;

    fn try_from(listed: Listed) -> Result<Self> {
        Ok(match listed {
            Listed::File { name, path } => Member {
                name,
                source: Source::File(path),
            },
            Listed::Data { name, data } => {
                let data = hex::decode(data)
                    .with_context(|| format!("the data of `{name}` is not hexadecimal"))?;
                Member {
                    name,
                    source: Source::Data(data),
                }
            }
        })
    }
}

pub(crate) fn run() -> Result<ExitCode> {
    let request: Request = serde_json::from_reader(io::stdin().lock())
        .context("standard input does not list what to pack")?;
    let members = request.members.into_iter().map(Member::try_from);
    let mut members = members.collect::<Result<Vec<_>>>()?;
    if let Some(bytecode) = request.bytecode {
        members.extend(bytecode.members()?);
        if members.is_empty() {
            say::line("null")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let made = match package::make(&members, &caches()) {
        Ok(package) => package,
        Err(error) => return Ok(explain(error)),
    };
    let package = match request.output {
        Some(output) => copied(made, output)?,
        None => made,
    };
    say::line(serde_json::to_string(&package)?)?;
    Ok(ExitCode::SUCCESS)
}

fn caches() -> Vec<Cache> {
    let folders = host_files::cache_folders().into_iter();
    folders
        .map(|folder| Cache::new(folder.join("packages")))
        .collect()
}

fn copied(package: Package, output: PathBuf) -> Result<Package> {
    fs::copy(&package.path, &output)
        .with_context(|| format!("cannot write `{}`", output.display()))?;
    Ok(Package {
        path: output,
        ..package
    })
}

/// The text becomes that of Python's exception, so it goes without our name.
fn explain(error: PackageError) -> ExitCode {
    let code = match &error {
        PackageError::NoFolder { .. } => exit_code::NO_FOLDER,
        _ => exit_code::FAILURE,
    };
    let hint = error.hint();
    let text = anyhow::Error::from(error);
    let _ = writeln!(io::stderr(), "{text:#}\nhint: {hint}");
    ExitCode::from(code as u8)
}
