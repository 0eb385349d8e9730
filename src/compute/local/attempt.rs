//! One process per attempt: start, capture both streams, wait, signal.

use std::{
    collections::HashMap,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{ExitStatus, Stdio},
};

use model::{Attempt, TaskKey, layout::Stream};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::unix::pipe,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{mpsc, watch},
};

use super::{
    fork_server::{ForkServer, Forked, NotForked, Streams},
    open_files::OpenFiles,
    platform,
};
use crate::host::protocol::EnvironmentChange;

/// Bytes asked of a pipe at once: what Linux keeps in one by default.
const READ_SIZE: usize = 64 << 10;

/// A line longer than this is handed on in pieces, in bytes.
const MAX_LINE: usize = 16 << 20;

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The task.
    pub task: TaskKey,
    /// The attempt.
    pub attempt: Attempt,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What differs from the engine's environment.
    pub env: EnvironmentChange,
    /// Working directory.
    pub cwd: String,
    /// Whether a fork will do for a fresh interpreter.
    pub fork: bool,
}

/// A started process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id, which is also the id of its group.
    pub pid: u32,
    /// Whether the fork server has started it.
    pub forked: bool,
}

/// What happens to an attempt.
#[derive(Debug)]
pub enum LocalEvent {
    /// It wrote a line, which keeps its newline if it had one.
    Line {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: Attempt,
        /// Where it wrote.
        stream: Stream,
        /// The bytes.
        line: Vec<u8>,
    },
    /// The process has ended, and all that it wrote has been told.
    Ended {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: Attempt,
        /// Exit code, or minus the signal's number, as Python's `subprocess` counts.
        return_code: i32,
    },
}

/// The processes of this engine.
#[derive(Debug)]
pub struct LocalCompute {
    running: HashMap<(TaskKey, Attempt), Process>,
    events: mpsc::Sender<LocalEvent>,
    killed: watch::Sender<bool>,
    open_files: Option<OpenFiles>,
    fork_server: Option<ForkServer>,
}

impl LocalCompute {
    /// Events go to `events`; a full channel slows the processes' output down. This process may
    /// then open as many files as it is allowed, as each attempt takes three.
    pub fn new(events: mpsc::Sender<LocalEvent>, fork_server: Option<ForkServer>) -> Self {
        Self {
            running: HashMap::new(),
            events,
            killed: watch::Sender::new(false),
            open_files: OpenFiles::raised(),
            fork_server,
        }
    }

    /// Starts a process: by a fork where that will do, else a fresh one.
    pub fn launch(&mut self, spec: &Spec) -> io::Result<Process> {
        let started = match self.fork(spec)? {
            Some(started) => started,
            None => self.start(spec)?,
        };
        let process = Process {
            pid: started.life.pid(),
            forked: matches!(started.life, Life::Forked(_)),
        };
        self.running.insert((spec.task, spec.attempt), process);
        tokio::spawn(supervise(
            started,
            spec.task,
            spec.attempt,
            self.events.clone(),
            self.killed.subscribe(),
        ));
        Ok(process)
    }

    /// None where a fresh process is wanted, or no fork can be had.
    fn fork(&mut self, spec: &Spec) -> io::Result<Option<Started>> {
        let in_use = |server: &&mut ForkServer| spec.fork && server.is_in_use();
        let Some(server) = self.fork_server.as_mut().filter(in_use) else {
            return Ok(None);
        };
        match forked(server, spec) {
            Ok(started) => Ok(Some(started)),
            Err(NotForked::Perhaps(error)) => Err(error),
            Err(NotForked::For(error)) => {
                tracing::warn!("a task gets a fresh interpreter: {error}");
                Ok(None)
            }
        }
    }

    fn start(&self, spec: &Spec) -> io::Result<Started> {
        let (program, args) = spec
            .argv
            .split_first()
            .ok_or_else(|| io::Error::other("the command line is empty"))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&spec.cwd)
            .envs(&spec.env.set)
            // As upstream: a pipe that is never written, so that reading it blocks.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in &spec.env.unset {
            command.env_remove(name);
        }
        platform::prepare(&mut command, self.open_files);
        let mut child = command.spawn()?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the process ended at once"))?;
        Ok(Started {
            _stdin: child
                .stdin
                .take()
                .map(ChildStdin::into_owned_fd)
                .transpose()?,
            stdout: receiver(child.stdout.take().map(ChildStdout::into_owned_fd))?,
            stderr: receiver(child.stderr.take().map(ChildStderr::into_owned_fd))?,
            life: Life::Child { pid, child },
        })
    }

    /// Forgets an ended attempt.
    pub fn ended(&mut self, task: TaskKey, attempt: Attempt) {
        self.running.remove(&(task, attempt));
    }

    /// Sends a signal to the process group of every running attempt. After SIGKILL nobody waits
    /// for what a process outside the groups may still write.
    pub fn signal_all(&self, signal: Signal) {
        if signal == Signal::SIGKILL {
            self.killed.send_replace(true);
        }
        for process in self.running.values() {
            // An attempt that has just ended is not an error.
            let _ = killpg(Pid::from_raw(process.pid.cast_signed()), signal);
        }
    }

    /// The running attempts.
    pub fn running(&self) -> impl Iterator<Item = (TaskKey, Attempt)> {
        self.running.keys().copied()
    }
}

