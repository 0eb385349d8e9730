//! The artifacts of a task and their marks (metaflow/task.py, `run_step`; metaflow/datastore/task_datastore.py). A step that
//! is not run makes no artifacts of its own: it passes on what its input has, its first input if it is a join.

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::{
    Failure,
    container::Playing,
    gzip::gzip,
    local_metadata, nonsense,
    pickle::{self, Opcodes, Pickle},
    plan::Step,
};
use crate::{
    Clock,
    s3::{Put, S3},
};

/// The header that Metaflow keeps its own metadata of an object in (plugins/datatools/s3/s3.py).
const ATTRIBUTES: &str = "metaflow-user-attributes";
/// Of a blob that is packed by gzip (content_addressed_store.py).
const PACKED: &str = r#"{"cas_raw": false, "cas_version": 1}"#;
/// The task that holds a run's parameters.
const PARAMETERS: &str = "_parameters";

/// The index of artifacts: addresses, and what is said of them.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    pub(super) objects: Map<String, Value>,
    info: Map<String, Value>,
}

/// Where artifacts are.
struct Shelf<'a> {
    s3: &'a S3,
    playing: &'a Playing,
}

/// Writes all that a task leaves, and returns the bytes of its index.
pub(super) fn write(
    s3: &S3,
    clock: Clock,
    playing: &Playing,
    step: &Step,
    succeeds: bool,
) -> Result<Vec<u8>, Failure> {
    let shelf = Shelf { s3, playing };
    let task = &playing.task;
    let seconds = clock.now_ms() as f64 / 1000.0;
    let attempt = json!({"time": seconds}).to_string();
    playing.put(
        s3,
        &task.attempt_file("attempt.json"),
        attempt.as_bytes(),
        false,
    )?;
    let artifacts = shelf.artifacts(step, succeeds)?;
    let index = json!({
        "datastore": "s3",
        "version": "1.0",
        "attempt": task.attempt,
        "python_version": "simulated",
        "objects": artifacts.objects,
        "info": artifacts.info,
    });
    let index = index.to_string().into_bytes();
    playing.put(s3, &task.attempt_file("data.json"), &index, false)?;
    playing.put(s3, &task.attempt_file("DONE.lock"), b"", false)?;
    if task.option("--metadata") == Some("local") {
        let archive = local_metadata::archive(playing, clock.now_ms(), &artifacts, succeeds)?;
        let key = json!(shelf.save(&archive)?).to_string();
        playing.put(
            s3,
            &task.attempt_file("local_metadata"),
            key.as_bytes(),
            false,
        )?;
    }
    Ok(index)
}

