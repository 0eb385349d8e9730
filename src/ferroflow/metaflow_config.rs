//! Metaflow's settings for verbs without a flow: in its order (`from_conf` in
//! metaflow/metaflow_config_funcs.py), each with what it came from. In a run they come from the flow
//! host, which asks Metaflow itself.
//!
//! 1. the environment, 2. `.metaflow/config.json` of the first folder that has a `.metaflow`, from the
//!    working directory upwards, 3. `config.json`, or `config_PROFILE.json`, in `$METAFLOW_HOME` or
//!    `~/.metaflowconfig`, 4. defaults. What extensions of Metaflow set is known to Python only.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

/// Folder of the local datastore, and of a project's settings (`DATASTORE_LOCAL_DIR` in metaflow/metaflow_config.py).
pub(crate) const FOLDER: &str = ".metaflow";
const FILE: &str = "config.json";

/// What a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The environment.
    Environment,
    /// A configuration file.
    File(PathBuf),
    /// Another setting, which serves where this one is not set.
    Setting(&'static str),
    /// Metaflow's own.
    Default,
    /// Metaflow itself says something else than its files: an extension has set it.
    Extension,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => write!(f, "environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Setting(name) => write!(f, "METAFLOW_{name}"),
            Self::Default => write!(f, "default"),
            Self::Extension => write!(f, "an extension of Metaflow"),
        }
    }
}

/// A value, as text: JSON where a file has something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Why the configuration cannot be read. Metaflow ends with an error, too.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// METAFLOW_PROFILE names a file that is not there.
    #[error("there is no `{}`, which METAFLOW_PROFILE `{profile}` names", path.display())]
    NoProfile { profile: String, path: PathBuf },
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file is not what it should be.
    #[error("`{}` is no JSON object{why}", path.display())]
    NoObject { path: PathBuf, why: String },
}

/// Settings that serve in the place of others (metaflow/metaflow_config.py).
const SERVES_FOR: [(&str, &str); 5] = [
    ("BATCH_CONTAINER_IMAGE", "DEFAULT_CONTAINER_IMAGE"),
    ("BATCH_CONTAINER_REGISTRY", "DEFAULT_CONTAINER_REGISTRY"),
    ("SERVICE_INTERNAL_URL", "SERVICE_URL"),
    ("DATATOOLS_S3ROOT", "DATASTORE_SYSROOT_S3"),
    ("CARD_S3ROOT", "DATASTORE_SYSROOT_S3"),
];

/// Folders below METAFLOW_DATASTORE_SYSROOT_S3.
const BELOW_THE_ROOT: [(&str, &str); 2] =
    [("DATATOOLS_S3ROOT", "data"), ("CARD_S3ROOT", "mf.cards")];

/// Defaults that are not empty (metaflow/metaflow_config.py).
const DEFAULTS: [(&str, &str); 9] = [
    ("DEFAULT_DATASTORE", "local"),
    ("DEFAULT_METADATA", "local"),
    ("DEFAULT_ENVIRONMENT", "local"),
    ("DEFAULT_AWS_CLIENT_PROVIDER", "boto3"),
    ("BATCH_EMIT_TAGS", "False"),
    ("AWS_SANDBOX_ENABLED", "False"),
    ("FEAT_ALWAYS_UPLOAD_CODE_PACKAGE", "False"),
    ("DEFAULT_RUNTIME_LIMIT", "432000"),
    ("S3_RETRY_COUNT", "7"),
];

/// The settings of this environment and working directory.
#[derive(Debug, Default)]
pub(crate) struct MetaflowConfig {
    environment: BTreeMap<String, String>,
    /// Of the project, then of the user.
    files: Vec<(PathBuf, Map<String, Value>)>,
}

impl MetaflowConfig {
    /// Reads the files.
    pub(crate) fn load() -> Result<Self, ConfigError> {
        let here = env::current_dir().unwrap_or_default();
        Self::of(variables(), &here)
    }

    /// Nothing but the environment: for going on where a file cannot be read.
    pub(crate) fn of_environment() -> Self {
        Self {
            environment: variables(),
            files: Vec::new(),
        }
    }

