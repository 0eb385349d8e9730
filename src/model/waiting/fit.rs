//! Whether a compute environment can run a job at all.

use super::{
    Needs, Obstacle, fargate,
    instance_type::{Gpus, Host, host},
};
use crate::batch::ComputeEnvironment;

/// Of a host's nominal memory ECS offers at most this part to jobs: an m4.large has 7,985 of 8,192 MiB
/// (Amazon ECS developer guide, "Reserving memory").
const MOST_OF_MEMORY: f64 = 0.975;

/// Of larger hosts it may be this part: 31,431 of 32,768 MiB were seen (aws/containers-roadmap#2231).
const LEAST_OF_MEMORY: f64 = 0.93;

/// Why this environment cannot run such a job, if that is certain.
pub(super) fn obstacle(environment: &ComputeEnvironment, needs: Needs) -> Option<Obstacle> {
    let Some(standing) = &environment.standing else {
        return Some(Obstacle::Missing);
    };
    if standing.is_disabled() {
        return Some(Obstacle::Disabled);
    }
    if standing.is_invalid() {
        return Some(Obstacle::Invalid(standing.reason.clone()));
    }
    match standing.status.as_deref() {
        // A change of its size is no obstacle.
        None | Some("VALID" | "UPDATING") => {}
        Some(other) => return Some(Obstacle::NotReady(other.to_owned())),
    }
    if let (Some(asked), Some(max)) = (needs.vcpus, environment.max_vcpus)
        && asked > max as f64
    {
        return Some(Obstacle::MaxVcpus { max, asked });
    }
    if environment.platform.is_fargate() {
        return of_fargate(needs);
    }
    of_instance_types(&environment.instance_types, needs)
}

fn of_fargate(needs: Needs) -> Option<Obstacle> {
    if needs.gpus > 0 {
        return Some(Obstacle::NoGpuOnFargate);
    }
    let (vcpus, memory) = needs.vcpus.zip(needs.memory)?;
    (!fargate::has(vcpus, memory)).then(|| Obstacle::FargateShape {
        vcpus,
        memory,
        next: fargate::next(vcpus, memory),
    })
}

fn of_instance_types(types: &[String], needs: Needs) -> Option<Obstacle> {
    let hosts: Vec<(&String, Host)> = types.iter().map(|name| (name, host(name))).collect();
    if hosts.is_empty() || hosts.iter().any(|(_, host)| may_fit(*host, needs)) {
        return None;
    }
    if needs.gpus > 0 && hosts.iter().all(|(_, host)| host.gpus == Gpus::None) {
        return Some(Obstacle::NoGpu(types.to_vec()));
    }
    let vcpus = largest(&hosts, |host| host.vcpus);
    if let (Some(asked), Some((most, instance_type))) = (needs.vcpus, vcpus)
        && asked > most as f64
    {
        return Some(Obstacle::Vcpus {
            asked,
            most,
            instance_type,
        });
    }
    let memory = largest(&hosts, |host| host.memory);
    if let (Some(asked), Some((most, instance_type))) = (needs.memory, memory)
        && asked as f64 > most as f64 * MOST_OF_MEMORY
    {
        return Some(Obstacle::Memory {
            asked,
            most,
            instance_type,
        });
    }
    let gpus = largest(&hosts, |host| match host.gpus {
        Gpus::None => Some(0),
        Gpus::Exactly(count) => Some(count),
        Gpus::Unknown | Gpus::Some => None,
    });
    if let Some((most, instance_type)) = gpus
        && needs.gpus > most
    {
        return Some(Obstacle::Gpus {
            asked: needs.gpus,
            most,
            instance_type,
        });
    }
    Some(Obstacle::Together(types.to_vec()))
}

/// What is not known may do.
fn may_fit(host: Host, needs: Needs) -> bool {
    let vcpus = needs.vcpus.zip(host.vcpus);
    let memory = needs.memory.zip(host.memory);
    let gpus = match host.gpus {
        Gpus::None => needs.gpus == 0,
        Gpus::Exactly(count) => needs.gpus <= count,
        Gpus::Unknown | Gpus::Some => true,
    };
    gpus && vcpus.is_none_or(|(asked, has)| asked <= has as f64)
        && memory.is_none_or(|(asked, has)| asked as f64 <= has as f64 * MOST_OF_MEMORY)
}

/// The largest, where it is known of all.
fn largest(hosts: &[(&String, Host)], of: impl Fn(&Host) -> Option<u64>) -> Option<(u64, String)> {
    let all: Option<Vec<_>> = hosts
        .iter()
        .map(|(name, host)| Some((of(host)?, (*name).clone())))
        .collect();
    all?.into_iter().max_by_key(|(size, _)| *size)
}

/// The nominal memory of the largest host, if the job asks for so much of it that it may not fit.
pub(super) fn near_the_edge(environments: &[&ComputeEnvironment], needs: Needs) -> Option<u64> {
    let types = environments.iter().flat_map(|one| &one.instance_types);
    let memory: Option<Vec<u64>> = types.map(|name| host(name).memory).collect();
    let most = memory?.into_iter().max()?;
    let asked = needs.memory?;
    (asked as f64 > most as f64 * LEAST_OF_MEMORY).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Platform, Standing};

    fn environment(platform: Platform, types: &[&str]) -> ComputeEnvironment {
        ComputeEnvironment {
            standing: Some(Standing::default()),
            platform,
            max_vcpus: Some(256),
            instance_types: types.iter().map(|name| (*name).to_owned()).collect(),
            ..ComputeEnvironment::missing("e")
        }
    }

    fn needs(vcpus: f64, memory: u64, gpus: u64) -> Needs {
        Needs {
            vcpus: Some(vcpus),
            memory: Some(memory),
            gpus,
        }
    }

    #[test]
    fn what_is_not_known_is_no_obstacle() {
        for types in [
            &[][..],
            &["optimal"],
            &["t3.nano"],
            &["c5.large", "m5"],
            &["new7.large"],
        ] {
            let environment = environment(Platform::Ec2, types);
            assert_eq!(
                obstacle(&environment, needs(2.0, 500_000, 0)),
                None,
                "{types:?}"
            );
        }
        let unsaid = Needs::default();
        assert_eq!(
            obstacle(&environment(Platform::Ec2, &["c5.large"]), unsaid),
            None
        );
        assert_eq!(obstacle(&environment(Platform::Fargate, &[]), unsaid), None);
    }

    #[test]
    fn together_it_may_be_too_much() {
        let environment = environment(Platform::Ec2, &["c5.2xlarge", "r5.xlarge"]);
        assert_eq!(obstacle(&environment, needs(8.0, 15_900, 0)), None);
        assert_eq!(obstacle(&environment, needs(4.0, 30_000, 0)), None);
        let types = environment.instance_types.clone();
        assert_eq!(
            obstacle(&environment, needs(8.0, 20_000, 0)),
            Some(Obstacle::Together(types))
        );
    }
}
