//! A record of the launch chain: what a launcher is about to submit, written before it submits.
//!
//! The object is one line of JSON, the header, and after it the specs of all members, one after
//! the other. A container reads only its own spec, by a ranged GET; a launcher that takes over
//! reads the header.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Attempt, TaskKey, TaskPath, Timestamp,
    spec::{SPEC_VERSION, TaskSpec},
};

/// The header of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// [`SPEC_VERSION`] of the writer.
    pub version: u32,
    /// Place in the chain, from 0 on without gaps.
    pub seq: u64,
    /// Drawn by the launcher at its start: who writes this chain.
    pub holder: String,
    /// When it was written.
    pub at: Timestamp,
    /// What is about to be submitted.
    pub submissions: Vec<Submission>,
}

/// One SubmitJob call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Name of the job: unique in the run.
    pub job_name: String,
    /// Queue, as it is given to SubmitJob.
    pub queue: String,
    /// The job definition, pinned to a revision.
    pub definition: String,
    /// The attempts that it runs.
    pub members: Vec<Member>,
}

/// One attempt in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The task as the scheduler names it.
    pub key: TaskKey,
    /// The task.
    pub task: TaskPath,
    /// The attempt.
    pub attempt: Attempt,
    /// Count of decisions to submit this attempt.
    pub launch: u32,
    /// Index of its outcome below `outcome/<seq>/`.
    pub index: u32,
    /// Where its spec begins, in bytes after the header line.
    pub offset: u64,
    /// Length of its spec in bytes.
    pub length: u64,
    /// SHA-256 of its spec, in hexadecimal.
    pub sha256: String,
}

/// Where a spec lies in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecRange {
    /// First byte, from the beginning of the object.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

/// An attempt that is to be put into a record.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Name of the job.
    pub job_name: String,
    /// Its queue.
    pub queue: String,
    /// Its definition.
    pub definition: String,
    /// The task as the scheduler names it.
    pub key: TaskKey,
    /// What its container is told.
    pub spec: TaskSpec,
}

/// Makes a record of plain jobs, one member each, in the order given. Returns the object's bytes
/// and where each spec lies.
pub fn encode(
    seq: u64,
    holder: &str,
    at: Timestamp,
    planned: &[Planned],
) -> serde_json::Result<(Vec<u8>, Vec<SpecRange>)> {
    let mut specs = Vec::new();
    let mut submissions = Vec::with_capacity(planned.len());
    for (index, planned) in planned.iter().enumerate() {
        let bytes = serde_json::to_vec(&planned.spec)?;
        let member = Member {
            key: planned.key,
            task: planned.spec.task.clone(),
            attempt: planned.spec.attempt,
            launch: planned.spec.launch,
            index: index as u32,
            offset: specs.len() as u64,
            length: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
        };
        specs.extend_from_slice(&bytes);
        submissions.push(Submission {
            job_name: planned.job_name.clone(),
            queue: planned.queue.clone(),
            definition: planned.definition.clone(),
            members: vec![member],
        });
    }
    let record = LaunchRecord {
        version: SPEC_VERSION,
        seq,
        holder: holder.to_owned(),
        at,
        submissions,
    };
    let mut object = serde_json::to_vec(&record)?;
    object.push(b'\n');
    let start = object.len() as u64;
    let members = record.submissions.into_iter().flat_map(|s| s.members);
    let ranges = members.map(|member| SpecRange {
        offset: start + member.offset,
        length: member.length,
        sha256: member.sha256,
    });
    let ranges = ranges.collect();
    object.extend_from_slice(&specs);
    Ok((object, ranges))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{PackageRef, StoreAddress};

    fn planned(task: &str) -> Planned {
        let text = str::to_owned;
        Planned {
            job_name: format!("job-{task}"),
            queue: text("queue"),
            definition: text("definition:1"),
            key: TaskKey(1),
            spec: TaskSpec {
                version: SPEC_VERSION,
                flow: "F".parse().unwrap(),
                task: task.parse().unwrap(),
                attempt: Attempt(0),
                launch: 0,
                store: StoreAddress {
                    bucket: text("b"),
                    prefix: text("p"),
                    endpoint: None,
                    region: text("eu-north-1"),
                    server_side_encryption: None,
                },
                claim: text("claim"),
                outcome: text("outcome"),
                package: PackageRef {
                    url: text("s3://b/p/k"),
                    sha256: text("00"),
                    size: 1,
                },
                prepare: Vec::new(),
                command: vec![text("python")],
                shell: false,
                environment: BTreeMap::from([(text("NAME"), "é".repeat(20))]),
                files: BTreeMap::new(),
                install: true,
                time_limit: 60,
            },
        }
    }

    #[test]
    fn each_spec_is_found_by_its_range() {
        let all = [planned("1/start/1"), planned("1/start/23")];
        let (object, ranges) = encode(7, "me", Timestamp(5), &all).unwrap();
        for (planned, range) in all.iter().zip(&ranges) {
            let end = (range.offset + range.length) as usize;
            let bytes = &object[range.offset as usize..end];
            assert_eq!(hex::encode(Sha256::digest(bytes)), range.sha256);
            let spec: TaskSpec = serde_json::from_slice(bytes).unwrap();
            assert_eq!(spec, planned.spec);
        }
        assert_eq!(
            ranges.last().unwrap().offset + ranges[1].length,
            object.len() as u64
        );
    }

    #[test]
    fn the_header_is_the_first_line() {
        let (object, _) = encode(7, "me", Timestamp(5), &[planned("1/start/1")]).unwrap();
        let header = object.split(|b| *b == b'\n').next().unwrap();
        let record: LaunchRecord = serde_json::from_slice(header).unwrap();
        assert_eq!((record.seq, record.holder.as_str()), (7, "me"));
        assert_eq!(record.submissions[0].job_name, "job-1/start/1");
    }
}
