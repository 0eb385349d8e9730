//! How much memory a task gets next that had too little.

use super::fargate;

/// Half as much again as `memory`, at most `most`, all in MiB; on Fargate, the next amount that it has with so many vCPUs.
/// None where that is no more than before.
pub fn more_memory(memory: u64, most: Option<u64>, vcpu: &str, is_fargate: bool) -> Option<u64> {
    let wanted = memory.saturating_mul(3).div_ceil(2);
    let most = most.unwrap_or(u64::MAX);
    let next = if is_fargate {
        on_fargate(wanted, most, vcpu)?
    } else {
        wanted.min(most)
    };
    (next > memory).then_some(next)
}

/// The least amount that is enough, or else the most that there is.
fn on_fargate(wanted: u64, most: u64, vcpu: &str) -> Option<u64> {
    let amounts = fargate::amounts(vcpu.parse().ok()?)?;
    let mut allowed = amounts.into_iter().filter(|amount| *amount <= most);
    let enough = allowed.clone().find(|amount| *amount >= wanted);
    enough.or_else(|| allowed.next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_half_as_much_again_up_to_a_limit() {
        let on_ec2 = |memory, most| more_memory(memory, most, "1", false);
        assert_eq!(on_ec2(4_096, None), Some(6_144));
        assert_eq!(on_ec2(5, None), Some(8));
        assert_eq!(on_ec2(4_096, Some(5_000)), Some(5_000));
        assert_eq!(on_ec2(4_096, Some(4_096)), None);
        assert_eq!(on_ec2(4_096, Some(1_000)), None);
        assert_eq!(on_ec2(u64::MAX, None), None);
    }

    #[test]
    fn fargate_has_some_amounts_only() {
        for (vcpu, memory, most, next) in [
            ("0.25", 512, None, Some(1_024)),
            ("0.25", 1_024, None, Some(2_048)),
            ("0.25", 2_048, None, None),
            ("0.5", 1_024, None, Some(2_048)),
            ("1", 4_096, None, Some(6_144)),
            ("1", 6_144, None, Some(8_192)),
            ("1", 8_192, None, None),
            ("2", 4_096, Some(6_000), Some(5_120)),
            ("8", 16_384, None, Some(24_576)),
            ("16", 98_304, None, Some(122_880)),
            ("32", 61_440, None, Some(122_880)),
            ("32", 249_856, None, None),
            ("3", 8_192, None, None),
            ("two", 8_192, None, None),
        ] {
            let got = more_memory(memory, most, vcpu, true);
            assert_eq!(got, next, "{memory} MiB, {vcpu} vCPU, {most:?}");
        }
    }
}
