//! What the texts of Batch, ECS and Docker mean. They are those of the Batch user guide, of the
//! ECS developer guide ("Stopped tasks error messages") and of public reports: each is in the
//! golden rows, with its source.
//!
//! Compared without regard to case, since ECS on Fargate spells some of them differently, and by
//! parts that survive a cut: ECS keeps the first 255 characters of a container's reason.

use super::{Class, Outlook};

/// How Batch begins its account of a job that a rule of the queue has given up.
const GIVEN_UP: &str = "by jobstatetimelimit action due to reason";

/// Parts of a pull error that another try may not meet again; they win over the next list.
const PASSING_PULL_ERRORS: [&str; 11] = [
    "toomanyrequests",
    "too many requests",
    "timeout",
    "timed out",
    "i/o time",
    "503 service",
    "503 slow",
    "connection reset",
    "connection refused",
    "unexpected eof",
    "throttl",
];

/// Parts of a pull error that every try meets.
pub(super) const DENIED: [&str; 8] = [
    "access denied",
    "accessdenied",
    "denied:",
    "unauthorized",
    "not authorized",
    "forbidden",
    "no basic auth credentials",
    "no pull access",
];
pub(super) const ABSENT: [&str; 5] = [
    "not found",
    "does not exist",
    "manifest unknown",
    "error (404)",
    "invalid reference format",
];
pub(super) const WRONG_PLATFORM: [&str; 3] =
    ["for platform", "matching platform", "no matching manifest"];

/// Parts of a create or start error that another try may not meet again; they win over the rest.
const PASSING_START_ERRORS: [&str; 9] = [
    "throttl",
    "rate exceeded",
    "timeout",
    "timed out",
    "i/o time",
    "deadline exceeded",
    "no space left",
    "thin pool",
    "resource temporarily unavailable",
];

/// Parts of a create or start error that every try meets.
const LASTING_START_ERRORS: [&str; 8] = [
    "executable file not found",
    "no such file",
    "exec format error",
    "permission denied",
    "not found",
    "invalid",
    "does not exist",
    "oci runtime create failed",
];

/// Parts of an initialization error that another try may not meet again.
const PASSING_INIT_ERRORS: [&str; 6] = [
    "throttl",
    "rate exceeded",
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection reset",
];

/// What AWS says when a quota is reached that other work of the account fills.
const FULL_FOR_NOW: [&str; 2] = ["capacity is unavailable", "reached the limit on the number"];

/// What Batch says of an end that it decided on itself. No person writes these words, so they
/// count even where the job is marked as terminated.
pub(super) fn of_batchs_own_end(reason: &str) -> Option<Class> {
    let reason = reason.to_lowercase();
    if reason.starts_with("job attempt duration exceeded timeout") {
        Some(Class::Timeout)
    } else if reason.contains(GIVEN_UP) {
        Some(Class::Capacity(Outlook::Lasting))
    } else {
        None
    }
}

/// What a reason says, be it the job's or the container's: errors before the container exists
/// stand in either.
pub(super) fn of_reason(reason: &str) -> Option<Class> {
    let reason = reason.to_lowercase();
    let reason = reason.as_str();
    let begins = |start: &str| reason.starts_with(start);
    if is_host_lost(reason) {
        Some(Class::HostLost)
    } else if begins("jobqueue deleted") {
        Some(Class::CancelledBySomebody)
    } else if begins("container overrides length") {
        Some(Class::Configuration(Outlook::Lasting))
    } else if reason.contains("unable to assume the role") {
        Some(Class::Configuration(Outlook::Passing))
    } else if reason.contains("unable to assume the service linked role") {
        Some(Class::Configuration(Outlook::Lasting))
    } else if has(reason, &FULL_FOR_NOW) {
        Some(Class::Capacity(Outlook::Passing))
    } else if reason.contains("is above your limit") {
        Some(Class::Capacity(Outlook::Lasting))
    } else {
        of_container_error(reason)
    }
}

/// Nobody could start the container, and nobody says why.
pub(super) fn is_failed_start(status_reason: &str) -> bool {
    status_reason.starts_with("Task failed to start")
}

fn of_container_error(reason: &str) -> Option<Class> {
    let begins = |start: &str| reason.starts_with(start);
    if begins("outofmemory") {
        Some(Class::OutOfMemory)
    } else if begins("cannotpull") {
        let lists: [&[&str]; 3] = [&DENIED, &ABSENT, &WRONG_PLATFORM];
        let is_refused = lists.iter().any(|list| has(reason, list));
        let is_passing = !is_refused || has(reason, &PASSING_PULL_ERRORS);
        Some(Class::Image(Outlook::new(is_passing)))
    } else if begins("cannotcreate") || begins("cannotstart") {
        Some(of_start_error(reason))
    } else if begins("resourceinitializationerror") {
        let is_network = reason.contains("check your task network configuration");
        Some(if has(reason, &PASSING_INIT_ERRORS) && !is_network {
            Class::ContainerRuntime(Outlook::Passing)
        } else {
            Class::Configuration(Outlook::Lasting)
        })
    } else if is_engine_trouble(reason) {
        Some(Class::ContainerRuntime(Outlook::Passing))
    } else {
        None
    }
}

fn of_start_error(reason: &str) -> Class {
    if has(reason, &PASSING_START_ERRORS) {
        Class::ContainerRuntime(Outlook::Passing)
    } else if reason.contains("logging driver") {
        Class::Configuration(Outlook::Lasting)
    } else if has(reason, &LASTING_START_ERRORS) {
        Class::ContainerRuntime(Outlook::Lasting)
    } else {
        Class::ContainerRuntime(Outlook::Passing)
    }
}

/// The host's container engine, agent or network is slow or out of order.
fn is_engine_trouble(reason: &str) -> bool {
    let beginnings = [
        "dockertimeouterror",
        "cannotinspect",
        "cannotstop",
        "containerruntime",
        "cgrouperror",
    ];
    beginnings.iter().any(|start| reason.starts_with(start))
        || reason.contains("network interface provisioning")
        || reason.contains("network interface to be provisioned")
}

fn is_host_lost(reason: &str) -> bool {
    reason.starts_with("host ec2")
        || reason.contains("spot task was interrupted")
        || reason.contains("spotinterruption")
        || reason.starts_with("task stopped during instance draining")
}

pub(super) fn has(reason: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| reason.contains(part))
}
