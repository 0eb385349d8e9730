//! The variables by which boto3, the AWS CLI, Metaflow and Ferroflow find a stack.

use std::env;

use anyhow::{Result, bail};
use localstack::{BUCKET, Description, Folder};

use super::folder::STACK;

/// The job queue and the image of every stack; jobs are processes, so the image is a name only.
const NAME: &str = "ferroflow-dev";

/// What would lead clients elsewhere.
const IN_THE_WAY: [&str; 13] = [
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_BATCH",
    "AWS_ENDPOINT_URL_LOGS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "METAFLOW_BATCH_CONTAINER_REGISTRY",
    "METAFLOW_PROFILE",
];

/// What to change in an environment.
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) set: Vec<(&'static str, String)>,
    pub(super) unset: &'static [&'static str],
}

/// For clients of the stack that is up in `folder`.
pub(super) fn of(folder: &Folder, stack: &Description) -> Result<Variables> {
    let Some(secrets) = folder.secrets()? else {
        bail!("`{}` has no keys", folder.path().display());
    };
    let Some(path) = folder.path().to_str() else {
        bail!(
            "`{}` is no UTF-8, so it cannot be in a variable\nhint: name another folder by --dir",
            folder.path().display()
        );
    };
    let role = |name: &str| format!("arn:aws:iam::{}:role/{name}", stack.account);
    let mut set = vec![
        ("AWS_ENDPOINT_URL", stack.endpoint.clone()),
        ("AWS_ACCESS_KEY_ID", secrets.pair.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secrets.pair.secret_access_key),
        ("AWS_DEFAULT_REGION", stack.region.clone()),
        ("AWS_REGION", stack.region.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("METAFLOW_DEFAULT_DATASTORE", "s3".to_owned()),
        ("METAFLOW_DEFAULT_METADATA", "local".to_owned()),
        (
            "METAFLOW_DATASTORE_SYSROOT_S3",
            format!("s3://{BUCKET}/metaflow"),
        ),
        ("METAFLOW_DATATOOLS_S3ROOT", format!("s3://{BUCKET}/data")),
        ("METAFLOW_S3_ENDPOINT_URL", stack.endpoint.clone()),
        ("METAFLOW_BATCH_JOB_QUEUE", NAME.to_owned()),
        ("METAFLOW_BATCH_CONTAINER_IMAGE", NAME.to_owned()),
        ("METAFLOW_ECS_S3_ACCESS_IAM_ROLE", role("ferroflow-dev-job")),
        (
            "METAFLOW_ECS_FARGATE_EXECUTION_ROLE",
            role("ferroflow-dev-execution"),
        ),
        (STACK, path.to_owned()),
    ];
    set.extend(around_proxies(&stack.endpoint));
    Ok(Variables {
        set,
        unset: &IN_THE_WAY,
    })
}

/// Where clients use a proxy, they must not for this machine.
fn around_proxies(endpoint: &str) -> Vec<(&'static str, String)> {
    const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    if !PROXIES.iter().any(|name| env::var_os(name).is_some()) {
        return Vec::new();
    }
    let host = endpoint
        .trim_start_matches("http://")
        .split(':')
        .next()
        .unwrap_or_default();
    let extended = |name| {
        let now = env::var(name).unwrap_or_default();
        let hosts = now
            .split(',')
            .map(str::trim)
            .filter(|h| !h.is_empty() && *h != host);
        let hosts: Vec<_> = hosts.chain([host]).collect();
        (name, hosts.join(","))
    };
    vec![extended("no_proxy"), extended("NO_PROXY")]
}
