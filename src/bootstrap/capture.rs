//! Reading a child's pipe to the end of what the child wrote.
//!
//! A process that the child started may keep the pipe open, so its end cannot be waited for; but
//! what the ended child wrote is in the pipe.

use std::{
    io::{self, PipeWriter},
    os::fd::{AsFd, OwnedFd},
    thread::{self, JoinHandle},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::read,
};

/// Bytes asked for at once: what Linux keeps in a pipe by default.
const READ_SIZE: usize = 64 << 10;
/// The largest pipe that an unprivileged process can make (`/proc/sys/fs/pipe-max-size`): the
/// child has not left more than that.
const MAX_PIPE: usize = 1 << 20;

/// A pipe being read by a thread of its own.
#[derive(Debug)]
pub(crate) struct Capture {
    child_ended: PipeWriter,
    thread: JoinHandle<()>,
}

impl Capture {
    /// Starts to read; `sink` gets the bytes in order, and nothing when the pipe ends.
    pub(crate) fn start(
        pipe: impl Into<OwnedFd>,
        mut sink: impl FnMut(&[u8]) + Send + 'static,
    ) -> io::Result<Self> {
        let pipe = pipe.into();
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (wake, child_ended) = io::pipe()?;
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; READ_SIZE];
            loop {
                let mut fds = [
                    PollFd::new(pipe.as_fd(), PollFlags::POLLIN),
                    PollFd::new(wake.as_fd(), PollFlags::POLLIN),
                ];
                match poll(&mut fds, PollTimeout::NONE) {
                    Ok(_) => {}
                    Err(Errno::EINTR) => continue,
                    Err(_) => return,
                }
                let ended = fds[1].any().unwrap_or(true);
                let limit = if ended { MAX_PIPE } else { READ_SIZE };
                let is_open = drain(&pipe, &mut buffer, limit, &mut sink);
                if ended || !is_open {
                    return;
                }
            }
        });
        Ok(Self {
            child_ended,
            thread,
        })
    }

    /// Takes what is left, after the child has ended.
    pub(crate) fn finish(self) {
        drop(self.child_ended);
        // A panic of the sink has been reported by its thread.
        let _ = self.thread.join();
    }
}

/// Reads until the pipe is empty, or about `limit` bytes. `false` once it has ended.
fn drain(pipe: &OwnedFd, buffer: &mut [u8], limit: usize, sink: &mut impl FnMut(&[u8])) -> bool {
    let mut total = 0;
    while total < limit {
        match read(pipe, buffer) {
            Ok(0) => return false,
            Ok(length) => {
                sink(&buffer[..length]);
                total += length;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return true,
            Err(_) => return false,
        }
    }
    true
}
