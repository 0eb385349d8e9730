//! The engine's end of the socket to the process that forks tasks (python/ferroflow/fork_server.py).
//!
//! The server first tells with 4 zero bytes that it has loaded what all tasks need. A request is a 4-byte big-endian
//! length, that many bytes of JSON, and four descriptors with the first byte: the task's standard streams and a pipe for
//! how it ends. The answer is the process id as 4 bytes, at once, or -1 where no process can be made. When the task has ended, its return code comes through the pipe as 4 bytes; a pipe that ends without tells that the server has died, and
//! that the kernel has killed the task with it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Serialize;
use tokio::{io::AsyncReadExt, net::unix::pipe};

use super::attempt::Spec;
use crate::host::protocol::EnvironmentChange;

/// A fork takes some milliseconds, and the server does nothing else; importing what all tasks need, before the first, a
/// second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server of one run. It ends, and the kernel ends the tasks it has started, when this is dropped.
#[derive(Debug)]
pub struct ForkServer {
    socket: UnixStream,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not told yet that it is ready.
    Loading,
    Ready,
    /// Nothing more is asked of it. The tasks it has started may go on.
    Retired,
}

/// Why no task was forked.
#[derive(Debug)]
pub(super) enum NotForked {
    /// It does not run, and may be started otherwise.
    For(io::Error),
    /// The server was asked and does not answer: the task may run.
    Perhaps(io::Error),
}

#[derive(Serialize)]
struct Request<'a> {
    argv: &'a [String],
    env: BTreeMap<String, String>,
    cwd: &'a str,
}

/// A forked task, as far as its end goes.
#[derive(Debug)]
pub(super) struct Forked {
    pub pid: u32,
    status: pipe::Receiver,
}

/// The task's ends of its streams.
pub(super) struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl ForkServer {
    /// `socket` is inherited from the host.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            state: State::Loading,
        })
    }

    /// Whether tasks can be asked of it.
    pub(super) fn is_in_use(&self) -> bool {
        self.state != State::Retired
    }

    /// Forks a process for `spec`. Waits for it: a fork is as short as the start of a process is.
    pub(super) fn start(&mut self, spec: &Spec, streams: Streams) -> Result<Forked, NotForked> {
        let (body, status, told) = prepared(spec).map_err(NotForked::For)?;
        if self.state == State::Loading {
            self.answer()
                .map_err(|error| NotForked::For(self.retire(error)))?;
            self.state = State::Ready;
        }
        let descriptors =
            [&streams.stdin, &streams.stdout, &streams.stderr, &told].map(AsRawFd::as_raw_fd);
        self.ask(&body, &descriptors)
            .map_err(|error| NotForked::For(self.retire(error)))?;
        let answer = self.answer().map_err(|error| {
            let silent = is_silence(&error);
            let error = self.retire(error);
            if silent {
                NotForked::Perhaps(error)
            } else {
                // It is dead, and the kernel has killed what it had started.
                NotForked::For(error)
            }
        })?;
        let pid = u32::try_from(answer)
            .map_err(|_| NotForked::For(io::Error::other("the fork server makes no process")))?;
        // Where this fails the task runs unwatched, but its streams are closed with our ends.
        let status = pipe::Receiver::from_file(File::from(status)).map_err(NotForked::Perhaps)?;
        Ok(Forked { pid, status })
    }

    fn retire(&mut self, error: io::Error) -> io::Error {
        self.state = State::Retired;
        error
    }

    fn answer(&mut self) -> io::Result<i32> {
        let mut answer = [0; 4];
        self.socket.read_exact(&mut answer)?;
        Ok(i32::from_be_bytes(answer))
    }

    /// A request that was sent in part only starts nothing.
    fn ask(&mut self, body: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.send_with(length.to_be_bytes(), descriptors)?;
        self.socket.write_all(body)
    }

    fn send_with(&self, head: [u8; 4], descriptors: &[RawFd]) -> io::Result<()> {
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&head)],
            &[ControlMessage::ScmRights(descriptors)],
            MsgFlags::empty(),
            None,
        )?;
        if sent == head.len() {
            Ok(())
        } else {
            Err(io::Error::other("the fork server takes no request"))
        }
    }
}

/// The body of the request, and the two ends of the pipe through which the end of the task comes.
fn prepared(spec: &Spec) -> io::Result<(Vec<u8>, OwnedFd, OwnedFd)> {
    let body = serde_json::to_vec(&Request {
        argv: &spec.argv,
        env: environment(&spec.env)?,
        cwd: &spec.cwd,
    })?;
    let (status, told) = io::pipe()?;
    Ok((body, status.into(), told.into()))
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

impl Forked {
    /// Return code as Python's `subprocess` counts; -9 when the server has died.
    pub(super) async fn wait(&mut self) -> i32 {
        self.status.read_i32().await.unwrap_or(-nix::libc::SIGKILL)
    }
}

/// What a process of the engine would start with. Python cannot be told what is no text.
fn environment(change: &EnvironmentChange) -> io::Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else {
            return Err(io::Error::other(
                "a variable of the environment is not UTF-8",
            ));
        };
        environment.insert(name, value);
    }
    for name in &change.unset {
        environment.remove(name);
    }
    environment.extend(change.set.clone());
    Ok(environment)
}
