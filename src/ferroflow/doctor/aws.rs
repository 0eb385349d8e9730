//! AWS: configuration, credentials, clock, bucket. What needs a queue is in `batch.rs`.

use std::time::{Duration, SystemTime};

use aws::{
    Aws, Patience, Settings,
    inspect::{ClockSkew, CredentialsFound, Identity, NoCredentials, Refusal, RefusalKind},
};
use model::plan::S3Settings;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Finding, Level, Shown, batch};
use crate::metaflow_config::MetaflowConfig;

/// For each of three rounds: the configuration, credentials, what is asked with them.
const ROUND: Duration = Duration::from_secs(5);

/// Seconds by which a clock may be wrong: AWS refuses requests beyond the first
/// ("RequestTimeTooSkewed" in S3's "Error responses"), and credentials seem expired beyond the second.
const SKEW_REFUSED: u64 = 5 * 60;
const SKEW_FELT: u64 = 30;

/// What the checks saw that others go on from.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    pub(super) values: Vec<Shown>,
}

/// Whether runs of this configuration use AWS at all.
pub(super) fn is_used(config: &MetaflowConfig) -> bool {
    config.text("DEFAULT_DATASTORE").as_deref() == Some("s3")
        || config.text("DATASTORE_SYSROOT_S3").is_some()
        || config.text("BATCH_JOB_QUEUE").is_some()
}

pub(super) async fn examine(config: &MetaflowConfig) -> Seen {
    let mut seen = Seen::default();
    if !is_used(config) {
        let text = "not configured: there is no METAFLOW_DATASTORE_SYSROOT_S3 and no queue; \
                    --with batch uses the embedded stack";
        seen.findings.push(Finding::skipped("AWS", text));
        return seen;
    }
    let aws = match load(config).await {
        Ok(aws) => aws,
        Err(finding) => {
            seen.findings.push(finding);
            return seen;
        }
    };
    seen.values = values(&aws);
    seen.findings.extend(region(&aws));
    if let Some(owner) = other_owner(config) {
        let text = format!(
            "{owner} has them, which only the flow's Python can ask: nothing that needs them was checked"
        );
        seen.findings
            .push(Finding::skipped("AWS credentials", text));
        return seen;
    }
    let (found, finding) = credentials(&aws).await;
    seen.findings.push(finding);
    if let Some(found) = found {
        seen.values.push(Shown::new(
            "AWS credentials",
            &found.access_key_id,
            &found.source,
        ));
        seen.findings.extend(signed(config, &aws).await);
    }
    seen
}

/// What is asked with credentials, all at once.
async fn signed(config: &MetaflowConfig, aws: &Aws) -> Vec<Finding> {
    let clock = ClockSkew::default();
    let identity = timeout(ROUND, aws.identity(&clock));
    let (identity, bucket, queue) = tokio::join!(
        identity,
        bucket(config, aws, &clock),
        batch::queue(config, aws)
    );
    let (account, identity) = whose(identity.ok());
    let refused = identity.level == Level::Problem;
    let mut findings = vec![identity];
    findings.extend(of_clock(&clock));
    if refused {
        let text = "not looked at: the credentials are refused";
        findings.push(Finding::skipped("datastore and job queue", text));
        return findings;
    }
    findings.push(bucket);
    findings.extend(batch::examine(config, queue, account.as_deref()));
    findings
}

async fn load(config: &MetaflowConfig) -> Result<Aws, Finding> {
    let settings = Settings {
        s3: s3(config),
        patience: Patience {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(4),
            operation: ROUND,
            s3_attempts: 1,
            batch_attempts: 1,
            ..Patience::default()
        },
        ..Settings::default()
    };
    let fix = "mend what it names: docs/configuration.md has the sources and their order";
    match timeout(ROUND, Aws::load(settings)).await {
        Ok(Ok(aws)) => Ok(aws),
        Ok(Err(error)) => Err(Finding::problem(
            "AWS configuration",
            error.to_string(),
            fix,
        )),
        Err(_) => {
            let text =
                "no region is configured, and the instance's metadata service does not answer";
            let fix = "set AWS_DEFAULT_REGION, or `region` in the AWS profile";
            Err(Finding::problem("AWS configuration", text, fix))
        }
    }
}

