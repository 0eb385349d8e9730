//! What jobs need: a queue, roles, an image.

use std::time::Duration;

use aws::{
    Aws, ConfigError,
    batch::{BatchErrorKind, Client, QueueError, QueueState},
    inspect,
};
use model::batch::Platform;
use tokio::time::timeout;

use super::{Finding, python::Answer};
use crate::metaflow_config::MetaflowConfig;

/// For both questions about the queue.
const PATIENCE: Duration = Duration::from_secs(6);

/// What became of looking for a queue.
#[derive(Debug)]
pub(super) enum Queue {
    Found(QueueState),
    Refused(QueueError),
    NoClient(ConfigError),
    NoAnswer,
}

/// Looks for the queue that jobs would go to.
pub(super) async fn queue(config: &MetaflowConfig, aws: &Aws) -> Queue {
    let client = match Client::new(aws) {
        Ok(client) => client,
        Err(error) => return Queue::NoClient(error),
    };
    let name = config.text("BATCH_JOB_QUEUE");
    match timeout(PATIENCE, client.inspect_queue(name.as_deref())).await {
        Ok(Ok(state)) => Queue::Found(state),
        Ok(Err(error)) => Queue::Refused(error),
        Err(_) => Queue::NoAnswer,
    }
}

/// The queue, its hosts, and the roles. `account` is that of the credentials, where it is known.
pub(super) fn examine(
    config: &MetaflowConfig,
    queue: Queue,
    account: Option<&str>,
) -> Vec<Finding> {
    let (mut findings, platforms) = match queue {
        Queue::Found(state) => {
            let platforms = state.environments.iter().map(|one| one.platform).collect();
            (of_queue(config, &state), platforms)
        }
        Queue::Refused(error) => (vec![refused(config, &error)], Vec::new()),
        // The region's own finding says it.
        Queue::NoClient(error) => {
            let text = format!("not looked for: {error}");
            (vec![Finding::skipped("job queue", text)], Vec::new())
        }
        Queue::NoAnswer => {
            let finding = super::aws::no_answer("job queue", "AWS Batch does not answer");
            (vec![finding], Vec::new())
        }
    };
    findings.push(job_role(config, account));
    findings.extend(execution_role(config, &platforms));
    findings
}

fn of_queue(config: &MetaflowConfig, queue: &QueueState) -> Vec<Finding> {
    let thing = format!("job queue `{}`", queue.queue.name);
    let mut findings = vec![match queue.queue.standing.trouble() {
        Some(trouble) => Finding::problem(
            &thing,
            trouble,
            "enable it (aws batch update-job-queue), or name another by METAFLOW_BATCH_JOB_QUEUE",
        ),
        None if config.text("BATCH_JOB_QUEUE").is_none() => Finding::ok(
            &thing,
            "none is named, and this is the first that takes jobs",
        ),
        None => Finding::ok(&thing, "ENABLED and VALID"),
    }];
    let none_works = queue.environments.iter().all(|one| one.trouble().is_some());
    if queue.environments.is_empty() {
        let fix = "aws batch update-job-queue --compute-environment-order";
        findings.push(Finding::problem(
            &thing,
            "it has no compute environment",
            fix,
        ));
    }
    for environment in &queue.environments {
        let thing = format!("compute environment `{}`", environment.name);
        let fix = "mend what AWS says, then enable it (aws batch update-compute-environment)";
        findings.push(match environment.trouble() {
            None => Finding::ok(
                thing,
                format!("{}, ENABLED and VALID", kind(environment.platform)),
            ),
            Some(trouble) if none_works => {
                let text = format!("{trouble}, and the queue has no other: jobs stay RUNNABLE");
                Finding::problem(thing, text, fix)
            }
            Some(trouble) => Finding::warning(thing, trouble, fix),
        });
    }
    findings
}

fn kind(platform: Platform) -> &'static str {
    match platform {
        Platform::Ec2 => "EC2",
        Platform::Spot => "EC2 Spot",
        Platform::Fargate => "Fargate",
        Platform::FargateSpot => "Fargate Spot",
    }
}

fn refused(config: &MetaflowConfig, error: &QueueError) -> Finding {
    let thing = match config.text("BATCH_JOB_QUEUE") {
        Some(name) => format!("job queue `{name}`"),
        None => "job queue".to_owned(),
    };
    let fix = match error {
        QueueError::NotFound(_) => {
            "check METAFLOW_BATCH_JOB_QUEUE, and whether region and profile are of the right account"
        }
        QueueError::NoQueue => "set METAFLOW_BATCH_JOB_QUEUE",
        QueueError::NoComputeEnvironment(_) => {
            "aws batch update-job-queue --compute-environment-order"
        }
        QueueError::Call(call) if inspect::is_bad_key(&call.code) => {
            "check AWS_PROFILE and the AWS_ variables, or renew the credentials"
        }
        QueueError::Call(call) => match call.kind {
            BatchErrorKind::AccessDenied => {
                "the credentials need batch:DescribeJobQueues and batch:DescribeComputeEnvironments"
            }
            BatchErrorKind::Unavailable => {
                "check the network: AWS_ENDPOINT_URL, HTTPS_PROXY, NO_PROXY, AWS_CA_BUNDLE, the region"
            }
            _ => "see what AWS says",
        },
    };
    Finding::problem(thing, error.to_string(), fix)
}