impl Shelf<'_> {
    fn artifacts(&self, step: &Step, succeeds: bool) -> Result<Artifacts, Failure> {
        let task = &self.playing.task;
        let from = task.first_input()?;
        let mut all = self.read(&from)?;
        let stack = self.stack(&all, step, from.split('/').nth(1) == Some(PARAMETERS))?;
        let variable = step
            .foreach
            .as_ref()
            .map(|foreach| foreach.variable.as_str());
        let splits = step.foreach.as_ref().map(|foreach| foreach.splits);
        for (name, value) in [
            ("_current_step", pickle::text(task.step()?)),
            ("_exception", pickle::none()),
            (
                "_foreach_num_splits",
                splits.map_or_else(pickle::none, pickle::int),
            ),
            ("_foreach_stack", stack),
            (
                "_foreach_var",
                variable.map_or_else(pickle::none, pickle::text),
            ),
            ("_iteration_stack", pickle::empty_list()),
            ("_success", pickle::boolean(succeeds)),
            ("_task_ok", pickle::boolean(succeeds)),
        ] {
            self.put(&mut all, name, &value)?;
        }
        if step.foreach.is_some() {
            self.put(&mut all, "_foreach_values", &pickle::none())?;
        }
        let transition = if step.next.is_empty() {
            pickle::none()
        } else {
            pickle::transition(&step.next, variable)
        };
        self.put(&mut all, "_transition", &transition)?;
        Ok(all)
    }

    /// metaflow/task.py, `_init_foreach`.
    fn stack(&self, input: &Artifacts, step: &Step, is_first: bool) -> Result<Pickle, Failure> {
        if is_first {
            return Ok(pickle::empty_list());
        }
        let stack = self.load(input, "_foreach_stack")?;
        if step.joins_foreach {
            return Ok(pickle::popped(&opcodes(&stack)?));
        }
        let variable = self.load(input, "_foreach_var")?;
        if variable == pickle::none().bytes {
            let bytes = stack;
            return Ok(Pickle {
                bytes,
                ..pickle::empty_list()
            });
        }
        let task = &self.playing.task;
        Ok(pickle::pushed(
            &opcodes(&stack)?,
            task.step()?,
            &opcodes(&variable)?,
            &opcodes(&self.load(input, "_foreach_num_splits")?)?,
            u32::try_from(task.split_index())
                .map_err(|_| nonsense("its split index is too large"))?,
        ))
    }

    /// The index of a task's latest attempt that has one.
    fn read(&self, input: &str) -> Result<Artifacts, Failure> {
        /// As many attempts as a task can have (metaflow_config.py, `MAX_ATTEMPTS`).
        const MAX_ATTEMPTS: u32 = 6;
        let task = &self.playing.task;
        for attempt in (0..MAX_ATTEMPTS).rev() {
            let key = task.full_key(&format!("{}/{input}/{attempt}.data.json", task.flow));
            if let Some(bytes) = self.s3.read(&task.store.bucket, &key, None)? {
                let mut index: Value = serde_json::from_slice(&bytes)?;
                let mut take = |name: &str| match index[name].take() {
                    Value::Object(map) => map,
                    _ => Map::new(),
                };
                return Ok(Artifacts {
                    objects: take("objects"),
                    info: take("info"),
                });
            }
        }
        Err(nonsense(format!("its input {input} has no artifacts")))
    }

    /// The pickle of an artifact.
    fn load(&self, artifacts: &Artifacts, name: &str) -> Result<Vec<u8>, Failure> {
        let key = artifacts.objects.get(name).and_then(Value::as_str);
        let key = key.ok_or_else(|| nonsense(format!("its input has no artifact `{name}`")))?;
        let task = &self.playing.task;
        let packed = self.s3.read(&task.store.bucket, &self.blob(key), None)?;
        let packed = packed.ok_or_else(|| nonsense(format!("there is no blob {key}")))?;
        let mut pickle = Vec::new();
        std::io::copy(
            &mut flate2::read::MultiGzDecoder::new(packed.as_slice()),
            &mut pickle,
        )?;
        Ok(pickle)
    }

    fn put(&self, all: &mut Artifacts, name: &str, value: &Pickle) -> Result<(), Failure> {
        let info = json!({
            "size": value.bytes.len(),
            "type": value.kind,
            "encoding": "pickle-v4",
            "serializer_info": {"source": "metaflow"},
        });
        all.objects
            .insert(name.to_owned(), self.save(&value.bytes)?.into());
        all.info.insert(name.to_owned(), info);
        Ok(())
    }

    /// Saves a blob unless it is there, and returns its address.
    fn save(&self, content: &[u8]) -> Result<String, Failure> {
        let address = hex::encode(Sha1::digest(content));
        let (bucket, key) = (&self.playing.task.store.bucket, self.blob(&address));
        if !self.s3.has(bucket, &key)? {
            let put = Put {
                bucket,
                key: &key,
                body: &gzip(content)?,
                metadata: Some((ATTRIBUTES, PACKED)),
                create: false,
            };
            self.s3.write(put, self.playing.by.clone())?;
        }
        Ok(address)
    }

    fn blob(&self, address: &str) -> String {
        let task = &self.playing.task;
        let shard = address.get(..2).unwrap_or(address);
        task.full_key(&format!("{}/data/{shard}/{address}", task.flow))
    }
}

fn opcodes(pickle: &[u8]) -> Result<Opcodes, Failure> {
    Opcodes::of(pickle).ok_or_else(|| nonsense("an artifact of its input is no pickle"))
}
