//! The values that decide about runs, with what they came from. Secrets are never shown.

use std::env;

use super::{Shown, machine, python::Answer};
use crate::metaflow_config::{MetaflowConfig, Origin};

/// Settings of Metaflow, without METAFLOW_.
pub(super) const SETTINGS: [&str; 31] = [
    "DEFAULT_DATASTORE",
    "DEFAULT_METADATA",
    "DEFAULT_ENVIRONMENT",
    "DEFAULT_DECOSPECS",
    "DATASTORE_SYSROOT_LOCAL",
    "DATASTORE_SYSROOT_S3",
    "DATATOOLS_S3ROOT",
    "CARD_S3ROOT",
    "S3_ENDPOINT_URL",
    "S3_VERIFY_CERTIFICATE",
    "S3_SERVER_SIDE_ENCRYPTION",
    "S3_RETRY_COUNT",
    "DATATOOLS_CLIENT_PARAMS",
    "SERVICE_URL",
    "SERVICE_INTERNAL_URL",
    "SERVICE_AUTH_KEY",
    "SERVICE_HEADERS",
    "BATCH_JOB_QUEUE",
    "BATCH_CONTAINER_IMAGE",
    "BATCH_CONTAINER_REGISTRY",
    "DEFAULT_CONTAINER_IMAGE",
    "DEFAULT_CONTAINER_REGISTRY",
    "ECS_S3_ACCESS_IAM_ROLE",
    "ECS_FARGATE_EXECUTION_ROLE",
    "BATCH_EMIT_TAGS",
    "BATCH_DEFAULT_TAGS",
    "DEFAULT_RUNTIME_LIMIT",
    "FEAT_ALWAYS_UPLOAD_CODE_PACKAGE",
    "DEFAULT_AWS_CLIENT_PROVIDER",
    "AWS_SANDBOX_ENABLED",
    "AWS_SANDBOX_API_KEY",
];

/// Of these, that they are set, and no more. Client parameters may hold keys.
const SECRET: [&str; 4] = [
    "DATATOOLS_CLIENT_PARAMS",
    "SERVICE_AUTH_KEY",
    "SERVICE_HEADERS",
    "AWS_SANDBOX_API_KEY",
];

/// Variables that are shown as they are, in the order of the list.
const VARIABLES: [&str; 31] = [
    "METAFLOW_HOME",
    "METAFLOW_PROFILE",
    "FERROFLOW",
    "FERROFLOW_PYTHON",
    "FERROFLOW_DEV",
    "FERROFLOW_DEV_STACK",
    "FERROFLOW_ARRAY_MIN",
    "FERROFLOW_BATCH_SHARE",
    "FERROFLOW_OOM_RETRIES",
    "FERROFLOW_OOM_MAX_MEMORY",
    "FERROFLOW_USAGE",
    "FERROFLOW_BATCH_TPS",
    "FERROFLOW_BOOTSTRAP_DIR",
    "FERROFLOW_JSON",
    "FERROFLOW_LOG",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_BATCH",
    "AWS_ENDPOINT_URL_STS",
    "AWS_EC2_METADATA_DISABLED",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "XDG_CACHE_HOME",
    "TMPDIR",
    "CI",
];

/// All that is set. `python` knows what extensions of Metaflow have changed.
pub(super) fn all(config: &MetaflowConfig, python: Option<&Answer>) -> Vec<Shown> {
    let mut values = Vec::new();
    for path in config.files() {
        values.push(Shown::new(
            "configuration file",
            &path.display().to_string(),
            "read",
        ));
    }
    if let Some((name, origin)) = machine::user(config) {
        values.push(Shown::new("METAFLOW_USER", &name, &origin));
    }
    values.extend(
        SETTINGS
            .iter()
            .filter_map(|name| setting(config, python, name)),
    );
    for name in VARIABLES {
        if let Ok(value) = env::var(name) {
            values.push(Shown::new(name, &without_password(&value), "environment"));
        }
    }
    values
}

fn setting(config: &MetaflowConfig, python: Option<&Answer>, name: &'static str) -> Option<Shown> {
    let own = config.get(name).filter(|setting| !setting.value.is_empty());
    let metaflows = python.and_then(|answer| answer.settings.get(name));
    let changed = metaflows.filter(|value| {
        let same = own.as_ref().is_some_and(|own| same(&own.value, value));
        !same && !is_nothing(value) && !is_filled_in(name)
    });
    let (value, origin) = match (changed, own) {
        (Some(value), _) => (value.clone(), Origin::Extension),
        (None, Some(own)) => (own.value, own.origin),
        (None, None) => return None,
    };
    let value = if SECRET.contains(&name) {
        "(set)".to_owned()
    } else {
        without_password(&value)
    };
    Some(Shown::new(
        &format!("METAFLOW_{name}"),
        &value,
        &origin.to_string(),
    ))
}

/// Metaflow reads `1` and `true` as True, and JSON as what it says.
fn same(own: &str, metaflows: &str) -> bool {
    let truth = |text: &str| !["", "0", "false"].contains(&text.to_lowercase().as_str());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match metaflows {
        "True" => truth(own),
        "False" => !truth(own),
        _ => own == metaflows || json(own).is_some_and(|own| Some(own) == json(metaflows)),
    }
}

/// What Metaflow has where nobody has set anything.
fn is_nothing(value: &str) -> bool {
    ["", "{}", "[]"].contains(&value)
}

/// Metaflow puts other settings into these.
fn is_filled_in(name: &str) -> bool {
    ["DATATOOLS_CLIENT_PARAMS", "SERVICE_HEADERS"].contains(&name)
}

/// An address without what stands before the `@`.
fn without_password(value: &str) -> String {
    let hidden = value.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://…@{host}{path}"))
    });
    hidden.unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        for (value, seen) in [
            ("http://me:secret@proxy:3128", "http://…@proxy:3128"),
            ("http://proxy:3128/x@y", "http://proxy:3128/x@y"),
            ("s3://bucket/a@b", "s3://bucket/a@b"),
            ("me@host", "me@host"),
        ] {
            assert_eq!(without_password(value), seen);
        }
    }

    #[test]
    fn texts_mean_values() {
        assert!(same("1", "True") && same("False", "False") && same("0", "False"));
        assert!(same("{\"a\": 1}", "{\"a\":1}") && same("432000", "432000"));
        assert!(!same("a", "b") && !same("", "True"));
    }
}
