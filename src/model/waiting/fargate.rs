//! Which vCPUs and memory go together on Fargate (Batch API reference, ResourceRequirement).

/// vCPUs; the least and the most memory in MiB, and the steps between.
const SHAPES: [(f64, u64, u64, u64); 7] = [
    (0.5, 1_024, 4_096, 1_024),
    (1.0, 2_048, 8_192, 1_024),
    (2.0, 4_096, 16_384, 1_024),
    (4.0, 8_192, 30_720, 1_024),
    (8.0, 16_384, 61_440, 4_096),
    (16.0, 32_768, 122_880, 8_192),
    // Three values; 61,440 lies between the steps of the others.
    (32.0, 122_880, 249_856, 126_976),
];
const SMALLEST: (f64, [u64; 3]) = (0.25, [512, 1_024, 2_048]);

/// Whether Fargate has hosts of this shape.
pub(super) fn has(vcpus: f64, memory: u64) -> bool {
    let same = |other: f64| (vcpus - other).abs() < 1e-6;
    if same(SMALLEST.0) {
        return SMALLEST.1.contains(&memory);
    }
    if same(32.0) && memory == 61_440 {
        return true;
    }
    let shape = SHAPES.into_iter().find(|(known, ..)| same(*known));
    shape.is_some_and(|(_, least, most, step)| {
        (least..=most).contains(&memory) && (memory - least).is_multiple_of(step)
    })
}

/// The smallest shape that has at least as much of both, if there is one.
pub(super) fn next(vcpus: f64, memory: u64) -> Option<(f64, u64)> {
    let smallest = SMALLEST.1.map(|memory| (SMALLEST.0, memory));
    let others = SHAPES.into_iter().flat_map(|(known, least, most, step)| {
        let memory = (least..=most).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        memory.map(move |memory| (known, memory))
    });
    let all = smallest.into_iter().chain(others);
    all.into_iter()
        .find(|(known, has)| *known >= vcpus - 1e-6 && *has >= memory)
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
