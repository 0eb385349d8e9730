//! A client of S3: signs, sends, and tries again.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use sha2::{Digest, Sha256};
use ureq::{
    Body, SendBody,
    http::{HeaderMap, Method, Request, Response},
};

use crate::{
    credentials::CredentialsProvider,
    http::Http,
    interrupts::Interrupts,
    retry::Tries,
    s3_address::Endpoint,
    s3_error::{S3Error, error_document},
    settings::Settings,
    sigv4::{Unsigned, signature},
};

/// A refused permission may be a role that is not known everywhere yet.
const TRIES_WHEN_FORBIDDEN: u32 = 3;
/// Longest error document that is read.
const ERROR_LENGTH: u64 = 64 << 10;
/// Shortest time that a request gets when little is left.
const SHORTEST_TRY: Duration = Duration::from_secs(1);
/// Longest sleep once the container is about to be killed.
const LONGEST_HURRIED_PAUSE: Duration = Duration::from_secs(2);

/// What a signal means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The task has not begun: give the request up.
    UntilSignal,
    /// The end must be told: go on until the container is about to be killed.
    UntilLastCall,
    /// The answer is not worth much time: give up at this moment, and do not mind signals.
    Until(Instant),
}

/// What a request sends.
pub(crate) trait Payload {
    /// SHA-256 in hexadecimal.
    fn sha256(&self) -> String;
    /// Bytes.
    fn size(&self) -> u64;
    /// The bytes, from their start.
    fn reader(&self) -> Box<dyn Read + '_>;
}

impl Payload for Vec<u8> {
    fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self))
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn reader(&self) -> Box<dyn Read + '_> {
        Box::new(self.as_slice())
    }
}

/// One request.
pub(crate) struct Call<'a> {
    /// GET, HEAD or PUT.
    pub(crate) method: &'static str,
    /// The bucket.
    pub(crate) bucket: &'a str,
    /// The object.
    pub(crate) key: &'a str,
    /// Headers to sign and send.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body of a PUT.
    pub(crate) body: Option<&'a dyn Payload>,
    /// When it is given up.
    pub(crate) patience: Patience,
}

/// A client of one endpoint.
#[derive(Debug)]
pub(crate) struct S3 {
    http: Arc<Http>,
    credentials: Arc<CredentialsProvider>,
    interrupts: Interrupts,
    settings: Settings,
    endpoint: Endpoint,
    region: Mutex<String>,
}

/// Why a try failed and what may help.
enum Failed {
    /// Time may help, and how much of it.
    Passing(Box<S3Error>, Duration),
    /// Other credentials may help.
    Forbidden(Box<S3Error>),
    /// The bucket is in another region.
    Elsewhere(Box<S3Error>, String),
    /// Nothing helps.
    Final(Box<S3Error>),
}

impl S3 {
    /// A client; nothing is sent yet.
    pub(crate) fn new(
        http: &Arc<Http>,
        credentials: &Arc<CredentialsProvider>,
        interrupts: &Interrupts,
        settings: &Settings,
        endpoint: Endpoint,
        region: &str,
    ) -> Self {
        Self {
            http: Arc::clone(http),
            credentials: Arc::clone(credentials),
            interrupts: interrupts.clone(),
            settings: settings.clone(),
            endpoint,
            region: Mutex::new(region.to_owned()),
        }
    }

