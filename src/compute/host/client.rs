//! The engine's end of the socket to the flow host.

use std::{
    collections::HashMap,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use model::{Plan, TaskKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::{
    protocol::{
        FinishOutcome, FromHost, Hello, HostCredentials, MAX_MESSAGE, PROTOCOL_VERSION, Prepare,
        Prepared, ToHost,
    },
    siblings::{PrepareSiblings, PreparedSiblings},
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
    /// There was no room on the disk. Nothing is left of what was begun, so the question may be asked again.
    #[error("{error}")]
    Full {
        /// Number of the question.
        id: u64,
        /// One line.
        error: String,
    },
    /// The run is another launcher's now.
    #[error("another launcher's flow host serves the run")]
    TakenOver,
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

/// Who waits for an answer.
#[derive(Debug)]
enum Waiting {
    Prepared(oneshot::Sender<Result<Prepared, HostError>>),
    Siblings(oneshot::Sender<Result<PreparedSiblings, HostError>>),
    Credentials(oneshot::Sender<Result<HostCredentials, HostError>>),
}

impl Waiting {
    /// Hands on what a question met instead of its answer.
    fn refuse(self, error: HostError) {
        match self {
            Self::Prepared(answer) => drop(answer.send(Err(error))),
            Self::Siblings(answer) => drop(answer.send(Err(error))),
            Self::Credentials(answer) => drop(answer.send(Err(error))),
        }
    }
}

/// The way of questions to the host. Clones share it, and may be used by any thread.
#[derive(Debug, Clone)]
pub struct Questions {
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    waiting: mpsc::UnboundedSender<(u64, Waiting)>,
    next_id: Arc<AtomicU64>,
}

impl Questions {
    /// Asks for the AWS credentials of upstream's client of a service. The host answers between
    /// its hooks, and may ask a person first.
    pub fn credentials(
        &self,
        service: &str,
    ) -> impl Future<Output = Result<HostCredentials, HostError>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let sent = self.ask(Waiting::Credentials(answer), |id| ToHost::Credentials {
            id,
            service,
        });
        async move {
            if sent {
                answered.await.unwrap_or(Err(HostError::Gone))
            } else {
                Err(HostError::Gone)
            }
        }
    }

    /// Sends a question; whoever waits is registered first.
    fn ask<'a>(&self, waiting: Waiting, question: impl FnOnce(u64) -> ToHost<'a>) -> bool {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.waiting.send((id, waiting)).is_ok() && self.send(&question(id))
    }

    fn send(&self, message: &ToHost<'_>) -> bool {
        serde_json::to_vec(message).is_ok_and(|body| self.outbox.send(body).is_ok())
    }
}

/// A handle to the flow host. Questions are answered in order; many may be open.
#[derive(Debug)]
pub struct Host {
    questions: Questions,
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
            questions: Questions {
                outbox,
                waiting,
                next_id: Arc::new(AtomicU64::new(1)),
            },
        };
        Ok((host, Session { hello, plan }, inbox))
    }

    /// Asks for the command line of an attempt. The question is sent before the first `await`,
    /// so that task ids are given in the order of the calls. `question.id` is filled in here.
    pub fn prepare(
        &self,
        mut question: Prepare<'_>,
    ) -> impl Future<Output = Result<Prepared, HostError>> + 'static {
        let (answer, answered) = oneshot::channel();
        let sent = self.questions.ask(Waiting::Prepared(answer), |id| {
            question.id = id;
            ToHost::Prepare(question)
        });
        async move {
            if sent {
                answered.await.unwrap_or(Err(HostError::Gone))
            } else {
                Err(HostError::Gone)
            }
        }
    }

    /// Asks for the command lines of first attempts. The answers are those of the first members, at least of one; the others
    /// are to be asked for again. As [`Self::prepare`] does, it sends the question before the first `await`.
    pub fn prepare_siblings(
        &self,
        mut question: PrepareSiblings<'_>,
    ) -> impl Future<Output = Result<Vec<Prepared>, HostError>> + 'static {
        let (answer, answered) = oneshot::channel();
        let indices = question.members.iter().map(|member| member.split_index);
        let indices: Vec<_> = indices.collect();
        let sent = self.questions.ask(Waiting::Siblings(answer), |id| {
            question.id = id;
            ToHost::PrepareSiblings(question)
        });
        async move {
            if !sent {
                return Err(HostError::Gone);
            }
            let answer = answered.await.unwrap_or(Err(HostError::Gone))?;
            let each = answer.each(&indices);
            each.ok_or_else(|| protocol("siblings that do not fit the question"))
        }
    }

    /// Says that a task has ended for good.
    pub fn release(&self, task: TaskKey) {
        self.questions.send(&ToHost::Release { task });
    }

    /// Says that the run is over. The host closes the socket when it has read it.
    pub fn finish(&self, outcome: &FinishOutcome) {
        self.questions.send(&ToHost::Finish { outcome });
    }

    /// A way of questions for those that do not drive the run.
    pub fn questions(&self) -> Questions {
        self.questions.clone()
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
    mut questions: mpsc::UnboundedReceiver<(u64, Waiting)>,
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
                if let Some(Waiting::Prepared(answer)) = open.remove(&prepared.id) {
                    let _ = answer.send(Ok(*prepared));
                }
            }
            Ok(FromHost::PreparedSiblings(prepared)) => {
                if let Some(Waiting::Siblings(answer)) = open.remove(&prepared.id) {
                    let _ = answer.send(Ok(*prepared));
                }
            }
            Ok(FromHost::Credentials(found)) => {
                if let Some(Waiting::Credentials(answer)) = open.remove(&found.id) {
                    let _ = answer.send(Ok(*found));
                }
            }
            Ok(FromHost::Refused {
                id,
                error,
                traceback,
                taken_over,
                full,
            }) => {
                tracing::debug!(id, error, traceback, "the flow host refused");
                let why = if taken_over {
                    HostError::TakenOver
                } else if full {
                    HostError::Full { id, error }
                } else {
                    HostError::Refused { id, error }
                };
                if let Some(waiting) = open.remove(&id) {
                    waiting.refuse(why);
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
