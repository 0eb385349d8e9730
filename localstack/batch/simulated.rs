//! An attempt without a process: the simulator plays its container.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::watch;

use super::{
    event::Outcome,
    outcome::{exited, outcome, stopped},
    process::{Ended, Killed},
    run::{Cause, Order, Start, after, asked},
    service::{Control, Shared},
};
use crate::simulate::{Container, Simulator};

/// Of a container that was killed: 128 and SIGKILL.
const KILLED: i32 = 137;

/// Runs an attempt whose container is played.
pub(super) async fn run(
    shared: &Arc<Shared>,
    order: &Order,
    simulator: &Simulator,
    stop: &mut watch::Receiver<Control>,
) -> Outcome {
    if *stop.borrow() != Control::Run {
        return stopped(shared, order, None);
    }
    shared.running(order.key, order.attempt, None);
    let task = order.task(Start::First);
    let container = Container {
        command: &order.command,
        environment: &order.environment,
        job_id: &order.job_id,
        index: order.key.index,
        task: task.clone(),
    };
    let begun = match simulator.begin(&container) {
        Ok(begun) => begun,
        Err(code) => return exited(order, code, Killed::No),
    };
    let intervention = order.intervention(&shared.context);
    let cause = tokio::select! {
        () = shared.context.clock.sleep(begun.duration()) => Cause::Exited,
        cause = asked(stop) => cause,
        () = after(order.timeout) => Cause::TimedOut,
        () = after(intervention.map(|(after, _)| after)) => Cause::Fault,
    };
    let is_told = intervention.is_some_and(|(_, grace)| grace > Duration::ZERO);
    let code = match cause {
        Cause::Exited => simulator.finish(&begun),
        Cause::Stopped | Cause::TimedOut => simulator.terminate(&begun),
        Cause::Fault if is_told => simulator.terminate(&begun),
        Cause::Fault | Cause::StackEnds => KILLED,
    };
    let detail = json!({"jobId": order.job_id, "task": task});
    shared.record("container.ended", detail);
    let killed = Killed::No;
    outcome(shared, order, cause, Ended { code, killed })
}
