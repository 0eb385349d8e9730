//! What a container is told: the spec in the launch record, found by the variables of the override
//! (docs/launch-protocol.md; of an array, the first child's spec and what differs from it).

use std::{collections::BTreeMap, ops::Range};

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Failure,
    container::Container,
    nonsense,
    task::{Store, Task},
};
use crate::s3::S3;

/// The version that is understood here.
const VERSION: u32 = 1;
/// By which a container is told where its spec is.
const ADDRESS: &str = "FERROFLOW_SPEC";
/// Bytes of an entry of the table: offset from the table's beginning (8), length (4), HMAC (32).
const ENTRY: u64 = 44;

/// The parts of a spec that matter to a container without user code.
#[derive(Debug, Deserialize)]
struct Spec {
    version: u32,
    flow: String,
    /// `run/step/task`
    task: String,
    attempt: u32,
    launch: u32,
    store: Store,
    claim: String,
    outcome: String,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// How a launch is claimed, and where its outcome goes.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) number: u32,
    pub(super) claim: String,
    pub(super) outcome: String,
}

/// Whether the job is one of Ferroflow's: it names a spec.
pub(super) fn is_named(container: &Container<'_>) -> bool {
    container.environment.contains_key(ADDRESS)
}

/// Reads the spec, and checks it as the bootstrap does.
pub(super) fn fetch(s3: &S3, container: &Container<'_>) -> Result<(Task, Launch), Failure> {
    let variable = |name: &str| {
        let value = container.environment.get(name).map(String::as_str);
        value.ok_or_else(|| nonsense(format!("`{name}` is not set")))
    };
    let url = variable(ADDRESS)?;
    let place = url
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'));
    let (bucket, key) = place.ok_or_else(|| nonsense("FERROFLOW_SPEC is no address"))?;
    let read = |range: Range<u64>| {
        let bytes = s3.read(bucket, key, Some(range))?;
        bytes.ok_or_else(|| nonsense(format!("`{url}` ends too early, or is not there")))
    };
    let (offset, length) = pair(variable("FERROFLOW_SPEC_RANGE")?)?;
    let first = read(offset..offset + length)?;
    if hex::encode(Sha256::digest(&first)) != variable("FERROFLOW_SPEC_SHA256")? {
        return Err(nonsense(format!("`{url}` was changed")));
    }
    let mut spec: Value = serde_json::from_slice(&first)?;
    if let Some(table) = container.environment.get("FERROFLOW_SPEC_ARRAY") {
        let index = container
            .index
            .ok_or_else(|| nonsense("it is no child of an array"))?;
        apply(&mut spec, &differences(table, index, read)?)?;
    }
    let spec: Spec = serde_json::from_value(spec)?;
    if spec.version != VERSION {
        return Err(nonsense(format!("its spec has version {}", spec.version)));
    }
    let launch = Launch {
        number: spec.launch,
        claim: spec.claim,
        outcome: spec.outcome,
    };
    let task = Task {
        flow: spec.flow,
        path: spec.task,
        attempt: spec.attempt,
        store: spec.store,
        command: spec.command,
        environment: spec.environment,
        files: spec.files,
    };
    Ok((task, launch))
}

/// What a child's spec differs in from the first one's.
fn differences(
    table: &str,
    index: u32,
    read: impl Fn(Range<u64>) -> Result<Vec<u8>, Failure>,
) -> Result<Vec<(String, Value)>, Failure> {
    let (place, key) = table
        .split_once(':')
        .ok_or_else(|| nonsense("FERROFLOW_SPEC_ARRAY has no key"))?;
    let key = hex::decode(key).map_err(|_| nonsense("FERROFLOW_SPEC_ARRAY has no key"))?;
    let (table, children) = pair(place)?;
    if u64::from(index) >= children {
        return Err(nonsense("the array has no such child"));
    }
    let at = table + ENTRY * u64::from(index);
    let entry = read(at..at + ENTRY)?;
    let short = || nonsense("an entry is too short");
    let (offset, rest) = entry.split_first_chunk().ok_or_else(short)?;
    let (length, mac) = rest.split_first_chunk().ok_or_else(short)?;
    let offset = table + u64::from_be_bytes(*offset);
    let bytes = read(offset..offset + u64::from(u32::from_be_bytes(*length)))?;
    let wanted = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| nonsense("no key"))?;
    let wanted = wanted
        .chain_update(index.to_be_bytes())
        .chain_update(&bytes);
    if wanted.verify_slice(mac).is_err() {
        return Err(nonsense("the spec of the child was changed"));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

fn apply(spec: &mut Value, differences: &[(String, Value)]) -> Result<(), Failure> {
    for (place, value) in differences {
        let there = spec.pointer_mut(place);
        *there.ok_or_else(|| nonsense(format!("there is no `{place}` in the first spec")))? =
            value.clone();
    }
    Ok(())
}

/// `1+2`
fn pair(text: &str) -> Result<(u64, u64), Failure> {
    let parse = || {
        let (one, two) = text.split_once('+')?;
        Some((one.parse().ok()?, two.parse().ok()?))
    };
    parse().ok_or_else(|| nonsense(format!("`{text}` is no pair of numbers")))
}
