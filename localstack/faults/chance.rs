//! Chance that is the same each time.

use sha2::{Digest, Sha256};

/// Of the matches of a rule, so many fire, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chance {
    pub(super) probability: f64,
    pub(super) seed: u64,
}

impl Chance {
    /// Whether the `nth` match of the rule at this place of the list fires. Nothing else counts: neither the time, nor what
    /// other rules did, nor who it is that comes nth.
    pub(super) fn fires(self, rule: usize, nth: u64) -> bool {
        let mut digest = Sha256::new();
        for part in [self.seed, rule as u64, nth] {
            digest.update(part.to_be_bytes());
        }
        let digest = digest.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        let drawn = u64::from_be_bytes(first) as f64 / 2_f64.powi(64);
        drawn < self.probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(seed: u64, rule: usize) -> Vec<u64> {
        let chance = Chance {
            probability: 0.3,
            seed,
        };
        (1..=1000).filter(|nth| chance.fires(rule, *nth)).collect()
    }

    #[test]
    fn seed_rule_and_number_decide() {
        assert_eq!(fired(7, 0), fired(7, 0));
        assert_ne!(fired(7, 0), fired(7, 1));
        assert_ne!(fired(7, 0), fired(8, 0));
        for seed in 0..20 {
            let count = fired(seed, 0).len();
            assert!((230..=370).contains(&count), "{count} of 1000");
        }
        let always = Chance {
            probability: 1.0,
            seed: 1,
        };
        assert!((1..100).all(|nth| always.fires(3, nth)));
    }
}