    fn of(environment: BTreeMap<String, String>, here: &Path) -> Result<Self, ConfigError> {
        let of_project = project_file(here).map(|path| (path, false));
        let profile = environment
            .get("METAFLOW_PROFILE")
            .filter(|p| !p.is_empty());
        let of_user = user_file(&environment, profile.map(String::as_str));
        let mut files = Vec::new();
        for (path, must_be) in of_project.into_iter().chain([(of_user, profile.is_some())]) {
            match read(&path)? {
                Some(content) => files.push((path, content)),
                None if must_be => {
                    let profile = profile.cloned().unwrap_or_default();
                    return Err(ConfigError::NoProfile { profile, path });
                }
                None => {}
            }
        }
        Ok(Self { environment, files })
    }

    /// A setting by its name without METAFLOW_; `None` where it is not set and has no default.
    pub(crate) fn get(&self, name: &'static str) -> Option<Setting> {
        self.given(name)
            .or_else(|| self.served(name))
            .or_else(|| default(name))
    }

    /// The same as text that is not empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        let setting = self.get(name)?;
        (!setting.value.is_empty()).then_some(setting.value)
    }

    /// A switch, as Metaflow reads texts.
    pub(crate) fn is_on(&self, name: &'static str) -> bool {
        let value = self.get(name).map(|setting| setting.value.to_lowercase());
        value.is_some_and(|value| !["", "0", "false"].contains(&value.as_str()))
    }

    /// The files that were read, the strongest first.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    fn given(&self, name: &str) -> Option<Setting> {
        let name = format!("METAFLOW_{name}");
        if let Some(value) = self.environment.get(&name) {
            return Some(Setting {
                value: value.clone(),
                origin: Origin::Environment,
            });
        }
        self.files.iter().find_map(|(path, content)| {
            let value = content.get(&name)?;
            let origin = Origin::File(path.clone());
            text(value).map(|value| Setting { value, origin })
        })
    }

    fn served(&self, name: &str) -> Option<Setting> {
        let (_, other) = SERVES_FOR.iter().find(|(one, _)| *one == name)?;
        let root = self.given(other)?.value;
        let below = BELOW_THE_ROOT.iter().find(|(one, _)| *one == name);
        let value = match below {
            Some(_) if root.is_empty() => return None,
            Some((_, folder)) => format!("{}/{folder}", root.strip_suffix('/').unwrap_or(&root)),
            None => root,
        };
        Some(Setting {
            value,
            origin: Origin::Setting(other),
        })
    }
}

/// The environment. What is not UTF-8 is no setting that could be used.
fn variables() -> BTreeMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// As Python's `str` would show it, so far as that matters; JSON for lists and objects.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        other => Some(other.to_string()),
    }
}

fn default(name: &str) -> Option<Setting> {
    let (_, value) = DEFAULTS.iter().find(|(one, _)| *one == name)?;
    Some(Setting {
        value: (*value).to_owned(),
        origin: Origin::Default,
    })
}

/// The search ends at the first `.metaflow`, whether it has the file or not.
fn project_file(here: &Path) -> Option<PathBuf> {
    Some(folder_above(here)?.join(FILE))
}

/// The first `.metaflow` from a folder upwards (`get_datastore_root_from_config` in
/// metaflow/plugins/datastores/local_storage.py).
pub(crate) fn folder_above(here: &Path) -> Option<PathBuf> {
    let mut folders = here.ancestors().map(|folder| folder.join(FOLDER));
    folders.find(|folder| folder.is_dir())
}

fn user_file(environment: &BTreeMap<String, String>, profile: Option<&str>) -> PathBuf {
    let name = profile.map_or_else(|| FILE.to_owned(), |name| format!("config_{name}.json"));
    let home = environment.get("METAFLOW_HOME").map(String::as_str);
    with_home(home.unwrap_or("~/.metaflowconfig"), environment).join(name)
}