    /// Sends a request until it is answered; `read` takes the body and may be called again when
    /// the connection breaks in between.
    pub(crate) fn call<T>(
        &self,
        call: &Call<'_>,
        mut read: impl FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, S3Error> {
        self.call_with_headers(call, |_, body| read(body))
    }

    /// The same; `read` gets the answer's headers, too.
    pub(crate) fn call_with_headers<T>(
        &self,
        call: &Call<'_>,
        mut read: impl FnMut(&HeaderMap, &mut dyn Read) -> io::Result<T>,
    ) -> Result<T, S3Error> {
        let mut tries = Tries::new();
        let mut forbidden = 0;
        let mut moved = false;
        loop {
            let (error, budget) = match self.try_once(call, &mut read) {
                Ok(value) => return Ok(value),
                Err(Failed::Final(error)) => return Err(*error),
                Err(Failed::Elsewhere(error, _)) if moved => return Err(*error),
                Err(Failed::Elsewhere(_, region)) => {
                    *self.region.lock().unwrap_or_else(PoisonError::into_inner) = region;
                    moved = true;
                    continue;
                }
                Err(Failed::Forbidden(error)) => {
                    forbidden += 1;
                    if forbidden >= TRIES_WHEN_FORBIDDEN {
                        return Err(*error);
                    }
                    self.credentials.forget();
                    (error, self.settings.error_budget)
                }
                Err(Failed::Passing(error, budget)) => (error, budget),
            };
            match tries.pause(budget) {
                Some(pause) => self.pause(pause, call.patience)?,
                None => return Err(*error),
            }
            if self.is_too_late(call.patience) {
                return Err(*error);
            }
        }
    }

    /// Sleeps before another try; a signal ends the sleep, and with it the request or not.
    fn pause(&self, pause: Duration, patience: Patience) -> Result<(), S3Error> {
        let pause = match patience {
            Patience::Until(at) => pause.min(at.saturating_duration_since(Instant::now())),
            _ => pause,
        };
        if self.interrupts.raised().is_none() {
            self.interrupts.pause(pause);
        } else if patience != Patience::UntilSignal {
            thread::sleep(pause.min(LONGEST_HURRIED_PAUSE));
        }
        if patience == Patience::UntilSignal && self.interrupts.raised().is_some() {
            return Err(S3Error::Interrupted);
        }
        Ok(())
    }

    /// When nothing more is tried.
    fn deadline(&self, patience: Patience) -> Option<Instant> {
        match patience {
            Patience::UntilSignal => None,
            Patience::UntilLastCall => {
                let raised = self.interrupts.raised()?;
                Some(raised.at + self.settings.last_call)
            }
            Patience::Until(at) => Some(at),
        }
    }

    fn is_too_late(&self, patience: Patience) -> bool {
        self.deadline(patience)
            .is_some_and(|at| at <= Instant::now())
    }

    fn try_once<T>(
        &self,
        call: &Call<'_>,
        read: &mut impl FnMut(&HeaderMap, &mut dyn Read) -> io::Result<T>,
    ) -> Result<T, Failed> {
        // The one place that all writes pass.
        if self.interrupts.is_superseded() {
            return Err(Failed::Final(Box::new(S3Error::Superseded)));
        }
        let passing = |error| Failed::Passing(Box::new(error), self.settings.error_budget);
        let credentials = self.credentials.credentials().map_err(|error| {
            if error.is_transient() {
                passing(error.into())
            } else {
                Failed::Final(Box::new(error.into()))
            }
        })?;
        let no_answer = |source| S3Error::NoAnswer {
            method: call.method,
            key: call.key.to_owned(),
            source,
        };
        let region = self.region();
        let url = self.endpoint.url(&region, call.bucket, call.key);
        let body_sha256 = call
            .body
            .map_or_else(|| Vec::new().sha256(), Payload::sha256);
        let signature = signature(
            &Unsigned {
                method: call.method,
                url: &url,
                headers: &call.headers,
                body_sha256: &body_sha256,
            },
            &credentials,
            &region,
            SystemTime::now(),
        )
        .map_err(|source| {
            Failed::Final(Box::new(S3Error::Signing {
                method: call.method,
                key: call.key.to_owned(),
                source,
            }))
        })?;
        let response = self
            .send(call, &url, signature)
            .map_err(|error| passing(no_answer(error)))?;
        if response.status().is_success() {
            let (head, mut body) = response.into_parts();
            let mut body = UntilSignal {
                body: body.as_reader(),
                interrupts: (call.patience == Patience::UntilSignal).then_some(&self.interrupts),
            };
            return read(&head.headers, &mut body)
                .map_err(|error| passing(no_answer(ureq::Error::Io(error))));
        }
        Err(self.refused(call, response))
    }

    fn send(
        &self,
        call: &Call<'_>,
        url: &str,
        signature: Vec<(&'static str, String)>,
    ) -> Result<Response<Body>, ureq::Error> {
        let agent = self.http.agent(url);
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in call.headers.iter().cloned().chain(signature) {
            request = request.header(name, value);
        }
        let left = self.deadline(call.patience).map(|at| {
            at.saturating_duration_since(Instant::now())
                .max(SHORTEST_TRY)
        });
        match call.body {
            None => {
                let request = request.body(())?;
                agent.run(
                    agent
                        .configure_request(request)
                        .timeout_global(left)
                        .build(),
                )
            }
            Some(body) => {
                let mut reader = body.reader();
                let request = request
                    .header("content-length", body.size())
                    .body(SendBody::from_reader(&mut reader))?;
                agent.run(
                    agent
                        .configure_request(request)
                        .timeout_global(left)
                        .build(),
                )
            }
        }
    }

    fn region(&self) -> String {
        self.region
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn refused(&self, call: &Call<'_>, mut response: Response<Body>) -> Failed {
        let status = response.status().as_u16();
        let region = response
            .headers()
            .get("x-amz-bucket-region")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response
            .body_mut()
            .with_config()
            .limit(ERROR_LENGTH)
            .lossy_utf8(true)
            .read_to_string()
            .unwrap_or_default();
        let (code, message) = error_document(&body);
        let error = S3Error::Refused {
            method: call.method,
            key: call.key.to_owned(),
            status,
            code: code.clone(),
            message,
        };
        let error = Box::new(error);
        let Settings {
            throttle_budget,
            error_budget,
            ..
        } = self.settings;
        match (status, code.as_str(), region) {
            (301 | 307 | 400, _, Some(region)) if region != self.region() => {
                Failed::Elsewhere(error, region)
            }
            (429 | 503, ..) => Failed::Passing(error, throttle_budget),
            (500 | 502 | 504, ..) | (409, _, _) | (400, "RequestTimeout", _) => {
                Failed::Passing(error, error_budget)
            }
            (401 | 403, ..) | (400, "ExpiredToken" | "InvalidToken", _) => Failed::Forbidden(error),
            _ => Failed::Final(error),
        }
    }
}

/// A body that ends with an error when a signal comes.
struct UntilSignal<'a, R> {
    body: R,
    interrupts: Option<&'a Interrupts>,
}

impl<R: Read> Read for UntilSignal<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self
            .interrupts
            .is_some_and(|interrupts| interrupts.raised().is_some())
        {
            return Err(io::Error::other("the container was asked to stop"));
        }
        self.body.read(buffer)
    }
}
