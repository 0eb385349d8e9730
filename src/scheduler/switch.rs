//! A switch takes one of its cases; one that may choose itself is a loop.

use model::{NodeKind, StepName, TaskKey};

use crate::{
    Run, RunFailure,
    frames::{FrameKind, Position},
    steps::StepIx,
    task::Inputs,
};

impl Run {
    /// The one step that a switch chose (metaflow/runtime.py, `_queue_tasks`).
    pub(crate) fn chosen(&self, from: StepIx, next: &[StepName]) -> Result<StepIx, RunFailure> {
        let step = &self.steps[from];
        let [chosen] = next else {
            return Err(RunFailure::SwitchCount {
                step: step.name.clone(),
                actual: next.to_vec(),
            });
        };
        match step.expected.iter().position(|case| case == chosen) {
            Some(at) => Ok(step.next[at]),
            None => Err(RunFailure::SwitchTarget {
                step: step.name.clone(),
                expected: step.expected.clone(),
                actual: chosen.clone(),
            }),
        }
    }

    /// Goes on with the step that a switch chose. A loop that is left gives back the position at
    /// which it was entered (metaflow/runtime.py, `_queue_task_switch`).
    pub(crate) fn switch_to(&mut self, task: TaskKey, chosen: StepIx) {
        let from = self.tasks[task].step;
        let here = self.tasks[task].position;
        let position = if chosen == from {
            Position {
                index: here.index + 1,
                ..here
            }
        } else if self.steps[from].is_recursive {
            self.frames.outside(here)
        } else {
            here
        };
        if self.steps[chosen].kind == NodeKind::Join {
            self.arrive_at(chosen, position, task);
        } else {
            self.enqueue(chosen, position, Inputs::One(task));
        }
    }

    /// Where a new task stands: a task of a recursive step that does not follow a task of the same
    /// step begins a loop, in iteration 0 (metaflow/runtime.py, `_translate_index`).
    pub(crate) fn enter_loop(
        &mut self,
        step: StepIx,
        position: Position,
        inputs: &Inputs,
    ) -> Position {
        let stays = matches!(*inputs, Inputs::One(parent) if self.tasks[parent].step == step);
        if stays || !self.steps[step].is_recursive {
            return position;
        }
        Position {
            frame: self.frames.open(FrameKind::Loop, position, 0),
            index: 0,
        }
    }
}
