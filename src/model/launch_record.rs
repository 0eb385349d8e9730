//! A record of the launch chain: what a launcher is about to submit, written before it submits.
//!
//! The object is one line of JSON, the header, one with what the scheduler has done since the record before, and after them
//! the specs of all members, one after the other; those of an array job as [`crate::array_spec`] says. A container reads only
//! its own spec, by ranged GETs; a launcher that takes over reads the two lines.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Attempt, TaskKey, TaskPath, Timestamp,
    array_spec::{self, ArrayKey, ArraySpecs, ArrayTable},
    batch::Resources,
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
    /// What is about to be started on the launcher's machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<LocalMember>,
    /// What ran out of memory since the record before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
    /// Of the first record of a launcher that took the run over: who wrote the chain before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<String>,
}

/// An attempt that ran out of memory, and that the next one gets more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The task as the scheduler names it.
    pub key: TaskKey,
    /// The attempt that ran out of it.
    pub attempt: Attempt,
    /// What it had, in MiB.
    pub from: u64,
    /// What the next ones get, in MiB.
    pub to: u64,
}

/// One attempt that is a process of the launcher's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalMember {
    /// The task as the scheduler names it.
    pub key: TaskKey,
    /// The task.
    pub task: TaskPath,
    /// The attempt.
    pub attempt: Attempt,
}

/// What a record says beside what is submitted.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Place in the chain.
    pub seq: u64,
    /// Who writes it.
    pub holder: String,
    /// When.
    pub at: Timestamp,
    /// See [`LaunchRecord::local`].
    pub local: Vec<LocalMember>,
    /// What the scheduler was told and asked since the record before, in its own words, as JSON: whoever takes the run over
    /// repeats it.
    pub turns: String,
    /// See [`LaunchRecord::raises`].
    pub raises: Vec<Raise>,
    /// See [`LaunchRecord::taken_from`].
    pub taken_from: Option<String>,
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
    /// Whether it is an array job, of which each member is a child.
    #[serde(default)]
    pub is_array: bool,
    /// What each member asks for. Records of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
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

/// Where the container of a submission finds what to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecPlace {
    /// The spec of a plain job, or the first one of an array.
    pub spec: SpecRange,
    /// Of an array: what its children differ in.
    pub array: Option<ArrayTable>,
}

/// A SubmitJob call that is to be put into a record.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Name of the job.
    pub job_name: String,
    /// Its queue.
    pub queue: String,
    /// Its definition.
    pub definition: String,
    /// What each of its members asks for.
    pub resources: Resources,
    /// What it runs: one attempt, or those of an array, by index.
    pub members: Vec<TaskKey>,
    /// Of an array: what its specs are checked by.
    pub key: Option<ArrayKey>,
}

impl LaunchRecord {
    /// The header of a record's object, which is its first line.
    pub fn read(object: &[u8]) -> serde_json::Result<Self> {
        let line = object.split(|&byte| byte == b'\n').next();
        serde_json::from_slice(line.unwrap_or_default())
    }

    /// What [`Header::turns`] was; empty if nothing was told.
    pub fn turns(object: &[u8]) -> &[u8] {
        let mut lines = object.split(|&byte| byte == b'\n');
        lines.nth(1).unwrap_or_default()
    }
}

/// Makes a record of jobs in the order given; outcomes are counted through. Returns the object's bytes and where each job
/// finds its specs. A job with a key is an array, one without has one member. `spec` says what the container of a member is
/// told, by the places of job and member; it is asked for one at a time, because specs of a wide array are large together.
pub fn encode<E: From<serde_json::Error>>(
    header: Header,
    planned: &[Planned],
    spec: impl Fn(usize, usize) -> Result<TaskSpec, E>,
) -> Result<(Vec<u8>, Vec<SpecPlace>), E> {
    let mut specs = Vec::new();
    let mut submissions = Vec::with_capacity(planned.len());
    let mut places = Vec::with_capacity(planned.len());
    let mut index = 0_u32..;
    for (job, planned) in planned.iter().enumerate() {
        let mut members = Vec::with_capacity(planned.members.len());
        let keys = planned.members.iter().zip(&mut index).enumerate();
        let all = keys.map(|(place, (key, index))| -> Result<TaskSpec, E> {
            let spec = spec(job, place)?;
            members.push(member(*key, &spec, index));
            Ok(spec)
        });
        let place = write_specs(planned, all, &mut specs)?;
        submissions.push(Submission {
            job_name: planned.job_name.clone(),
            queue: planned.queue.clone(),
            definition: planned.definition.clone(),
            is_array: planned.key.is_some(),
            resources: Some(planned.resources.clone()),
            members,
        });
        places.push(place);
    }
    let record = LaunchRecord {
        version: SPEC_VERSION,
        seq: header.seq,
        holder: header.holder,
        at: header.at,
        submissions,
        local: header.local,
        raises: header.raises,
        taken_from: header.taken_from,
    };
    let mut object = serde_json::to_vec(&record)?;
    object.push(b'\n');
    object.extend_from_slice(header.turns.as_bytes());
    object.push(b'\n');
    let start = object.len() as u64;
    for place in &mut places {
        place.spec.offset += start;
        if let Some(array) = &mut place.array {
            array.offset += start;
        }
    }
    object.extend_from_slice(&specs);
    Ok((object, places))
}

fn member(key: TaskKey, spec: &TaskSpec, index: u32) -> Member {
    Member {
        key,
        task: spec.task.clone(),
        attempt: spec.attempt,
        launch: spec.launch,
        index,
    }
}

