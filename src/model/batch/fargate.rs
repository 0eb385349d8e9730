//! Which vCPUs and memory go together on Fargate (AWS Batch API reference, ResourceRequirement).

/// vCPUs in thousandths; memory in MiB: the least, the most, the step between.
const SHAPES: [(u64, u64, u64, u64); 7] = [
    (250, 512, 2_048, 512),
    (500, 1_024, 4_096, 1_024),
    (1_000, 2_048, 8_192, 1_024),
    (2_000, 4_096, 16_384, 1_024),
    (4_000, 8_192, 30_720, 1_024),
    (8_000, 16_384, 61_440, 4_096),
    (16_000, 32_768, 122_880, 8_192),
];
/// With 0.25 vCPU there is no such amount.
const NOT_WITH_A_QUARTER: u64 = 1_536;
/// With 32 vCPUs.
const WITH_32: [u64; 3] = [61_440, 122_880, 249_856];

/// The amounts of memory, in MiB, that go with each number of vCPUs, in thousandths; both ascending.
pub(crate) fn shapes() -> impl Iterator<Item = (u64, Vec<u64>)> {
    let regular = SHAPES.into_iter().map(|(vcpus, least, most, step)| {
        let amounts = (least..=most).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let is_there = |amount: &u64| (vcpus, *amount) != (250, NOT_WITH_A_QUARTER);
        (vcpus, amounts.filter(is_there).collect())
    });
    regular.chain([(32_000, WITH_32.to_vec())])
}

/// The amounts of memory that go with so many vCPUs; none where Fargate has no such number.
pub(crate) fn amounts(vcpus: f64) -> Option<Vec<u64>> {
    let wanted = (vcpus * 1_000.0).round() as u64;
    shapes().find_map(|(vcpus, amounts)| (vcpus == wanted).then_some(amounts))
}
