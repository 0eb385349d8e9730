//! What a host of an EC2 instance type has, as far as its name tells. Batch's API does not say it, and EC2's needs a
//! permission of its own. What is not certain is unknown here, and nothing is concluded from it.
//!
//! Source: EC2's tables of instance types. Sizes of a family double: `large` has 2 vCPUs, `xlarge` 4, `Nxlarge` 4·N; the
//! families for which that, or a fixed share of memory per vCPU, does not hold are left out.

/// What a host has; none is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Host {
    /// vCPUs.
    pub(super) vcpus: Option<u64>,
    /// MiB, nominally: what ECS offers to jobs is a little less.
    pub(super) memory: Option<u64>,
    /// NVIDIA GPUs.
    pub(super) gpus: Gpus,
}

/// How many GPUs a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Gpus {
    #[default]
    Unknown,
    None,
    /// At least one.
    Some,
    Exactly(u64),
}

/// Of sizes `Nxlarge`. There is none beyond 224.
const LARGEST: u64 = 1_000;

/// Kinds of families without NVIDIA GPUs: what stands before the number of the generation.
const WITHOUT_GPUS: [&str; 20] = [
    "a", "c", "d", "dl", "f", "h", "hpc", "i", "im", "inf", "is", "m", "mac", "r", "t", "trn", "u",
    "vt", "x", "z",
];
const WITH_GPUS: [&str; 3] = ["g", "gr", "p"];

/// What a compute environment's entry of `instanceTypes` stands for: a type, a family, or Batch's own choice among the
/// families C, M and R.
pub(super) fn host(named: &str) -> Host {
    if ["optimal", "default_x86_64", "default_arm64"].contains(&named) {
        return Host {
            gpus: Gpus::None,
            ..Host::default()
        };
    }
    let (family, size) = match named.split_once('.') {
        Some((family, size)) => (family, Some(size)),
        None => (named, None),
    };
    let digits = family.find(|c: char| c.is_ascii_digit());
    let kind = &family[..digits.unwrap_or(family.len())];
    let vcpus = size.and_then(|size| vcpus(kind, size));
    let per_vcpu = memory_per_vcpu(family, kind);
    Host {
        vcpus,
        memory: vcpus.zip(per_vcpu).map(|(vcpus, mib)| vcpus * mib),
        gpus: gpus(family, kind, size),
    }
}

fn vcpus(kind: &str, size: &str) -> Option<u64> {
    // Burstable ones have two however small they are, or one; hosts for HPC have no hyper-threads.
    if ["t", "hpc", "mac", "u"].contains(&kind) {
        return None;
    }
    match size {
        "medium" => Some(1),
        "large" => Some(2),
        "xlarge" => Some(4),
        other => {
            let times: u64 = other.strip_suffix("xlarge")?.parse().ok()?;
            (1..=LARGEST).contains(&times).then_some(4 * times)
        }
    }
}

/// In MiB.
fn memory_per_vcpu(family: &str, kind: &str) -> Option<u64> {
    let generation: u32 = family[kind.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .ok()?;
    match (kind, generation, family) {
        // 10.5 GiB for each four.
        (_, _, "c5n") => Some(2_688),
        ("c", 4, _) => Some(1_920),
        ("c", 5.., _) => Some(2_048),
        ("m", 4.., _) => Some(4_096),
        ("r", 5.., _) => Some(8_192),
        _ => None,
    }
}

fn gpus(family: &str, kind: &str, size: Option<&str>) -> Gpus {
    if WITHOUT_GPUS.contains(&kind) {
        return Gpus::None;
    }
    // AMD's, which Batch does not count.
    if !WITH_GPUS.contains(&kind) || family == "g4ad" {
        return Gpus::Unknown;
    }
    let count = match (family, size) {
        ("p2" | "g3s", Some("xlarge"))
        | ("p3", Some("2xlarge"))
        | ("g3", Some("4xlarge"))
        | (
            "g4dn" | "g5" | "g6" | "g6e",
            Some("xlarge" | "2xlarge" | "4xlarge" | "8xlarge" | "16xlarge"),
        ) => 1,
        ("g3", Some("8xlarge")) => 2,
        ("p3", Some("8xlarge"))
        | ("g3", Some("16xlarge"))
        | ("g4dn" | "g5" | "g6" | "g6e", Some("12xlarge"))
        | ("g5" | "g6" | "g6e", Some("24xlarge")) => 4,
        ("p4d" | "p4de" | "p5en" | "p5e" | "p3dn", Some(_))
        | ("p2", Some("8xlarge"))
        | ("p3", Some("16xlarge"))
        | ("g4dn", Some("metal"))
        | ("g5" | "g6" | "g6e" | "p5", Some("48xlarge")) => 8,
        ("p2", Some("16xlarge")) => 16,
        _ => return Gpus::Some,
    };
    Gpus::Exactly(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_host_has() {
        let known = |vcpus, memory, gpus| Host {
            vcpus: Some(vcpus),
            memory: Some(memory),
            gpus,
        };
        for (name, host_of) in [
            ("c4.xlarge", known(4, 7_680, Gpus::None)),
            ("c5.large", known(2, 4_096, Gpus::None)),
            ("c5n.18xlarge", known(72, 193_536, Gpus::None)),
            ("m6g.medium", known(1, 4_096, Gpus::None)),
            ("m7i-flex.8xlarge", known(32, 131_072, Gpus::None)),
            ("r6id.32xlarge", known(128, 1_048_576, Gpus::None)),
        ] {
            assert_eq!(host(name), host_of, "{name}");
        }
        for (name, vcpus, gpus) in [
            ("g5.12xlarge", Some(48), Gpus::Exactly(4)),
            ("p4d.24xlarge", Some(96), Gpus::Exactly(8)),
            ("g6f.xlarge", Some(4), Gpus::Some),
            ("p3", None, Gpus::Some),
            ("optimal", None, Gpus::None),
            ("m5", None, Gpus::None),
            ("t3.large", None, Gpus::None),
            ("m5.metal", None, Gpus::None),
            ("trn1.32xlarge", Some(128), Gpus::None),
            ("q9.xlarge", Some(4), Gpus::Unknown),
            ("g4ad.xlarge", Some(4), Gpus::Unknown),
        ] {
            let found = host(name);
            assert_eq!(
                (found.vcpus, found.memory, found.gpus),
                (vcpus, None, gpus),
                "{name}"
            );
        }
    }

    #[test]
    fn any_text_is_borne() {
        for name in [
            "",
            ".",
            "5",
            "é.xlarge",
            "m.",
            "m99999999999.large",
            "m5.0xlarge",
            "xlarge",
        ] {
            host(name);
        }
        assert_eq!(host("m5.99999999999999999999xlarge").vcpus, None);
    }
}
