//! Whether Fargate has a host for a job, and which is the next larger one.

use crate::batch::fargate::{amounts, shapes};

/// Whether Fargate has hosts of this shape.
pub(super) fn has(vcpus: f64, memory: u64) -> bool {
    amounts(vcpus).is_some_and(|amounts| amounts.contains(&memory))
}

/// The smallest shape that has at least as much of both, if there is one.
pub(super) fn next(vcpus: f64, memory: u64) -> Option<(f64, u64)> {
    let all = shapes().flat_map(|(vcpus, amounts)| {
        let vcpus = vcpus as f64 / 1_000.0;
        amounts.into_iter().map(move |memory| (vcpus, memory))
    });
    let mut all = all.filter(|(known, has)| *known >= vcpus - 1e-6 && *has >= memory);
    all.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_the_reference() {
        for (vcpus, memory) in [
            (0.25, 512),
            (0.5, 4_096),
            (1.0, 3_072),
            (4.0, 30_720),
            (8.0, 20_480),
            (16.0, 122_880),
            (32.0, 61_440),
            (32.0, 249_856),
        ] {
            assert!(has(vcpus, memory), "{vcpus} {memory}");
        }
        for (vcpus, memory) in [
            (0.25, 4_096),
            (1.0, 1_024),
            (1.0, 2_500),
            (3.0, 8_192),
            (8.0, 17_408),
            (64.0, 249_856),
        ] {
            assert!(!has(vcpus, memory), "{vcpus} {memory}");
        }
    }

    #[test]
    fn the_next_larger_shape_is_found() {
        assert_eq!(next(1.0, 1_024), Some((1.0, 2_048)));
        assert_eq!(next(0.25, 4_096), Some((0.5, 4_096)));
        assert_eq!(next(1.0, 16_384), Some((2.0, 16_384)));
        assert_eq!(next(3.0, 8_192), Some((4.0, 8_192)));
        assert_eq!(next(64.0, 1), None);
    }
}
