//! Everything that a random run leaves to chance: a pure function of the seed and of the name of
//! the thing, so that the driver and the model see the same world.

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Attempts fail or are lost, but the retries suffice.
    Survivable,
    /// As before, and some tasks are dropped.
    Drops,
    /// Attempts fail at any time.
    Fatal,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeds,
    Fails,
    IsLost,
    Exits202,
    IsRefused,
}

/// The decorators of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decorators {
    pub(crate) user: u32,
    pub(crate) error: u32,
    pub(crate) minutes_between: u32,
    pub(crate) batch: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    pub(crate) trouble: Trouble,
}

impl Chance {
    /// A number below `limit`, always the same for one `what`.
    pub(crate) fn draw(&self, what: &str, limit: u32) -> u32 {
        let mut hash = self.seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in what.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            hash ^= hash >> 29;
        }
        hash = (hash ^ (hash >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((hash >> 33) % u64::from(limit)) as u32
    }

    pub(crate) fn decorators(&self, step: &str) -> Decorators {
        Decorators {
            user: self.draw(&format!("{step} user"), 5),
            error: 3 * self.draw(&format!("{step} error"), 2),
            minutes_between: self.draw(&format!("{step} minutes"), 2),
            batch: self.draw(&format!("{step} batch"), 2) == 0,
        }
    }

    pub(crate) fn width(&self, task: &str) -> u32 {
        1 + self.draw(&format!("{task} width"), 3)
    }

    pub(crate) fn case(&self, task: &str, cases: usize) -> usize {
        self.draw(&format!("{task} case"), cases as u32) as usize
    }

    /// How often a loop is repeated, by where it stands.
    pub(crate) fn repetitions(&self, step: &str, foreach: &[u32]) -> u32 {
        self.draw(&format!("{step} {foreach:?} times"), 3)
    }

    pub(crate) fn fate(&self, task: &str, attempt: u32, decorators: Decorators) -> Fate {
        let roll = self.draw(&format!("{task} {attempt} fate"), 100);
        let survivable = attempt < decorators.user || self.trouble == Trouble::Fatal;
        match (self.trouble, roll) {
            (Trouble::None, _) => Fate::Succeeds,
            (Trouble::Drops, 0..2) | (Trouble::Fatal, 0) => Fate::Exits202,
            (Trouble::Drops, 2..4) => Fate::IsRefused,
            (_, 10..25) if survivable || attempt == 0 => Fate::IsLost,
            (_, 25..40) if survivable => Fate::Fails,
            _ => Fate::Succeeds,
        }
    }
}
