//! The engine's end of the socket to the flow host.

use std::{collections::HashMap, io, os::fd::OwnedFd, os::unix::net::UnixStream as StdUnixStream};

use model::{Plan, TaskKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::protocol::{
    FinishOutcome, FromHost, Hello, MAX_MESSAGE, PROTOCOL_VERSION, Prepare, Prepared, ToHost,
};

/// Why the host could not be spoken to, or refused.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The socket broke.
    #[error("failed to {act} the flow host")]
    Io {
        /// What was tried.
        act: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The host closed its end.
    #[error("the flow host is gone")]
    Gone,
    /// A message was not what the protocol says.
    #[error("the flow host sent {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// A hook or the metadata provider raised.
    #[error("{error}")]
    Refused {
        /// Number of the question.
        id: u64,
        /// One line.
        error: String,
    },
}

/// What arrives from the host without having been asked for.
#[derive(Debug)]
pub enum HostEvents {
    /// The host got a signal.
    Signal(i32),
    /// The host is gone.
    Gone,
}

/// What was said when the connection began.
#[derive(Debug)]
pub struct Session {
    /// Who the host is.
    pub hello: Hello,
    /// The run.
    pub plan: Box<Plan>,
}

type Answer = Result<Prepared, HostError>;

/// A handle to the flow host. Questions are answered in order; many may be open.
#[derive(Debug)]
pub struct Host {
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    waiting: mpsc::UnboundedSender<(u64, oneshot::Sender<Answer>)>,
    next_id: std::cell::Cell<u64>,
}

impl Host {
    /// Takes over the inherited socket, checks the greeting and reads the plan.
    pub async fn connect(
        fd: OwnedFd,
    ) -> Result<(Self, Session, mpsc::UnboundedReceiver<HostEvents>), HostError> {
        let stream = StdUnixStream::from(fd);
        stream
            .set_nonblocking(true)
            .and_then(|()| UnixStream::from_std(stream))
            .map_err(|source| HostError::Io {
                act: "connect to",
                source,
            })
            .map(UnixStream::into_split)
            .map(|(read, write)| (BufReader::new(read), write))
            .map(|(read, write)| Self::greet(read, write))?
            .await
    }

    async fn greet(
        mut read: BufReader<OwnedReadHalf>,
        write: OwnedWriteHalf,
    ) -> Result<(Self, Session, mpsc::UnboundedReceiver<HostEvents>), HostError> {
        let FromHost::Hello(hello) = receive(&mut read).await? else {
            return Err(protocol("something else than `hello` first"));
        };
        if hello.protocol != PROTOCOL_VERSION {
            return Err(protocol(&format!(
                "protocol {} where this engine speaks {PROTOCOL_VERSION}; \
                 the ferroflow binary and the installed extension are of different versions",
                hello.protocol
            )));
        }
        let FromHost::Plan { plan } = receive(&mut read).await? else {
            return Err(protocol("something else than `plan` second"));
        };
        let (outbox, to_write) = mpsc::unbounded_channel();
        let (waiting, to_answer) = mpsc::unbounded_channel();
        let (events, inbox) = mpsc::unbounded_channel();
        tokio::spawn(write_all(write, to_write));
        tokio::spawn(read_all(read, to_answer, events));
        let host = Self {
            outbox,
            waiting,
            next_id: std::cell::Cell::new(1),
        };
        Ok((host, Session { hello, plan }, inbox))
    }

    /// Asks for the command line of an attempt. The question is sent before the first `await`,
    /// so that task ids are given in the order of the calls. `question.id` is filled in here.
    pub fn prepare(
        &self,
        mut question: Prepare<'_>,
    ) -> impl Future<Output = Result<Prepared, HostError>> + 'static {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        question.id = id;
        let (answer, answered) = oneshot::channel();
        let sent = self.waiting.send((id, answer)).is_ok() && self.send(&ToHost::Prepare(question));
        async move {
            if sent {
                answered.await.unwrap_or(Err(HostError::Gone))
            } else {
                Err(HostError::Gone)
            }
        }
    }

    /// Says that a task has ended for good.
    pub fn release(&self, task: TaskKey) {
        self.send(&ToHost::Release { task });
    }

    /// Says that the run is over. The host closes the socket when it has read it.
    pub fn finish(&self, outcome: &FinishOutcome) {
        self.send(&ToHost::Finish { outcome });
    }

    fn send(&self, message: &ToHost<'_>) -> bool {
        serde_json::to_vec(message).is_ok_and(|body| self.outbox.send(body).is_ok())
    }
}

fn protocol(what: &str) -> HostError {
    HostError::Protocol {
        what: what.to_owned(),
    }
}

async fn receive(read: &mut BufReader<OwnedReadHalf>) -> Result<FromHost, HostError> {
    let mut length = [0; 4];
    match read.read_exact(&mut length).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(HostError::Gone),
        Err(source) => {
            return Err(HostError::Io {
                act: "read from",
                source,
            });
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(protocol(&format!("a message of {length} bytes")));
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body)
        .await
        .map_err(|source| HostError::Io {
            act: "read from",
            source,
        })?;
    serde_json::from_slice(&body)
        .map_err(|e| protocol(&format!("a message that does not parse: {e}")))
}

async fn write_all(mut write: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(body) = queue.recv().await {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        if write.write_all(&length).await.is_err() || write.write_all(&body).await.is_err() {
            return;
        }
    }
}

async fn read_all(
    mut read: BufReader<OwnedReadHalf>,
    mut questions: mpsc::UnboundedReceiver<(u64, oneshot::Sender<Answer>)>,
    events: mpsc::UnboundedSender<HostEvents>,
) {
    let mut open = HashMap::new();
    loop {
        let message = receive(&mut read).await;
        // A question is registered before it is sent, so its answer always finds it here.
        while let Ok((id, answer)) = questions.try_recv() {
            open.insert(id, answer);
        }
        match message {
            Ok(FromHost::Prepared(prepared)) => {
                if let Some(answer) = open.remove(&prepared.id) {
                    let _ = answer.send(Ok(*prepared));
                }
            }
            Ok(FromHost::Refused {
                id,
                error,
                traceback,
            }) => {
                tracing::debug!(id, error, traceback, "the flow host refused");
                if let Some(answer) = open.remove(&id) {
                    let _ = answer.send(Err(HostError::Refused { id, error }));
                }
            }
            Ok(FromHost::Signal { signo }) => {
                let _ = events.send(HostEvents::Signal(signo));
            }
            Ok(FromHost::Hello(_) | FromHost::Plan { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, "the connection to the flow host ended");
                let _ = events.send(HostEvents::Gone);
                return;
            }
        }
    }
}
