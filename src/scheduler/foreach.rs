//! A foreach fans out.

use model::TaskKey;

use crate::{Run, RunFailure, frames::FrameKind, queue::Children};

impl Run {
    /// Makes the children of a foreach ready, in the order of their items (metaflow/runtime.py,
    /// `_queue_task_foreach`). However many they are, this is one entry of the queue.
    pub(crate) fn split(&mut self, task: TaskKey, splits: u64) -> Result<(), RunFailure> {
        let parent = &self.tasks[task];
        let step = &self.steps[parent.step];
        let &[child] = &step.next[..] else {
            return Err(RunFailure::ForeachWithOther {
                step: step.name.clone(),
            });
        };
        let max = self.limits.max_num_splits;
        let splits = match u32::try_from(splits) {
            Ok(splits) if splits <= max => splits,
            _ => {
                return Err(RunFailure::TooManySplits {
                    task,
                    step: step.name.clone(),
                    splits,
                    max,
                });
            }
        };
        let frame = self
            .frames
            .open(FrameKind::Foreach, parent.position, splits);
        self.counts.queued(child, splits as usize);
        self.queue.push_children(Children {
            step: child,
            frame,
            parent: task,
            next: 0,
            splits,
        });
        Ok(())
    }
}
