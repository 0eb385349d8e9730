//! What a job can be waiting for.

use super::BlockedReason;
use crate::batch::{JobId, JobStatus, Platform};

/// Why a job is not running: the first of these that holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// It runs.
    Running,
    /// It has ended well.
    Succeeded,
    /// It has failed without having run: what [`crate::failure`] says of it.
    NeverRan(String),
    /// It has failed: exit code and status reason.
    Failed {
        /// The container's.
        exit_code: Option<i32>,
        /// Batch's.
        reason: Option<String>,
    },
    /// It has a host, where the container runtime complains.
    NotStarting(String),
    /// It has a host, which pulls its image.
    Starting,
    /// Batch has not looked at it yet.
    Submitted,
    /// It waits for other jobs: those that have not ended well.
    Dependencies(Vec<(JobId, JobStatus)>),
    /// It is PENDING, and Batch does not say what for.
    Pending,
    /// Batch shows no such queue.
    NoQueue,
    /// The queue is not VALID: in AWS's words.
    QueueInvalid(String),
    /// The queue has no compute environment.
    NoEnvironment,
    /// None of the queue's compute environments can run it.
    Environments(Vec<Obstructed>),
    /// Batch says that the job blocks its queue.
    Blocked {
        /// What it says.
        reason: BlockedReason,
        /// In its words.
        said: String,
    },
    /// Another job, at the head of the queue, blocks it.
    BehindBlocked {
        /// That job.
        head: JobId,
        /// Batch's words about it.
        said: String,
    },
    /// The queue takes no new jobs.
    QueueDisabled,
    /// All hosts that the queue may have are in use.
    Full {
        /// vCPUs in use, or wanted by Batch.
        used: u64,
        /// vCPUs that there may be.
        max: u64,
        /// Jobs before it, as far as that was to be seen.
        ahead: Ahead,
    },
    /// Other jobs come first.
    Behind(Ahead),
    /// Hosts are being started, which takes a while.
    HostsStart(Platform),
    /// Its definition has been deregistered.
    DefinitionInactive,
    /// It asks for nearly all memory that the largest host has: nominally so many MiB.
    MemoryNearEdge(u64),
    /// It waits for Spot capacity, or a price: percent of the on-demand price.
    Spot(Option<u64>),
    /// Batch has ordered hosts, and it waits all the same.
    HostsDoNotJoin(u64),
    /// Nothing of this, in Batch's words where it has any.
    NothingFound(Option<String>),
}

/// Jobs before another one in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// So many.
    Exactly(usize),
    /// At least so many: Batch lists no more.
    AtLeast(usize),
    /// That was not to be seen.
    Unknown,
}

/// A compute environment that cannot run a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstructed {
    /// Its name.
    pub environment: String,
    /// Why.
    pub obstacle: Obstacle,
}

/// Why a compute environment cannot run a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// It does not exist.
    Missing,
    /// Its owner has switched it off.
    Disabled,
    /// AWS calls it broken, for this reason.
    Invalid(Option<String>),
    /// AWS is making, changing or deleting it.
    NotReady(String),
    /// maxvCpus is less than the job asks for.
    MaxVcpus {
        /// maxvCpus
        max: u64,
        /// What is asked for.
        asked: f64,
    },
    /// A job with GPUs, and Fargate has none.
    NoGpuOnFargate,
    /// A job with GPUs, and none of the instance types has one.
    NoGpu(Vec<String>),
    /// No instance type has as many vCPUs; the largest.
    Vcpus {
        /// What is asked for.
        asked: f64,
        /// The most.
        most: u64,
        /// The type that has them.
        instance_type: String,
    },
    /// No instance type has as much memory, in MiB.
    Memory {
        /// What is asked for.
        asked: u64,
        /// The most, nominally.
        most: u64,
        /// The type that has it.
        instance_type: String,
    },
    /// No instance type has as many GPUs.
    Gpus {
        /// What is asked for.
        asked: u64,
        /// The most.
        most: u64,
        /// The type that has them.
        instance_type: String,
    },
    /// No instance type has all of it together.
    Together(Vec<String>),
    /// Fargate has no host of this shape.
    FargateShape {
        /// vCPUs asked for.
        vcpus: f64,
        /// MiB asked for.
        memory: u64,
        /// The smallest shape that would do.
        next: Option<(f64, u64)>,
    },
}

