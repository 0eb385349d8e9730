use super::*;
use crate::batch::JobId;

const EXITED: &str = "Essential container in task exited";
const NOT_STARTED: &str = "Task failed to start";

fn failed(status: &str, container: &str, exit_code: Option<i32>) -> JobDetail {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    JobDetail {
        id: JobId::new("id"),
        name: "name".to_owned(),
        status: JobStatus::Failed,
        status_reason: text(status),
        container_reason: text(container),
        exit_code,
        log_stream: None,
        is_terminated: false,
        is_cancelled: false,
        created_at: None,
        started_at: None,
        stopped_at: None,
    }
}

#[test]
fn batchs_texts_are_understood() {
    use EndKind::{
        Bootstrap, Cancelled, Configuration, ContainerRuntime, Exit, HostLost, Image, OutOfMemory,
        Timeout, Unknown,
    };
    let image = |retryable| Image { retryable };
    let runtime = |retryable| ContainerRuntime { retryable };
    let table: &[(&str, &str, Option<i32>, EndKind)] = &[
        (EXITED, "", Some(1), Exit(1)),
        (EXITED, "", Some(127), Exit(127)),
        (EXITED, "", Some(139), Exit(139)),
        (EXITED, "", Some(110), Bootstrap(110)),
        (EXITED, "", Some(114), Bootstrap(114)),
        (EXITED, "", Some(115), Exit(115)),
        (EXITED, "", Some(137), Unknown),
        (EXITED, "", Some(143), Unknown),
        ("", "", None, Unknown),
        (
            EXITED,
            "OutOfMemoryError: Container killed due to memory usage",
            Some(137),
            OutOfMemory,
        ),
        (
            EXITED,
            "OutOfMemoryError: container killed due to memory usage",
            Some(1),
            OutOfMemory,
        ),
        (
            "Job attempt duration exceeded timeout",
            "",
            Some(137),
            Timeout,
        ),
        ("Job attempt duration exceeded timeout", "", None, Timeout),
        ("Host EC2 (instance i-0abc) terminated.", "", None, HostLost),
        (
            "Host EC2 (instance i-0abc) stopped.",
            "",
            Some(143),
            HostLost,
        ),
        ("Your Spot Task was interrupted.", "", Some(143), HostLost),
        (
            NOT_STARTED,
            "CannotPullContainerError: pull access denied for x, repository does not exist",
            None,
            image(false),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: manifest for x:1 not found",
            None,
            image(false),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/arm64'",
            None,
            image(false),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: dial tcp 1.2.3.4:443: i/o timeout",
            None,
            image(true),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit",
            None,
            image(true),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: received unexpected HTTP status: 503 Service Unavailable",
            None,
            image(true),
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: write /var/lib/docker/x: no space left on device",
            None,
            image(true),
        ),
        (
            NOT_STARTED,
            "CannotStartContainerError: exec: \"bash\": executable file not found in $PATH",
            None,
            runtime(false),
        ),
        (
            NOT_STARTED,
            "CannotStartContainerError: stat /x: no such file or directory",
            None,
            runtime(false),
        ),
        (
            NOT_STARTED,
            "CannotStartContainerError: exec /usr/bin/bash: exec format error",
            None,
            runtime(false),
        ),
        (
            NOT_STARTED,
            "CannotCreateContainerError: API error (500): devmapper: no space left on device",
            None,
            runtime(true),
        ),
        (
            NOT_STARTED,
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
            None,
            runtime(true),
        ),
        (
            EXITED,
            "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
            None,
            runtime(true),
        ),
        (NOT_STARTED, "", None, runtime(true)),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException",
            "",
            None,
            Configuration,
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: ThrottlingException: Rate exceeded",
            "",
            None,
            runtime(true),
        ),
        (
            NOT_STARTED,
            "ResourceInitializationError: failed to initialize logging driver: ResourceNotFoundException",
            None,
            Configuration,
        ),
        (
            "Container Overrides length must be at most 8192",
            "",
            None,
            Configuration,
        ),
        ("Dependent Job failed", "", None, Unknown),
        ("Array Child Job failed", "", None, Unknown),
        ("JobQueue deleted", "", None, Cancelled),
        (
            "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "",
            None,
            Cancelled,
        ),
    ];
    for (status, container, code, kind) in table {
        let end = JobEnd::of(&failed(status, container, *code));
        assert_eq!(end.kind(), *kind, "{status} / {container} / {code:?}");
        assert_eq!(end.exit_code(), *code);
    }
}

#[test]
fn a_cancel_wins_over_every_reason() {
    for status in [
        "ferroflow: the run was cancelled",
        EXITED,
        "Host EC2 (instance i-0) terminated.",
    ] {
        for cancelled in [true, false] {
            let mut detail = failed(status, "", Some(143));
            detail.is_cancelled = cancelled;
            detail.is_terminated = !cancelled;
            assert!(JobEnd::of(&detail).is_cancelled(), "{status}");
        }
    }
}

#[test]
fn a_job_that_ended_well_exited() {
    let mut detail = failed(EXITED, "", Some(0));
    detail.status = JobStatus::Succeeded;
    assert_eq!(JobEnd::of(&detail).kind(), EndKind::Exit(0));
}

#[test]
fn only_what_another_host_may_cure_is_retryable() {
    for (status, container, code, retryable) in [
        ("Host EC2 (instance i-0abc) terminated.", "", None, true),
        (
            NOT_STARTED,
            "CannotPullContainerError: i/o timeout",
            None,
            true,
        ),
        (
            NOT_STARTED,
            "CannotPullContainerError: not found",
            None,
            false,
        ),
        (EXITED, "", Some(111), true),
        (EXITED, "", Some(113), false),
        (EXITED, "", Some(1), false),
        (EXITED, "", Some(137), false),
    ] {
        let end = JobEnd::of(&failed(status, container, code));
        assert_eq!(
            end.is_retryable(),
            retryable,
            "{status} {container} {code:?}"
        );
    }
    assert!(!JobEnd::unseen().is_retryable());
}

#[test]
fn explanations_name_evidence_and_fix() {
    for (status, container, code, text) in [
        (
            "Host EC2 (instance i-0abc) terminated.",
            "",
            None,
            "The host of the task was lost (Host EC2 (instance i-0abc) terminated): this is not the \
             task's fault, and another attempt gets another host.",
        ),
        (
            EXITED,
            "OutOfMemoryError: Container killed due to memory usage",
            Some(137),
            "The task ran out of memory (OutOfMemoryError: Container killed due to memory usage; \
             exit code 137): ask for more with @resources(memory=…).",
        ),
        (
            EXITED,
            "",
            Some(111),
            "The task could not be prepared (exit code 111): the bootstrap could not be fetched or \
             is damaged; check that the job role may read the datastore and that the container \
             reaches S3.",
        ),
        (
            EXITED,
            "",
            Some(3),
            "The task failed (exit code 3): its log says why.",
        ),
    ] {
        assert_eq!(
            JobEnd::of(&failed(status, container, code)).explanation(),
            text
        );
    }
    assert_eq!(
        JobEnd::unseen().explanation(),
        "The job ended for an unknown reason (AWS Batch gives no reason): look at the job in the \
         AWS Batch console."
    );
}
