//! What to do about failures that are not the step's. Chosen by the evidence as it is shown, in
//! small letters.

use super::{
    BootstrapFault,
    reasons::{ABSENT, DENIED, WRONG_PLATFORM, has},
};

pub(super) const HOST_LOST: &str = "this is not the task's fault, and another attempt gets another \
     host. What takes longer than Spot capacity lasts belongs in a queue of on-demand instances";
pub(super) const INTERRUPTED: &str = "its host may be going away. @retry repeats the task if this \
     happens often";
pub(super) const ROLE: &str = "it must exist, and trust ecs-tasks.amazonaws.com. A new role is \
     known everywhere after a minute or so";
pub(super) const NO_ROOM: &str = "it may have later, or with more subnets, instance types or a \
     higher quota";
pub(super) const CANCELLED: &str = "it is not run again";
pub(super) const LAUNCHER_LOST: &str = "this is not the task's fault, and it is run again";
pub(super) const SUPERSEDED: &str = "AWS Batch had called its container dead, and the later attempt \
     counts";
pub(super) const DUPLICATE: &str = "there is nothing to do";

pub(super) fn pull_again(said: &str) -> &'static str {
    if has(said, &["no space left", "thin pool"]) {
        "the host's disk is full; give the compute environment a launch template with a larger \
         root volume"
    } else if has(
        said,
        &["toomanyrequests", "too many requests", "rate exceeded"],
    ) {
        "the registry's pull limit is reached; it passes after some hours, and a copy of the image \
         in Amazon ECR has none (public.ecr.aws/docker/library has Docker's own images)"
    } else {
        "this may pass; a copy of the image in Amazon ECR depends on fewer services"
    }
}

pub(super) fn pull(said: &str) -> &'static str {
    if has(said, &WRONG_PLATFORM) {
        "the image has no variant for the hosts' architecture; build one, e.g. by `docker buildx \
         build --platform linux/amd64,linux/arm64`, or use a queue of the image's architecture"
    } else if has(
        said,
        &[
            "does not exist or",
            "not found: does not exist or no pull access",
        ],
    ) {
        "check the image's name, and that the hosts (on Fargate, the execution role) may read the \
         registry"
    } else if has(said, &DENIED) {
        "let the role of the hosts (on Fargate, the execution role) read the registry; private \
         ones other than Amazon ECR need credentials on the hosts"
    } else if has(said, &ABSENT) {
        "check the image's name and tag"
    } else {
        "check the image's name, its architecture, and who may read the registry"
    }
}

pub(super) fn start_again(said: &str) -> &'static str {
    if has(said, &["no space left", "thin pool"]) {
        "the host's disk is full; give the compute environment a launch template with a larger \
         root volume"
    } else if has(said, &["rate exceeded", "throttl"]) {
        "too many containers start at once for CloudWatch Logs; a higher quota of CreateLogStream, \
         or the log option `mode: non-blocking`, helps"
    } else if said.contains("network interface") {
        "its network interface came too late; this passes by itself"
    } else if has(said, &["timed out", "dockertimeout"]) {
        "its host is too busy; fewer tasks on a host, or faster disks, help"
    } else {
        "this is a passing fault of its host"
    }
}

pub(super) fn start(said: &str) -> &'static str {
    if said.contains("exec format") {
        "the image is of another architecture than the host, or its entrypoint is no program; \
         build it for the queue's architecture"
    } else if has(
        said,
        &["executable file not found", "no such file", "exec:"],
    ) || said.starts_with("exit code 12")
    {
        "what it is to run is not in the image; it needs sh and python on its PATH, and an \
         entrypoint that is there"
    } else {
        "check the image's entrypoint, and the volumes and devices of the step"
    }
}

pub(super) fn configuration(said: &str) -> &'static str {
    if said.contains("container overrides length") {
        "the variables of @environment are too long; put the largest into an artifact or a file"
    } else if said.contains("task network configuration") {
        "its subnet has no way to the service; it needs a NAT gateway, a VPC endpoint or a public \
         address, and a security group that lets it out"
    } else if said.contains("efs") {
        "the EFS file system cannot be mounted; check its id, its mount targets in the subnets of \
         the compute environment, and their security groups"
    } else if has(said, &["log group", "logging driver", "logger args"]) {
        "its log group or stream cannot be used; create the group, and let the hosts (on Fargate, \
         the execution role) write to it"
    } else if has(said, &["secret", "registry auth"]) {
        "check the secrets of the step, that the execution role may read them and the registry, \
         and that its subnet has a way to both"
    } else {
        "check the roles, secrets, log settings and volumes of the step"
    }
}

pub(super) fn capacity(said: &str) -> &'static str {
    if said.contains("insufficient_instance_capacity") {
        "the queue gave the job up after its own time limit; allow more instance types or \
         Availability Zones, or a longer limit in the queue's jobStateTimeLimitActions"
    } else if said.contains("misconfiguration") {
        "nothing in the queue is large enough; ask for fewer CPUs or GPUs or less memory by \
         @resources, or raise maxvCpus or the instance types of its compute environments"
    } else {
        "ask for less by @resources, or for a higher quota by Service Quotas"
    }
}

pub(super) fn bootstrap(fault: BootstrapFault) -> &'static str {
    match fault {
        BootstrapFault::Missing => {
            "this Ferroflow has no bootstrap for the machine's architecture; use a queue of another \
             one, or install a wheel, which has both"
        }
        BootstrapFault::Fetch => {
            "the bootstrap could not be fetched or is damaged; check that the job role may read the \
             datastore and that the container reaches S3"
        }
        BootstrapFault::Exec => {
            "the container has no folder to execute the bootstrap from; give it a writable one"
        }
        BootstrapFault::Claim => {
            "the bootstrap could not read what to run, or could not claim it; the job's log says why"
        }
        BootstrapFault::Prepare(_) => {
            "the bootstrap failed after it had claimed the task, and could not say why; the job's \
             log may"
        }
        BootstrapFault::Early => {
            "the container ended before the bootstrap ran, so this is no failure of the step; check \
             the image's entrypoint and the job role, the job's log says more"
        }
        BootstrapFault::Skipped => {
            "the job ended well without having run the task; the image's entrypoint must run the \
             command that it is given"
        }
    }
}
