//! The engine's end of the socket to the process that forks tasks (python/ferroflow/fork_server.py).
//!
//! A request is a 4-byte big-endian length, that many bytes of JSON, and four descriptors with the first byte: the
//! task's standard streams and a pipe for how it ends. The answer is the process id as 4 bytes, at once. When the task has
//! ended, its return code comes through the pipe as 4 bytes; a pipe that ends without tells that the server has died, and
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

/// The server of one run.
#[derive(Debug)]
pub struct ForkServer {
    socket: UnixStream,
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
        Ok(Self { socket })
    }

    /// Forks a process for `spec`. Waits for it: a fork is as short as the start of a process is. After an error the
    /// server is of no use any more.
    pub(super) fn start(&mut self, spec: &Spec, streams: Streams) -> io::Result<Forked> {
        let body = serde_json::to_vec(&Request {
            argv: &spec.argv,
            env: environment(&spec.env)?,
            cwd: &spec.cwd,
        })?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let (status, told) = io::pipe()?;
        let told = OwnedFd::from(told);
        let descriptors =
            [&streams.stdin, &streams.stdout, &streams.stderr, &told].map(AsRawFd::as_raw_fd);
        self.send_with(length.to_be_bytes(), &descriptors)?;
        self.socket.write_all(&body)?;
        let mut answer = [0; 4];
        self.socket.read_exact(&mut answer)?;
        let pid = u32::try_from(i32::from_be_bytes(answer))
            .map_err(|_| io::Error::other("the fork server refused"))?;
        let status = pipe::Receiver::from_file(File::from(OwnedFd::from(status)))?;
        Ok(Forked { pid, status })
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