/// Upstream's parameters of its S3 client (metaflow/metaflow_config.py, DATATOOLS_CLIENT_PARAMS).
fn s3(config: &MetaflowConfig) -> S3Settings {
    let given = config.text("DATATOOLS_CLIENT_PARAMS").unwrap_or_default();
    let given: Map<String, Value> = serde_json::from_str(&given).unwrap_or_default();
    let of = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    S3Settings {
        endpoint: of("endpoint_url").or_else(|| config.text("S3_ENDPOINT_URL")),
        server_side_encryption: config.text("S3_SERVER_SIDE_ENCRYPTION"),
        ca_bundle: config
            .text("S3_VERIFY_CERTIFICATE")
            .or_else(|| of("verify")),
    }
}

fn region(aws: &Aws) -> Option<Finding> {
    let fix = "set AWS_DEFAULT_REGION, or `region` in the AWS profile";
    match (aws.region(), aws.region_found()) {
        (None, _) => {
            let text = "none is configured: AWS Batch cannot be reached without";
            Some(Finding::problem("AWS region", text, fix))
        }
        (Some(region), Some(found)) if found.origin == "AWS_REGION" => Some(Finding::warning(
            "AWS region",
            format!("{region}, from AWS_REGION, which boto3 does not read"),
            fix,
        )),
        _ => None,
    }
}

fn values(aws: &Aws) -> Vec<Shown> {
    let mut values = Vec::new();
    values.push(Shown::new(
        "AWS profile",
        aws.profile().unwrap_or("default"),
        match aws.profile() {
            Some(_) => "environment",
            None => "default",
        },
    ));
    if let Some(region) = aws.region() {
        let found = aws.region_found().map(|found| found.origin);
        let origin = found
            .as_deref()
            .unwrap_or("the instance's metadata service");
        values.push(Shown::new("AWS region", region, origin));
    }
    if let Some(bundle) = aws.ca_bundle_found() {
        values.push(Shown::new("certificates", &bundle.value, &bundle.origin));
    }
    values
}

fn other_owner(config: &MetaflowConfig) -> Option<String> {
    let provider = config
        .text("DEFAULT_AWS_CLIENT_PROVIDER")
        .unwrap_or_default();
    if !["", "boto3"].contains(&provider.as_str()) {
        return Some(format!("METAFLOW_DEFAULT_AWS_CLIENT_PROVIDER {provider}"));
    }
    let sandbox = config.is_on("AWS_SANDBOX_ENABLED");
    sandbox.then(|| "the Metaflow sandbox".to_owned())
}

async fn credentials(aws: &Aws) -> (Option<CredentialsFound>, Finding) {
    let thing = "AWS credentials";
    match timeout(ROUND, aws.credentials()).await {
        Ok(Ok(found)) => {
            let left = found
                .expiry
                .map(|expiry| expiry.duration_since(SystemTime::now()));
            let text = match left {
                None => format!("from {}", found.source),
                Some(Ok(left)) => {
                    format!("from {}, for {} minutes", found.source, left.as_secs() / 60)
                }
                Some(Err(_)) => format!("from {}, expired", found.source),
            };
            (Some(found), Finding::ok(thing, text))
        }
        Ok(Err(NoCredentials::OfTheHost(why))) => {
            let text = format!("{why}: nothing that needs them was checked");
            (None, Finding::skipped(thing, text))
        }
        Ok(Err(NoCredentials::Wrong(why))) => {
            let fix = "aws configure, aws sso login, or AWS_PROFILE: docs/configuration.md has all sources";
            (None, Finding::problem(thing, why, fix))
        }
        Err(_) => {
            let text = format!("their source does not answer within {} s", ROUND.as_secs());
            let fix = "check AWS_PROFILE, a credential_process that waits, or the network";
            (None, Finding::problem(thing, text, fix))
        }
    }
}

