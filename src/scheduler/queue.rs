//! What waits for a slot.
//!
//! First come, first served, as upstream does it (metaflow/runtime.py, `_queue_push` and
//! `_queue_pop`), but for attempts that follow another one: upstream relaunches those without
//! giving their slot away (`_retry_worker`), so they go before everything else.

use std::collections::VecDeque;

use model::TaskKey;

use crate::{
    frames::{FrameId, Position},
    steps::StepIx,
    task::Inputs,
};

/// Tasks and attempts that wait for a slot.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    relaunches: VecDeque<TaskKey>,
    ready: VecDeque<Ready>,
    /// Tasks in `ready`, where one entry can stand for many.
    tasks: usize,
}

#[derive(Debug)]
enum Ready {
    Task(Queued),
    Children(Children),
}

/// A task that does not exist yet.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) step: StepIx,
    pub(crate) position: Position,
    pub(crate) inputs: Inputs,
}

/// The children of a foreach that do not exist yet. A wide foreach is one entry.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) step: StepIx,
    pub(crate) frame: FrameId,
    pub(crate) parent: TaskKey,
    pub(crate) next: u32,
    pub(crate) splits: u32,
}

/// What gets the next slot.
#[derive(Debug)]
pub(crate) enum Next {
    Relaunch(TaskKey),
    New(Queued),
}

impl Queue {
    pub(crate) fn push(&mut self, task: Queued) {
        self.tasks += 1;
        self.ready.push_back(Ready::Task(task));
    }

    pub(crate) fn push_children(&mut self, children: Children) {
        if children.next < children.splits {
            self.tasks += (children.splits - children.next) as usize;
            self.ready.push_back(Ready::Children(children));
        }
    }

    pub(crate) fn push_relaunch(&mut self, task: TaskKey) {
        self.relaunches.push_back(task);
    }

    pub(crate) fn pop(&mut self) -> Option<Next> {
        if let Some(task) = self.relaunches.pop_front() {
            return Some(Next::Relaunch(task));
        }
        let front = self.ready.pop_front()?;
        self.tasks -= 1;
        match front {
            Ready::Task(task) => Some(Next::New(task)),
            Ready::Children(mut children) => {
                let child = children.take_first();
                if children.next < children.splits {
                    self.ready.push_front(Ready::Children(children));
                }
                Some(Next::New(child))
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.relaunches.len() + self.tasks
    }
}

impl Children {
    fn take_first(&mut self) -> Queued {
        let index = self.next;
        self.next += 1;
        Queued {
            step: self.step,
            position: Position {
                frame: self.frame,
                index,
            },
            inputs: Inputs::One(self.parent),
        }
    }
}
