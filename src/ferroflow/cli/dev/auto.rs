//! When `ferroflow FLOW.py` starts the stack by itself: when steps are to run on Batch and nothing says where that is.
//!
//! It must be done before Python starts, because Metaflow binds queue and datastore when it is imported. A flow whose
//! steps have @batch in their source is known only to Python: its error brings it back here, once
//! (`python/ferroflow/no_aws.py`). A machine with an endpoint, a queue or a datastore in its environment or a configuration of
//! Metaflow, and a CI runner, get upstream's error instead: what was meant for AWS must not seem to succeed there. Keys and
//! profiles of AWS say nothing about that.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::Write,
    path::Path,
    process::Command,
};

use anyhow::{Result, bail};

use super::{
    folder,
    serve::Settings,
    up::{self, Up},
    variables,
};

/// `auto`, `always` or `never`.
const WISH: &str = "FERROFLOW_DEV";
/// Tells Python that the stack may be started, should the flow need it; Python sets it to `wanted` when it does.
const ON_ERROR: &str = "FERROFLOW_DEV_ON_ERROR";
/// Set by CI services (the first by nearly all).
const CI: [&str; 6] = [
    "CI",
    "BUILD_ID",
    "CODEBUILD_BUILD_ID",
    "GITHUB_ACTIONS",
    "TEAMCITY_VERSION",
    "TF_BUILD",
];

/// Gives the flow's Python the environment of a stack, which is started if need be, or leaves things as they are.
pub(crate) fn prepare(command: &mut Command, args: &[OsString], python: &Path) -> Result<()> {
    let wish = env::var_os(WISH).filter(|wish| !wish.is_empty());
    let may = match wish.as_deref().and_then(OsStr::to_str) {
        Some("never") => false,
        Some("always") => true,
        None | Some("auto") => nothing_says_where(),
        _ => bail!(
            "{WISH} is `{}`\nhint: use auto, always or never",
            wish.unwrap_or_default().display()
        ),
    };
    let back = env::var_os(ON_ERROR).is_some_and(|value| value == "wanted");
    command.env_remove(ON_ERROR);
    if !may || !starts_run(args) {
        return Ok(());
    }
    let default = env::var("METAFLOW_DEFAULT_DECOSPECS").unwrap_or_default();
    if !back && !asks_for_batch(args, &default) {
        command.env(ON_ERROR, "possible");
        return Ok(());
    }
    use_stack(command, python)
}

fn use_stack(command: &mut Command, python: &Path) -> Result<()> {
    let folder = folder::usual()?;
    let python = std::path::absolute(python)?;
    let (stack, how) = match up::start(&folder, &Settings::default(), Some(python))? {
        Up::Started(stack) => (stack, "started"),
        Up::Already(stack) => (stack, "found"),
    };
    let _ = writeln!(
        std::io::stderr(),
        "ferroflow: AWS is not configured: Batch and S3 are this machine's embedded stack, {how} in {} (results: eval \"$(ferroflow dev env)\"; stop: ferroflow dev down)",
        folder.path().display()
    );
    let variables = variables::of(&folder, &stack)?;
    for name in variables.unset {
        command.env_remove(name);
    }
    command.envs(variables.set);
    Ok(())
}

/// Perhaps: the words may be values of options, too.
pub(crate) fn starts_run(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "run" || arg == "resume")
}

/// `--with batch`, `--with batch:cpu=4` and `--with=batch`, on the command line or in METAFLOW_DEFAULT_DECOSPECS.
fn asks_for_batch(args: &[OsString], default_decospecs: &str) -> bool {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let pairs = args.windows(2).filter(|pair| pair[0] == "--with");
    let apart = pairs.map(|pair| pair[1].as_ref());
    let joined = args.iter().filter_map(|arg| arg.strip_prefix("--with="));
    let mut specs = apart
        .chain(joined)
        .chain(default_decospecs.split_whitespace());
    specs.any(|spec| spec.split(':').next() == Some("batch"))
}

fn nothing_says_where() -> bool {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|v| !v.is_empty() && v != "false");
    let off = env::var_os("FERROFLOW").is_some_and(|wish| wish == "off");
    let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    !off && !CI.iter().any(is_set)
        && !names.into_iter().any(|name| says_where(&name))
        && !has_config_file()
}

fn says_where(name: &str) -> bool {
    let of_metaflow = name.strip_prefix("METAFLOW_").is_some_and(|rest| {
        rest == "PROFILE"
            || ["S3", "BATCH", "DATASTORE"]
                .iter()
                .any(|part| rest.contains(part))
    });
    of_metaflow || name.starts_with("AWS_ENDPOINT_URL")
}

/// Of the user ($METAFLOW_HOME/config*.json) or of the project (.metaflow/config.json here or above).
fn has_config_file() -> bool {
    let home = env::var_os("METAFLOW_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| {
            let home = env::var_os("HOME")?;
            Some(Path::new(&home).join(".metaflowconfig"))
        });
    let of_user = home
        .and_then(|home| home.read_dir().ok())
        .is_some_and(|files| {
            files.flatten().any(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                name.starts_with("config")
                    && Path::new(&name).extension().is_some_and(|e| e == "json")
            })
        });
    let here = env::current_dir().unwrap_or_default();
    of_user
        || here
            .ancestors()
            .any(|folder| folder.join(".metaflow/config.json").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(args: &str, default: &str) -> bool {
        let args: Vec<_> = args.split(' ').map(OsString::from).collect();
        starts_run(&args) && asks_for_batch(&args, default)
    }

    #[test]
    fn batch_is_asked_for_in_many_ways() {
        for args in [
            "run --with batch",
            "run --with=batch",
            "--with batch:cpu=4 run --tag x",
            "resume --with batch",
        ] {
            assert!(asks(args, ""), "{args}");
        }
        assert!(asks("run", "retry batch:memory=100"));
        for args in [
            "run",
            "run --with batchy",
            "run --with retry",
            "show --with batch",
            "run --tag batch",
        ] {
            assert!(!asks(args, "retry"), "{args}");
        }
    }

    #[test]
    fn settings_say_where() {
        for name in [
            "METAFLOW_PROFILE",
            "METAFLOW_DATASTORE_SYSROOT_S3",
            "METAFLOW_S3_ENDPOINT_URL",
            "METAFLOW_BATCH_JOB_QUEUE",
            "METAFLOW_DEFAULT_DATASTORE",
            "AWS_ENDPOINT_URL_S3",
        ] {
            assert!(says_where(name), "{name}");
        }
        for name in [
            "METAFLOW_USER",
            "METAFLOW_DEFAULT_DECOSPECS",
            "AWS_REGION",
            "XMETAFLOW_S3",
        ] {
            assert!(!says_where(name), "{name}");
        }
    }
}
