//! What the texts of Batch, ECS and Docker mean. Compared without regard to case: ECS on Fargate
//! spells some of them differently.

use super::EndKind;

/// Parts of a pull error that another try may not meet again; they win over the next list.
const PASSING_PULL_ERRORS: [&str; 8] = [
    "toomanyrequests",
    "timeout",
    "timed out",
    "503",
    "connection reset",
    "connection refused",
    "unexpected eof",
    "throttl",
];

/// Parts of a pull error that every try meets.
const LASTING_PULL_ERRORS: [&str; 11] = [
    "access denied",
    "accessdenied",
    "denied:",
    "unauthorized",
    "forbidden",
    "not found",
    "does not exist",
    "manifest unknown",
    "no basic auth credentials",
    "invalid reference format",
    "platform",
];

/// Parts of a create or start error that every try meets.
const LASTING_START_ERRORS: [&str; 7] = [
    "executable file not found",
    "no such file",
    "exec format error",
    "permission denied",
    "not found",
    "invalid",
    "does not exist",
];

/// Parts of an initialization error that another try may not meet again.
const PASSING_INIT_ERRORS: [&str; 5] = [
    "throttl",
    "rate exceeded",
    "timeout",
    "timed out",
    "deadline exceeded",
];

/// What a job's status reason says on its own.
pub(super) fn of_status_reason(reason: &str) -> Option<EndKind> {
    let reason = reason.to_lowercase();
    if reason.starts_with("host ec2") || is_spot(&reason) {
        Some(EndKind::HostLost)
    } else if reason.starts_with("job attempt duration exceeded timeout") {
        Some(EndKind::Timeout)
    } else if reason.starts_with("jobqueue deleted") || reason.starts_with("canceled by ") {
        Some(EndKind::Cancelled)
    } else if reason.starts_with("container overrides length") {
        Some(EndKind::Configuration)
    } else {
        // Errors before the container exists stand in either field.
        of_container_text(&reason)
    }
}

/// What a container's reason says.
pub(super) fn of_container_reason(reason: &str) -> Option<EndKind> {
    let reason = reason.to_lowercase();
    if is_spot(&reason) || reason.starts_with("host ec2") {
        return Some(EndKind::HostLost);
    }
    of_container_text(&reason)
}

fn of_container_text(reason: &str) -> Option<EndKind> {
    let begins = |start: &str| reason.starts_with(start);
    if begins("outofmemory") {
        Some(EndKind::OutOfMemory)
    } else if begins("cannotpull") {
        let retryable = has(reason, &PASSING_PULL_ERRORS) || !has(reason, &LASTING_PULL_ERRORS);
        Some(EndKind::Image { retryable })
    } else if begins("dockertimeouterror") || begins("cannotinspect") || begins("cannotstop") {
        Some(EndKind::ContainerRuntime { retryable: true })
    } else if begins("cannotcreate") || begins("cannotstart") {
        let retryable = !has(reason, &LASTING_START_ERRORS);
        Some(EndKind::ContainerRuntime { retryable })
    } else if begins("resourceinitializationerror") {
        Some(if has(reason, &PASSING_INIT_ERRORS) {
            EndKind::ContainerRuntime { retryable: true }
        } else {
            EndKind::Configuration
        })
    } else {
        None
    }
}

fn is_spot(reason: &str) -> bool {
    reason.contains("spot task was interrupted") || reason.contains("spotinterruption")
}

fn has(reason: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| reason.contains(part))
}
