//! A server that gives prepared answers, one after the other, and keeps what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws::{Aws, Credentials, CredentialsFrom, Patience, Settings, batch, s3::S3Store};
use model::plan::S3Settings;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, pki_types::PrivatePkcs8KeyDer},
};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Answers.
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
        /// What the head says of the body's length, where that is wrong.
        claimed_length: Option<usize>,
    },
    /// Closes the connection.
    HangUp,
    /// Says nothing for longer than any client of these tests waits.
    Silence,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// An error as Batch reports it.
    pub(crate) fn batch_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"message": message});
        Self::json(status, &body).header("x-amzn-errortype", code)
    }

    /// An error as S3 reports it.
    pub(crate) fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::text(
            status,
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{error}"),
        )
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::Http {
            status,
            headers: Vec::new(),
            body: body.into(),
            claimed_length: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The connection ends before the body does.
    pub(crate) fn broken_off(mut self) -> Self {
        if let Self::Http {
            body,
            claimed_length,
            ..
        } = &mut self
        {
            *claimed_length = Some(body.len() + 10);
        }
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method and target: `GET /bucket/key?x-id=GetObject`
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The Batch action in the path, in lower case.
    pub(crate) fn action(&self) -> &str {
        self.line.rsplit('/').next().unwrap()
    }
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    requests: Vec<Request>,
}

/// The server. A request for which there is no answer panics in its own task and hangs up.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        server.answer(answers);
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        server
    }

    /// The same behind TLS, with a certificate for `localhost` that signs itself: its text, too.
    pub(crate) async fn start_tls(answers: impl IntoIterator<Item = Answer>) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            url: format!("https://localhost:{port}"),
            state: Arc::default(),
        };
        server.answer(answers);
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
                tokio::spawn(async move {
                    // A client that does not trust it goes away.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, state).await;
                    }
                });
            }
        });
        (server, made.cert.pem())
    }

    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.line)
            .collect()
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        let requests = self.requests();
        requests
            .iter()
            .map(|request| request.action().to_owned())
            .collect()
    }

    /// Panics if a prepared answer was not fetched.
    pub(crate) fn assert_quiet(&self) {
        let left = &self.state.lock().unwrap().answers;
        assert!(left.is_empty(), "not fetched: {left:?}");
    }

    pub(crate) async fn aws(&self, s3: S3Settings) -> Aws {
        let settings = Settings {
            s3,
            region: Some("eu-north-1".to_owned()),
            endpoint: Some(self.url.clone()),
            credentials: CredentialsFrom::Given(Credentials {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: None,
                expiry: None,
            }),
            patience: impatience(),
        };
        Aws::load(settings).await.unwrap()
    }

    pub(crate) async fn batch(&self) -> batch::Client {
        batch::Client::new(&self.aws(S3Settings::default()).await).unwrap()
    }

    pub(crate) async fn store(&self) -> S3Store {
        S3Store::open(&self.aws(S3Settings::default()).await, "s3://bucket/prefix")
            .await
            .unwrap()
    }
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Short enough for tests.
pub(crate) fn impatience() -> Patience {
    Patience {
        connect: Duration::from_secs(1),
        read: Duration::from_millis(400),
        operation: Duration::from_millis(800),
        s3_attempts: 3,
        batch_attempts: 3,
        first_pause: Duration::from_millis(2),
    }
}

async fn serve(stream: impl Stream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request);
        state.answers.pop_front()
    };
    match answer {
        Some(Answer::Http {
            status,
            headers,
            body,
            claimed_length,
        }) => {
            let length = claimed_length.unwrap_or(body.len());
            let mut head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n");
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
            let answer = format!("{head}\r\n{body}");
            let _ = stream.get_mut().write_all(answer.as_bytes()).await;
            let _ = stream.get_mut().shutdown().await;
        }
        Some(Answer::Silence) => tokio::time::sleep(Duration::from_mins(1)).await,
        Some(Answer::HangUp) => {}
        None => panic!("no answer was prepared"),
    }
}

async fn read_request(stream: &mut BufReader<impl Stream>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        line,
        headers,
        body,
    })
}
