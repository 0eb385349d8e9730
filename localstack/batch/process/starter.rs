//! The thread that starts all processes. The kernel kills a job when the thread that started it ends, so that must be a
//! thread that lives as long as the stack.

use std::{io, sync::mpsc, thread};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

type Start = (Command, oneshot::Sender<io::Result<Child>>);

/// A handle of the thread.
#[derive(Debug)]
pub(in crate::batch) struct Starter {
    queue: mpsc::Sender<Start>,
}

impl Starter {
    /// Called in a tokio runtime.
    pub(in crate::batch) fn new() -> io::Result<Self> {
        let (queue, starts) = mpsc::channel::<Start>();
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        thread::Builder::new()
            .name("job-starter".to_owned())
            .spawn(move || {
                let _inside = runtime.enter();
                for (mut command, reply) in starts {
                    // Whoever asked may be gone; the child is killed when it is dropped.
                    let _ = reply.send(command.spawn());
                }
            })?;
        Ok(Self { queue })
    }

    pub(super) async fn start(&self, command: Command) -> io::Result<Child> {
        let (reply, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts jobs is gone");
        self.queue.send((command, reply)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}