/// A stream being cut into lines.
struct Lines {
    task: TaskKey,
    attempt: Attempt,
    stream: Stream,
    partial: Vec<u8>,
    events: mpsc::Sender<LocalEvent>,
}

impl Lines {
    async fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= MAX_LINE {
                self.flush().await;
            }
        }
    }

    async fn flush(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let event = LocalEvent::Line {
            task: self.task,
            attempt: self.attempt,
            stream: self.stream,
            line: std::mem::take(&mut self.partial),
        };
        // The driver is gone only when the engine ends.
        let _ = self.events.send(event).await;
    }
}

/// A process, whoever started it.
struct Started {
    /// Held open, because upstream never closes it.
    _stdin: Option<OwnedFd>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    life: Life,
}

enum Life {
    Child { pid: u32, child: Child },
    Forked(Forked),
}

impl Life {
    fn pid(&self) -> u32 {
        match self {
            Self::Child { pid, .. } => *pid,
            Self::Forked(forked) => forked.pid,
        }
    }

    async fn wait(&mut self) -> i32 {
        match self {
            Self::Child { child, .. } => child.wait().await.map_or(-1, return_code),
            Self::Forked(forked) => forked.wait().await,
        }
    }
}

fn forked(server: &mut ForkServer, spec: &Spec) -> Result<Started, NotForked> {
    let (streams, ours) = streams().map_err(NotForked::For)?;
    let [stdin, stdout, stderr] = ours;
    let receiver = |end| receiver(Some(Ok(end))).map_err(NotForked::For);
    let (stdout, stderr) = (receiver(stdout)?, receiver(stderr)?);
    Ok(Started {
        _stdin: Some(stdin),
        stdout,
        stderr,
        life: Life::Forked(server.start(spec, streams)?),
    })
}

/// The ends of a task's standard streams: its own, and ours.
fn streams() -> io::Result<(Streams, [OwnedFd; 3])> {
    let (stdin, our_stdin) = io::pipe()?;
    let (our_stdout, stdout) = io::pipe()?;
    let (our_stderr, stderr) = io::pipe()?;
    let streams = Streams {
        stdin: stdin.into(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    };
    let ours = [our_stdin.into(), our_stdout.into(), our_stderr.into()];
    Ok((streams, ours))
}

fn receiver(end: Option<io::Result<OwnedFd>>) -> io::Result<Option<pipe::Receiver>> {
    let open = |end: io::Result<OwnedFd>| pipe::Receiver::from_owned_fd(end?);
    end.map(open).transpose()
}

async fn supervise(
    mut started: Started,
    task: TaskKey,
    attempt: Attempt,
    events: mpsc::Sender<LocalEvent>,
    mut killed: watch::Receiver<bool>,
) {
    let lines = |stream| Lines {
        task,
        attempt,
        stream,
        partial: Vec::new(),
        events: events.clone(),
    };
    let (mut out, mut err) = (lines(Stream::Stdout), lines(Stream::Stderr));
    let (mut stdout, mut stderr) = (started.stdout.take(), started.stderr.take());
    let (mut out_buffer, mut err_buffer) = (vec![0; READ_SIZE], vec![0; READ_SIZE]);
    let mut status = None;
    // As upstream, which takes the end of a stream for the end of the attempt: what a process left
    // behind writes still belongs to the task (metaflow/procpoll.py).
    while status.is_none() || (stdout.is_some() && stderr.is_some() && !*killed.borrow()) {
        tokio::select! {
            read = read_some(&mut stdout, &mut out_buffer) => match read {
                Some(n) => out.push(&out_buffer[..n]).await,
                None => stdout = None,
            },
            read = read_some(&mut stderr, &mut err_buffer) => match read {
                Some(n) => err.push(&err_buffer[..n]).await,
                None => stderr = None,
            },
            ended = started.life.wait(), if status.is_none() => status = Some(ended),
            _ = killed.changed() => {}
        }
    }
    drain(stdout, &mut out, &mut out_buffer).await;
    drain(stderr, &mut err, &mut err_buffer).await;
    out.flush().await;
    err.flush().await;
    let return_code = status.unwrap_or(-1);
    let _ = events
        .send(LocalEvent::Ended {
            task,
            attempt,
            return_code,
        })
        .await;
}

/// The next bytes, `None` at the end of the stream; never ready once the stream is gone.
async fn read_some<R: AsyncRead + Unpin>(
    stream: &mut Option<R>,
    buffer: &mut [u8],
) -> Option<usize> {
    let Some(stream) = stream else {
        return std::future::pending().await;
    };
    match stream.read(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(n) => Some(n),
    }
}

/// Reads what is left in the pipe of an ended attempt. Some process may keep it open, so its end
/// is not waited for; but what the ended one wrote is in it.
async fn drain<R: AsFd>(stream: Option<R>, lines: &mut Lines, buffer: &mut [u8]) {
    let Some(stream) = stream else { return };
    loop {
        match nix::unistd::read(&stream, buffer) {
            Ok(n) if n > 0 => lines.push(&buffer[..n]).await,
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

fn return_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| -signal))
        .unwrap_or(-1)
}