/// `~/x` below HOME, as `os.path.expanduser` has it.
fn with_home(path: &str, environment: &BTreeMap<String, String>) -> PathBuf {
    let below = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (below, environment.get("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(format!("{home}{rest}")),
        _ => PathBuf::from(path),
    }
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(ConfigError::Unreadable { path, source });
        }
    };
    let no_object = |why: String| ConfigError::NoObject {
        path: path.to_owned(),
        why,
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(content)) => Ok(Some(content)),
        Ok(_) => Err(no_object(String::new())),
        Err(error) => Err(no_object(format!(": {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Place(TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(self, path: &str, content: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            self
        }

        fn load(&self, variables: &[(&str, &str)]) -> Result<MetaflowConfig, ConfigError> {
            let home = self.0.path().to_str().unwrap();
            let home = [("HOME", home)];
            let pairs = variables.iter().chain(&home);
            let environment = pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            MetaflowConfig::of(environment, &self.0.path().join("work/deep"))
        }
    }

    fn place() -> Place {
        Place::new()
            .file("work/deep/x", "")
            .file(
                ".metaflowconfig/config.json",
                r#"{"METAFLOW_USER": "of-user", "METAFLOW_BATCH_JOB_QUEUE": "q", "METAFLOW_SERVICE_URL": "u"}"#,
            )
            .file(".metaflowconfig/config_p.json", r#"{"METAFLOW_USER": "of-profile"}"#)
            .file("work/.metaflow/config.json", r#"{"METAFLOW_BATCH_JOB_QUEUE": "of-project"}"#)
    }

    #[test]
    fn the_root_is_searched_upwards() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(folder.path().join("a/.metaflow"), "no folder").unwrap();
        fs::create_dir(folder.path().join(".metaflow")).unwrap();
        assert_eq!(folder_above(&deep), Some(folder.path().join(".metaflow")));
    }

    #[test]
    fn the_strongest_wins() {
        let place = place();
        let user = |variables: &[_]| place.load(variables).unwrap().text("USER").unwrap();
        assert_eq!(user(&[]), "of-user");
        assert_eq!(user(&[("METAFLOW_PROFILE", "p")]), "of-profile");
        assert_eq!(user(&[("METAFLOW_USER", "me")]), "me");
        let config = place.load(&[]).unwrap();
        let queue = config.get("BATCH_JOB_QUEUE").unwrap();
        assert_eq!(queue.value, "of-project");
        assert!(
            queue
                .origin
                .to_string()
                .ends_with("work/.metaflow/config.json")
        );
        let metadata = config.get("DEFAULT_METADATA").unwrap();
        assert_eq!(
            (&*metadata.value, metadata.origin),
            ("local", Origin::Default)
        );
        let internal = config.get("SERVICE_INTERNAL_URL").unwrap();
        assert_eq!(internal.origin, Origin::Setting("SERVICE_URL"));
        assert_eq!(config.get("ECS_S3_ACCESS_IAM_ROLE"), None);
    }

    #[test]
    fn the_empty_text_is_a_value() {
        let config = place().load(&[("METAFLOW_BATCH_JOB_QUEUE", "")]).unwrap();
        assert_eq!(config.get("BATCH_JOB_QUEUE").unwrap().value, "");
        assert_eq!(config.text("BATCH_JOB_QUEUE"), None);
    }

    #[test]
    fn the_search_ends_at_the_first_folder() {
        let place = place().file("work/deep/.metaflow/other", "");
        let config = place.load(&[]).unwrap();
        assert_eq!(config.text("BATCH_JOB_QUEUE").as_deref(), Some("q"));
    }

    #[test]
    fn switches_are_texts() {
        for (text, on) in [
            ("1", true),
            ("no", true),
            ("False", false),
            ("0", false),
            ("", false),
        ] {
            let config = place().load(&[("METAFLOW_BATCH_EMIT_TAGS", text)]).unwrap();
            assert_eq!(config.is_on("BATCH_EMIT_TAGS"), on, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = place().load(&[("METAFLOW_PROFILE", "none")]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("config_none.json`, which METAFLOW_PROFILE `none` names"),
            "{text}"
        );
        let bad = place().file(".metaflowconfig/config.json", "{");
        assert!(
            bad.load(&[])
                .unwrap_err()
                .to_string()
                .contains("config.json` is no JSON object: ")
        );
        let list = place().file(".metaflowconfig/config.json", "[]");
        assert!(
            list.load(&[])
                .unwrap_err()
                .to_string()
                .ends_with("config.json` is no JSON object")
        );
        let elsewhere = [("METAFLOW_HOME", "~/nowhere")];
        assert!(place().load(&elsewhere).unwrap().files().count() == 1);
    }
}