fn job_role(config: &MetaflowConfig, account: Option<&str>) -> Finding {
    let thing = "job role";
    let setting = "METAFLOW_ECS_S3_ACCESS_IAM_ROLE";
    let Some(role) = config.text("ECS_S3_ACCESS_IAM_ROLE") else {
        let text = "none is named: Metaflow refuses to submit a job without";
        let fix = format!("set {setting} to the ARN of a role for jobs, or @batch(iam_role=…)");
        return Finding::problem(thing, text, fix);
    };
    match account_of_role(&role) {
        None => {
            let text = format!("`{role}` is not the ARN of a role");
            let fix = format!("{setting} is of the form arn:aws:iam::123456789012:role/NAME");
            Finding::problem(thing, text, fix)
        }
        Some(owner) if account.is_some_and(|account| account != owner) => Finding::warning(
            thing,
            format!("{role} is of another account than the credentials"),
            format!("check AWS_PROFILE and {setting}"),
        ),
        Some(_) => Finding::ok(thing, format!("{role}; what it may do was not checked")),
    }
}

/// Fargate cannot pull an image without (upstream refuses such jobs).
fn execution_role(config: &MetaflowConfig, platforms: &[Platform]) -> Option<Finding> {
    let is_fargate = |one: &Platform| matches!(one, Platform::Fargate | Platform::FargateSpot);
    if !platforms.iter().any(is_fargate) {
        return None;
    }
    let setting = "METAFLOW_ECS_FARGATE_EXECUTION_ROLE";
    let fix = format!("set {setting} to the ARN of a role that Fargate may use");
    Some(match config.text("ECS_FARGATE_EXECUTION_ROLE") {
        None => Finding::problem(
            "execution role",
            "none is named, and the queue has hosts of Fargate",
            fix,
        ),
        Some(role) if account_of_role(&role).is_none() => Finding::problem(
            "execution role",
            format!("`{role}` is not the ARN of a role"),
            fix,
        ),
        Some(role) => Finding::ok("execution role", role),
    })
}

/// The account in `arn:aws:iam::123456789012:role/path/name`, of any partition.
fn account_of_role(arn: &str) -> Option<&str> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [scheme, partition, "iam", "", account, resource] = parts[..] else {
        return None;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_role = resource
        .strip_prefix("role/")
        .is_some_and(|name| !name.is_empty());
    (scheme == "arn" && partition.starts_with("aws") && is_account && is_role).then_some(account)
}

/// The image of jobs, and whether its Python is the launcher's, so far as its name tells.
pub(super) fn image(config: &MetaflowConfig, python: Option<&Answer>) -> Finding {
    let minor = python.and_then(Answer::minor);
    let Some(image) = config.text("BATCH_CONTAINER_IMAGE") else {
        let text = match minor {
            Some(minor) => format!("none is named: jobs run in python:{minor}"),
            None => "none is named: jobs run in python:X.Y of the launcher's Python".to_owned(),
        };
        return Finding::ok("image", text);
    };
    match (python_of_image(&image), minor) {
        (Some(other), Some(minor)) if other != minor => Finding::warning(
            format!("image `{image}`"),
            format!(
                "has Python {other}, and flows are launched by Python {minor}: what is pickled may not be readable"
            ),
            format!("use python:{minor}, or launch by Python {other}"),
        ),
        (Some(_), Some(_)) => Finding::ok(format!("image `{image}`"), "has the launcher's Python"),
        _ => Finding::ok(
            format!("image `{image}`"),
            "its Python is not known from its name; it needs `sh` and the launcher's Python",
        ),
    }
}

/// `3.11` of `registry/python:3.11.4-slim`.
fn python_of_image(image: &str) -> Option<String> {
    let (name, tag) = image.rsplit('/').next()?.split_once(':')?;
    let mut numbers = tag.split(['.', '-']).take(2);
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_python = name == "python" && is_number(major) && is_number(minor);
    is_python.then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_arns() {
        let known = "123456789012";
        for (arn, account) in [
            ("arn:aws:iam::123456789012:role/r", Some(known)),
            ("arn:aws-cn:iam::123456789012:role/a/path/r", Some(known)),
            ("arn:aws:iam::123456789012:user/u", None),
            ("arn:aws:iam::12:role/r", None),
            ("arn:aws:sts::123456789012:assumed-role/r/s", None),
            ("arn:aws:iam::123456789012:role/", None),
            ("my-role", None),
        ] {
            assert_eq!(account_of_role(arn), account, "{arn}");
        }
    }

    #[test]
    fn images_tell_their_python() {
        for (image, python) in [
            ("python:3.11", Some("3.11")),
            ("docker.io/library/python:3.9.1-slim-bookworm", Some("3.9")),
            ("host:5000/python:3.12-slim", Some("3.12")),
            ("python:3", None),
            ("python", None),
            ("python:latest", None),
            ("mypython:3.11", None),
            ("python@sha256:00", None),
        ] {
            assert_eq!(python_of_image(image).as_deref(), python, "{image}");
        }
    }
}
