//! What comes after a task that succeeded.

use model::{Fanout, NodeKind, TaskKey, Transition};

use crate::{
    Run, RunFailure,
    frames::{FrameKind, Position},
    run::End,
    steps::StepIx,
    task::Inputs,
};

impl Run {
    /// Makes the successors of a task ready, in the order of cases that upstream has: a join
    /// first, then a foreach, then a switch (metaflow/runtime.py, `_queue_tasks`).
    pub(crate) fn on_task_finished(
        &mut self,
        task: TaskKey,
        transition: &Transition,
    ) -> Result<(), RunFailure> {
        let from = self.tasks[task].step;
        if self.steps[from].kind == NodeKind::SplitSwitch {
            let chosen = self.chosen(from, &transition.next)?;
            self.check_fanout(from, transition.fanout)?;
            self.switch_to(task, chosen);
            return Ok(());
        }
        self.check_transition(from, transition)?;
        if from == self.steps.end {
            self.end = End::Reached;
        }
        let step = &self.steps[from];
        let position = self.tasks[task].position;
        match (&step.next[..], transition.fanout) {
            (&[join], _) if step.meets_join => self.arrive_at(join, position, task),
            (_, _) if step.meets_join => {
                return Err(RunFailure::JoinWithOther {
                    step: step.name.clone(),
                });
            }
            (_, Fanout::Foreach { splits }) => return self.split(task, splits),
            (_, _) if step.kind == NodeKind::Split => self.branch(task),
            (_, _) => {
                for at in 0..self.steps[from].next.len() {
                    let next = self.steps[from].next[at];
                    self.enqueue(next, position, Inputs::One(task));
                }
            }
        }
        Ok(())
    }

    /// What happened must be what the source code says.
    fn check_transition(&self, from: StepIx, transition: &Transition) -> Result<(), RunFailure> {
        let step = &self.steps[from];
        if transition.next != step.expected {
            return Err(RunFailure::WrongTransition {
                step: step.name.clone(),
                expected: step.expected.clone(),
                actual: transition.next.clone(),
            });
        }
        self.check_fanout(from, transition.fanout)
    }

    /// A frame is opened exactly where the graph has a split, or else its join would look for the
    /// wrong one.
    fn check_fanout(&self, from: StepIx, fanout: Fanout) -> Result<(), RunFailure> {
        let step = &self.steps[from];
        let foreach = match fanout {
            Fanout::One => false,
            Fanout::Foreach { .. } => true,
            Fanout::Unbounded => {
                return Err(RunFailure::UnboundedForeach {
                    step: step.name.clone(),
                });
            }
        };
        if foreach == (step.kind == NodeKind::Foreach) {
            return Ok(());
        }
        Err(RunFailure::FanoutMismatch {
            step: step.name.clone(),
            foreach,
        })
    }

    /// Takes all branches of a split. A branch's number gives its task's place among the inputs of
    /// the join.
    fn branch(&mut self, task: TaskKey) {
        let from = self.tasks[task].step;
        let branches = self.steps[from].next.len() as u32;
        let outside = self.tasks[task].position;
        let frame = self.frames.open(FrameKind::Split, outside, branches);
        for index in 0..branches {
            let next = self.steps[from].next[index as usize];
            self.enqueue(next, Position { frame, index }, Inputs::One(task));
        }
    }
}