/// The account, and what to say of it.
fn whose(answer: Option<Result<Identity, Refusal>>) -> (Option<String>, Finding) {
    let thing = "AWS identity";
    match answer {
        Some(Ok(identity)) => (Some(identity.account), Finding::ok(thing, identity.arn)),
        Some(Err(refusal)) if refusal.kind == RefusalKind::BadCredentials => {
            (None, bad_credentials(thing, &refusal))
        }
        Some(Err(refusal)) => {
            let text = format!(
                "AWS STS does not tell it: {}: {}",
                refusal.code, refusal.message
            );
            (None, Finding::skipped(thing, text))
        }
        None => (None, Finding::skipped(thing, "AWS STS does not answer")),
    }
}

pub(super) fn bad_credentials(thing: &str, refusal: &Refusal) -> Finding {
    let fix = match refusal.code.as_str() {
        "ExpiredToken" | "ExpiredTokenException" => "renew the credentials",
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "the secret key does not belong to the key id, or the clock is wrong"
        }
        _ => "the access key is unknown: check AWS_PROFILE and the AWS_ variables",
    };
    let text = format!(
        "the credentials are refused: {}: {}",
        refusal.code, refusal.message
    );
    Finding::problem(thing, text, fix)
}

fn of_clock(clock: &ClockSkew) -> Option<Finding> {
    let seconds = clock.seconds()?;
    let way = if seconds < 0 { "behind" } else { "ahead of" };
    let distance = seconds.unsigned_abs();
    let text = format!("{distance} s {way} that of AWS");
    let fix = "set the clock: timedatectl set-ntp true";
    Some(if distance > SKEW_REFUSED {
        Finding::problem("clock", text, fix)
    } else if distance > SKEW_FELT {
        Finding::warning("clock", text, fix)
    } else {
        Finding::ok("clock", "within 30 s of that of AWS")
    })
}

async fn bucket(config: &MetaflowConfig, aws: &Aws, clock: &ClockSkew) -> Finding {
    let Some(root) = config.text("DATASTORE_SYSROOT_S3") else {
        return Finding::problem(
            "datastore (S3)",
            "METAFLOW_DATASTORE_SYSROOT_S3 is not set",
            "set it to s3://BUCKET/PREFIX",
        );
    };
    let thing = format!("datastore `{root}`");
    let refusal = match timeout(ROUND, aws.bucket(&root, clock)).await {
        Ok(Ok(Ok(()))) => return Finding::ok(thing, "can be listed"),
        Ok(Ok(Err(refusal))) => refusal,
        Ok(Err(error)) => {
            let fix = "check METAFLOW_DATASTORE_SYSROOT_S3 and METAFLOW_S3_VERIFY_CERTIFICATE";
            return Finding::problem(thing, error.to_string(), fix);
        }
        Err(_) => return no_answer(&thing, "S3 does not answer"),
    };
    let said = format!("{}: {}", refusal.code, refusal.message);
    match (refusal.kind, refusal.bucket_region) {
        (RefusalKind::BadCredentials, _) => bad_credentials(
            &thing,
            &Refusal {
                bucket_region: None,
                ..refusal
            },
        ),
        (RefusalKind::Other, Some(region)) if Some(region.as_str()) != aws.region() => {
            // A run follows to the bucket's region.
            Finding::ok(thing, format!("is in the region {region}"))
        }
        (RefusalKind::AccessDenied, _) => Finding::problem(
            thing,
            format!("the credentials may not list it: {said}"),
            "the user needs s3:ListBucket on the bucket, and s3:GetObject and s3:PutObject below the prefix",
        ),
        (RefusalKind::NoAnswer, _) => no_answer(&thing, &said),
        _ if refusal.code == "NoSuchBucket" => Finding::problem(
            thing,
            said,
            "check METAFLOW_DATASTORE_SYSROOT_S3, and whether AWS_PROFILE is of the right account",
        ),
        _ => Finding::problem(thing, said, "check METAFLOW_DATASTORE_SYSROOT_S3"),
    }
}

pub(super) fn no_answer(thing: &str, said: &str) -> Finding {
    let fix = "check the network: AWS_ENDPOINT_URL, METAFLOW_S3_ENDPOINT_URL, HTTPS_PROXY, NO_PROXY, AWS_CA_BUNDLE, VPN";
    Finding::problem(thing, said, fix)
}