/// What a cause means for who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// It will pass by itself: nothing is wrong.
    Healthy,
    /// It may pass, or not.
    Doubtful,
    /// It stays so until somebody does something.
    Stuck,
    /// It is over.
    Over,
}

impl Cause {
    /// Whether it will pass.
    pub fn outlook(&self) -> Outlook {
        match self {
            Self::Running
            | Self::Starting
            | Self::Submitted
            | Self::Dependencies(_)
            | Self::Full { .. }
            | Self::Behind(_)
            | Self::HostsStart(_) => Outlook::Healthy,
            Self::Succeeded | Self::NeverRan(_) | Self::Failed { .. } => Outlook::Over,
            Self::Environments(all) => all
                .iter()
                .map(|one| one.obstacle.outlook())
                .min()
                .unwrap_or(Outlook::Stuck),
            Self::Blocked { reason, .. } => reason.outlook(),
            Self::BehindBlocked { said, .. } => {
                BlockedReason::read(said).map_or(Outlook::Doubtful, BlockedReason::outlook)
            }
            Self::NoQueue | Self::QueueInvalid(_) | Self::NoEnvironment | Self::NotStarting(_) => {
                Outlook::Stuck
            }
            Self::Pending
            | Self::QueueDisabled
            | Self::DefinitionInactive
            | Self::MemoryNearEdge(_)
            | Self::Spot(_)
            | Self::HostsDoNotJoin(_)
            | Self::NothingFound(_) => Outlook::Doubtful,
        }
    }

    /// Its name in docs/why.md.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded | Self::Failed { .. } => "ended",
            Self::NeverRan(_) => "failed before it ran",
            Self::NotStarting(_) => "container not started",
            Self::Starting => "starting",
            Self::Submitted => "submitted",
            Self::Dependencies(_) => "dependencies",
            Self::Pending => "pending",
            Self::NoQueue => "no queue",
            Self::QueueInvalid(_) => "queue invalid",
            Self::NoEnvironment => "no compute environment",
            Self::Environments(all) => all
                .first()
                .map_or("no compute environment", |first| first.obstacle.label()),
            Self::Blocked { reason, .. } => reason.label(),
            Self::BehindBlocked { .. } => "behind a blocked job",
            Self::QueueDisabled => "queue disabled",
            Self::Full { .. } => "full",
            Self::Behind(_) => "behind others",
            Self::HostsStart(_) => "hosts start",
            Self::DefinitionInactive => "definition inactive",
            Self::MemoryNearEdge(_) => "memory near a host's",
            Self::Spot(_) => "Spot",
            Self::HostsDoNotJoin(_) => "hosts do not join",
            Self::NothingFound(_) => "nothing found",
        }
    }
}

impl Obstacle {
    fn outlook(&self) -> Outlook {
        match self {
            Self::NotReady(_) => Outlook::Doubtful,
            _ => Outlook::Stuck,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Missing => "compute environment missing",
            Self::Disabled => "compute environment disabled",
            Self::Invalid(_) => "compute environment invalid",
            Self::NotReady(_) => "compute environment not ready",
            Self::MaxVcpus { .. } => "maxvCpus",
            Self::NoGpuOnFargate | Self::NoGpu(_) => "no GPU",
            Self::Vcpus { .. } | Self::Memory { .. } | Self::Gpus { .. } | Self::Together(_) => {
                "instance types"
            }
            Self::FargateShape { .. } => "Fargate shape",
        }
    }
}

impl BlockedReason {
    fn outlook(self) -> Outlook {
        match self {
            Self::Capacity | Self::OtherCapacity => Outlook::Doubtful,
            _ => Outlook::Stuck,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Capacity | Self::OtherCapacity => "no capacity",
            Self::MaxResource => "maxvCpus",
            Self::JobResource => "instance types",
            Self::ServiceRole => "service role",
            Self::InstanceConfiguration => "instance configuration",
            Self::ActionRequired => "compute environment invalid",
            Self::OtherMisconfiguration => "misconfiguration",
        }
    }
}
