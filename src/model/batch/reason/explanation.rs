//! Ends in words.

use super::{EndKind, JobEnd, KILLED, TERMINATED};
use crate::exit_code::container;

pub(super) fn of(end: &JobEnd) -> String {
    let evidence = evidence(end);
    match end.kind {
        EndKind::HostLost => format!(
            "The host of the task was lost ({evidence}): this is not the task's fault, and another \
             attempt gets another host."
        ),
        EndKind::OutOfMemory => format!(
            "The task ran out of memory ({evidence}): ask for more with @resources(memory=…)."
        ),
        EndKind::Timeout => format!(
            "The task reached its time limit ({evidence}): allow more with @timeout or \
             METAFLOW_DEFAULT_RUNTIME_LIMIT."
        ),
        EndKind::Image { retryable: true } => format!(
            "The image could not be pulled for now ({evidence}): try again, or use a registry of \
             your own such as Amazon ECR."
        ),
        EndKind::Image { retryable: false } => format!(
            "The image cannot be pulled ({evidence}): check its name, its architecture, and that \
             the role of the host may read the registry."
        ),
        EndKind::ContainerRuntime { retryable: true } => format!(
            "The container could not be started ({evidence}): this is a passing fault of its \
             host, try again."
        ),
        EndKind::ContainerRuntime { retryable: false } => format!(
            "The container cannot be started ({evidence}): check the image's architecture and \
             entrypoint, and the volumes of the step."
        ),
        EndKind::Configuration => format!(
            "Batch could not set the task up ({evidence}): check the roles, secrets, log settings \
             and environment variables of the step."
        ),
        EndKind::Cancelled => format!("The job was cancelled ({evidence}): it is not run again."),
        EndKind::Bootstrap(code) => format!(
            "The task could not be prepared ({evidence}): {}{}.",
            bootstrap(code),
            log_stream(end)
        ),
        EndKind::Exit(0) => "The container ended well.".to_owned(),
        EndKind::Exit(code @ (126 | 127)) => format!(
            "The container's command could not be run (exit code {code}): check that the image \
             has sh and python on its PATH."
        ),
        EndKind::Exit(_) => format!("The task failed ({evidence}): its log says why."),
        EndKind::Unknown => unknown(end, &evidence),
    }
}

fn unknown(end: &JobEnd, evidence: &str) -> String {
    match end.exit_code {
        Some(KILLED) => format!(
            "The container was killed and Batch does not say why ({evidence}): if it needs more \
             memory than it asked for, ask for more with @resources(memory=…)."
        ),
        Some(TERMINATED) => format!(
            "The container was asked to stop and Batch does not say why ({evidence}): its host may \
             have gone away; use @retry for such interruptions."
        ),
        _ => format!(
            "The job ended for an unknown reason ({evidence}): look at the job in the AWS Batch \
             console."
        ),
    }
}

/// Everything that Batch said, shortest form.
fn evidence(end: &JobEnd) -> String {
    const NO_NEWS: &str = "Essential container in task exited";
    let status = end
        .status_reason
        .as_deref()
        .filter(|reason| *reason != NO_NEWS);
    let reasons = [status, end.container_reason.as_deref()];
    let mut said: Vec<String> = reasons.into_iter().flatten().map(one_line).collect();
    said.dedup();
    if let Some(code) = end.exit_code {
        said.push(format!("exit code {code}"));
    }
    if said.is_empty() {
        return "AWS Batch gives no reason".to_owned();
    }
    said.join("; ")
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').to_owned()
}

/// Where the container's own words are; before the claim they are nowhere else.
fn log_stream(end: &JobEnd) -> String {
    let stream = end.log_stream.as_deref();
    stream.map_or_else(String::new, |stream| {
        format!(" (CloudWatch Logs, group /aws/batch/job, stream {stream})")
    })
}

fn bootstrap(code: i32) -> &'static str {
    match code {
        container::NO_BOOTSTRAP => {
            "this Ferroflow has no bootstrap for the machine's architecture; use a queue of another \
             one, or install a wheel, which has both"
        }
        container::BOOTSTRAP_FETCH => {
            "the bootstrap could not be fetched or is damaged; check that the job role may read \
             the datastore and that the container reaches S3"
        }
        container::BOOTSTRAP_EXEC => {
            "the container has no folder to execute the bootstrap from; give it a writable one"
        }
        container::DUPLICATE => "another container runs this attempt",
        _ => {
            "the bootstrap could not read what to run, or could not claim it; the job's log says why"
        }
    }
}
