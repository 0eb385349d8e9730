//! Where a task stands: inside which child of which split, in which iteration of which loop.
//!
//! Upstream copies a stack of foreach indices and one of iterations into every task. Here each
//! split and each loop is a frame that points to where it was opened, and a task holds one
//! [`Position`]: 8 bytes, however deep it is.

use std::fmt;

use model::TaskKey;
use serde::{Deserialize, Serialize};

use crate::steps::StepIx;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameId(u32);

/// A place inside a frame: the index of a foreach child, the number of a branch, or the iteration
/// of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) frame: FrameId,
    pub(crate) index: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Root,
    Foreach,
    Split,
    Loop,
}

#[derive(Debug)]
struct Frame {
    kind: FrameKind,
    outside: Position,
    /// How many tasks a join of this frame waits for.
    width: u32,
    /// Joins that somebody waits at; behind a switch there can be more than one.
    joins: Vec<Arrivals>,
}

/// The tasks that have arrived at a join, by their index in the frame that it closes.
#[derive(Debug)]
struct Arrivals {
    join: StepIx,
    slots: Vec<Option<TaskKey>>,
    missing: u32,
}

/// A join whose tasks have all arrived.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) outside: Position,
    /// In the order of the branches or of the foreach's items.
    pub(crate) inputs: Box<[TaskKey]>,
}

/// All frames of a run.
#[derive(Debug)]
pub(crate) struct Frames(Vec<Frame>);

impl Position {
    /// Outside every split and loop.
    pub(crate) const ROOT: Self = Self {
        frame: FrameId(0),
        index: 0,
    };
}

impl Frames {
    pub(crate) fn new() -> Self {
        let mut frames = Self(Vec::new());
        frames.open(FrameKind::Root, Position::ROOT, 1);
        frames
    }

    /// Opens a frame at `outside`.
    pub(crate) fn open(&mut self, kind: FrameKind, outside: Position, width: u32) -> FrameId {
        let id = u32::try_from(self.0.len()).expect("2^32 frames do not fit in memory");
        self.0.push(Frame {
            kind,
            outside,
            width,
            joins: Vec::new(),
        });
        FrameId(id)
    }

    /// Where the frame of a position was opened.
    pub(crate) fn outside(&self, position: Position) -> Position {
        self.frame(position).outside
    }

    /// A task at `position` is ready for `join`. The last one to arrive takes all of them along.
    pub(crate) fn arrive(
        &mut self,
        position: Position,
        join: StepIx,
        task: TaskKey,
    ) -> Option<Joined> {
        let frame = &mut self.0[position.frame.0 as usize];
        let at = frame.arrivals_at(join);
        let arrivals = &mut frame.joins[at];
        if arrivals.slots[position.index as usize]
            .replace(task)
            .is_none()
        {
            arrivals.missing -= 1;
        }
        if arrivals.missing > 0 {
            return None;
        }
        let complete = frame.joins.swap_remove(at);
        Some(Joined {
            outside: frame.outside,
            inputs: complete.slots.into_iter().flatten().collect(),
        })
    }

    /// The index in the innermost foreach, for a task that is a child of it.
    pub(crate) fn split_index(&self, position: Position) -> u64 {
        let inner = match self.frame(position).kind {
            FrameKind::Loop => self.outside(position),
            _ => position,
        };
        inner.index.into()
    }

    /// All indices around a position.
    pub(crate) fn index(&self, mut position: Position) -> TaskIndex {
        let mut index = TaskIndex::default();
        loop {
            let frame = self.frame(position);
            match frame.kind {
                FrameKind::Root => break,
                FrameKind::Foreach => index.foreach.push(position.index),
                FrameKind::Loop => index.iterations.push(position.index),
                FrameKind::Split => {}
            }
            position = frame.outside;
        }
        index.foreach.reverse();
        index.iterations.reverse();
        index
    }

    fn frame(&self, position: Position) -> &Frame {
        &self.0[position.frame.0 as usize]
    }
}

impl Frame {
    /// Finds the slots of a join, or makes them for the first task that arrives.
    fn arrivals_at(&mut self, join: StepIx) -> usize {
        if let Some(at) = self.joins.iter().position(|a| a.join == join) {
            return at;
        }
        self.joins.push(Arrivals {
            join,
            slots: vec![None; self.width as usize],
            missing: self.width,
        });
        self.joins.len() - 1
    }
}

/// A task's indices, outermost first: with the step's name they tell it from all other tasks of a
/// run. Prints as the end of upstream's `pathspec_index`, such as `[3,1][0]`
/// (metaflow/datastore/task_datastore.py).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct TaskIndex {
    /// The item of each foreach around the task.
    pub foreach: Vec<u32>,
    /// The iteration of each loop around the task. A recursive switch is the only loop there is.
    pub iterations: Vec<u32>,
}

impl fmt::Display for TaskIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for indices in [&self.foreach, &self.iterations] {
            f.write_str("[")?;
            for (i, index) in indices.iter().enumerate() {
                if i > 0 {
                    f.write_str(",")?;
                }
                index.fmt(f)?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}
