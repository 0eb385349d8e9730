//! GPU memory: where the image has NVIDIA's `nvidia-smi`, which its container toolkit puts there, it is asked now and then.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use model::spec::GpuUsage;

use crate::environment::Environment;

const PROGRAM: &str = "nvidia-smi";
/// A line for each GPU: MiB in use, MiB in all.
const QUESTION: [&str; 2] = [
    "--query-gpu=memory.used,memory.total",
    "--format=csv,noheader,nounits",
];
/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

/// Looks at the GPUs that this container sees, until it is dropped. A program that hangs is not waited for.
#[derive(Debug)]
pub(crate) struct GpuWatch {
    seen: Arc<Mutex<Option<GpuUsage>>>,
    /// Its end tells the thread.
    _alive: mpsc::Sender<()>,
}

impl GpuWatch {
    /// None where the program is not there.
    pub(crate) fn start(environment: &Environment, interval: Duration) -> Option<Self> {
        let program = environment.find_program(PROGRAM)?;
        let variables = environment.clone();
        let seen = Arc::new(Mutex::new(None));
        let (alive, ended) = mpsc::channel();
        let watched = Arc::clone(&seen);
        let watch = move || {
            while let Some(now) = ask(&program, &variables) {
                let mut seen = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let before = seen.map_or(0, |before: GpuUsage| before.peak_memory);
                *seen = Some(GpuUsage {
                    peak_memory: now.peak_memory.max(before),
                    memory: now.memory,
                });
                drop(seen);
                if ended.recv_timeout(interval) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("gpu".into()).spawn(watch);
        started.ok().map(|_| Self {
            seen,
            _alive: alive,
        })
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Option<GpuUsage> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(program: &Path, environment: &Environment) -> Option<GpuUsage> {
    let mut child = command(program, environment).spawn().ok()?;
    let mut answer = String::new();
    let read = child
        .stdout
        .take()
        .map(|pipe| pipe.take(MAX_ANSWER).read_to_string(&mut answer));
    // Whoever reaps orphans may have been faster.
    let _ = child.wait();
    read?.ok()?;
    parse(&answer)
}

fn command(program: &Path, environment: &Environment) -> Command {
    let mut command = Command::new(program);
    command
        .args(QUESTION)
        .env_clear()
        .envs(&environment.variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// The sum over the GPUs that say something; one that is shared with others may say `[N/A]`.
fn parse(answer: &str) -> Option<GpuUsage> {
    let mebibytes = |text: &str| text.trim().parse::<u64>().ok().map(|mib| mib << 20);
    answer
        .lines()
        .filter_map(|line| {
            let (used, all) = line.split_once(',')?;
            Some((mebibytes(used)?, mebibytes(all)?))
        })
        .fold(None, |sum: Option<GpuUsage>, (used, all)| {
            let sum = sum.unwrap_or_default();
            Some(GpuUsage {
                peak_memory: sum.peak_memory + used,
                memory: sum.memory + all,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_added_up() {
        let two = parse("1024, 16384\n512, 16384\n[N/A], [N/A]\n");
        let sum = GpuUsage {
            peak_memory: 1536 << 20,
            memory: 32_768 << 20,
        };
        assert_eq!(two, Some(sum));
        for nothing in [
            "",
            "No devices were found\n",
            "Failed to initialize NVML: x, y\n",
        ] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}