/// Appends the specs of a job. Offsets are counted from the beginning of `specs`.
fn write_specs<E: From<serde_json::Error>>(
    planned: &Planned,
    all: impl Iterator<Item = Result<TaskSpec, E>>,
    specs: &mut Vec<u8>,
) -> Result<SpecPlace, E> {
    let mut append = |bytes: &[u8]| {
        let offset = specs.len() as u64;
        specs.extend_from_slice(bytes);
        offset
    };
    let range = |bytes: &[u8], offset| SpecRange {
        offset,
        length: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(bytes)),
    };
    let Some(key) = &planned.key else {
        let mut bytes = Vec::new();
        for spec in all {
            bytes = serde_json::to_vec(&spec?)?;
        }
        let offset = append(&bytes);
        return Ok(SpecPlace {
            spec: range(&bytes, offset),
            array: None,
        });
    };
    let ArraySpecs { first, table } = array_spec::encode(planned.members.len(), all, key)?;
    let offset = append(&first);
    Ok(SpecPlace {
        spec: range(&first, offset),
        array: Some(ArrayTable {
            offset: append(&table),
            children: planned.members.len() as u32,
            key: key.clone(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{PackageRef, StoreAddress};

    fn planned(task: &str, members: usize) -> Planned {
        let text = str::to_owned;
        Planned {
            job_name: format!("job-{task}"),
            queue: text("queue"),
            definition: text("definition:1"),
            resources: Resources {
                vcpu: text("1"),
                memory: text("4096"),
                gpu: None,
            },
            key: (members > 1).then_some(ArrayKey([9; 32])),
            members: vec![TaskKey(1); members],
        }
    }

    fn header(seq: u64) -> Header {
        Header {
            seq,
            holder: "me".to_owned(),
            at: Timestamp(5),
            ..Header::default()
        }
    }

    fn encoded(planned: &[Planned], specs: &[Vec<TaskSpec>]) -> (Vec<u8>, Vec<SpecPlace>) {
        let spec =
            |job: usize, member: usize| Ok::<_, serde_json::Error>(specs[job][member].clone());
        encode(header(7), planned, spec).unwrap()
    }

    fn spec(task: &str) -> TaskSpec {
        let text = str::to_owned;
        TaskSpec {
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
            bytecode: None,
            prepare: Vec::new(),
            command: vec![text("python")],
            shell: false,
            environment: BTreeMap::from([(text("NAME"), "é".repeat(20))]),
            files: BTreeMap::new(),
            install: true,
            time_limit: 60,
            lease: None,
            registers_usage: false,
        }
    }

    #[test]
    fn each_spec_is_found_by_its_range() {
        let all = [planned("1/start/1", 1), planned("1/start/23", 1)];
        let specs = [vec![spec("1/start/1")], vec![spec("1/start/23")]];
        let (object, places) = encoded(&all, &specs);
        for (specs, place) in specs.iter().zip(&places) {
            let spec: TaskSpec = serde_json::from_slice(bytes(&object, &place.spec)).unwrap();
            assert_eq!((&spec, &place.array), (&specs[0], &None));
        }
        let last = &places[1].spec;
        assert_eq!(last.offset + last.length, object.len() as u64);
    }

    fn bytes<'a>(object: &'a [u8], range: &SpecRange) -> &'a [u8] {
        let bytes = &object[range.offset as usize..][..range.length as usize];
        assert_eq!(hex::encode(Sha256::digest(bytes)), range.sha256);
        bytes
    }

    #[test]
    fn each_child_of_an_array_finds_its_own_spec() {
        let mut children: Vec<_> = (2..30).map(|n| spec(&format!("1/work/{n}"))).collect();
        children[3].environment.clear();
        let all = [
            planned("1/start/1", 1),
            planned("1/work/2", 28),
            planned("1/end/3", 1),
        ];
        let specs = [
            vec![spec("1/start/1")],
            children.clone(),
            vec![spec("1/end/3")],
        ];
        let (object, places) = encoded(&all, &specs);
        let first = bytes(&object, &places[1].spec);
        let table = places[1].array.as_ref().unwrap();
        for (index, child) in (0_u32..).zip(&children) {
            let (offset, length) = table.entry_range(index).unwrap();
            let entry = &object[offset as usize..][..length as usize];
            let entry = table.entry(entry).unwrap();
            let differences = &object[entry.offset as usize..][..entry.length as usize];
            assert!(table.is_genuine(index, &entry, differences));
            assert!(!table.is_genuine(index + 1, &entry, differences));
            assert!(!table.is_genuine(index, &entry, &differences[1..]));
            assert_eq!(array_spec::decode(first, differences).unwrap(), *child);
        }
        let last = bytes(&object, &places[2].spec);
        assert_eq!(last, serde_json::to_vec(&specs[2][0]).unwrap());
        let header = object.split(|b| *b == b'\n').next().unwrap();
        let record: LaunchRecord = serde_json::from_slice(header).unwrap();
        let members = record.submissions.iter().flat_map(|s| &s.members);
        assert!(members.map(|member| member.index).eq(0..30));
        assert!(record.submissions[1].is_array && !record.submissions[2].is_array);
    }

    #[test]
    fn the_header_is_the_first_line() {
        let (object, _) = encoded(&[planned("1/start/1", 1)], &[vec![spec("1/start/1")]]);
        let header = object.split(|b| *b == b'\n').next().unwrap();
        let record: LaunchRecord = serde_json::from_slice(header).unwrap();
        assert_eq!((record.seq, record.holder.as_str()), (7, "me"));
        assert_eq!(record.submissions[0].job_name, "job-1/start/1");
    }
}
