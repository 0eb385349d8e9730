//! The scheduler core: what happened goes in as [`Event`]s, what to do about it comes out as
//! [`Command`]s.
//!
//! [`Run`] decides which step of a flow runs when, with which inputs, how often an attempt is
//! repeated and how the run ends, as Metaflow's own scheduler does (metaflow/runtime.py,
//! `NativeRuntime`). It does no I/O, reads no clock and draws no random number: the same plan
//! and the same events give the same commands, which is what makes replay possible. It never
//! sees exit codes, pickles or the states of a job; the driver translates those.
//!
//! Each event costs amortised constant time, however wide a foreach is.

mod command;
mod event;
mod failure;
mod foreach;
mod frames;
mod join;
mod plan_error;
mod progress;
mod queue;
mod retry;
mod run;
mod step_ready;
mod steps;
mod switch;
mod task;
mod turn;

pub use command::{Command, HaltCause, Launch, Place, RunOutcome};
pub use event::{Event, FailureClass, Outcome, TimerId};
pub use failure::{FailureKind, RunFailure, end_not_reached};
pub use frames::TaskIndex;
pub use plan_error::PlanError;
pub use progress::{Progress, StepProgress};
pub use run::Run;
pub use task::TaskView;
pub use turn::Turn;
