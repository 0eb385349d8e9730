//! A store of a few operations that checks signatures and fails when told to.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An answer with this status, and nothing done.
    Status(u16),
    /// No answer, and nothing done.
    Reset,
    /// The write is done, and there is no answer.
    LostReply,
    /// Half of the body is sent.
    Torn,
    /// An answer that comes late.
    Slow(Duration),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its method.
    pub(crate) method: String,
    /// Its path, decoded.
    pub(crate) path: String,
    /// Its headers by name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body.
    pub(crate) body: Vec<u8>,
    /// The status it got; 0 for none.
    pub(crate) status: u16,
}

/// What the store says of an object, and the object.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// By name.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Its bytes.
    pub(crate) body: Vec<u8>,
}

/// The headers that a request needs, and the answer.
type Plain = (Vec<(String, String)>, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// Of an object that changes with each read, what is still to come.
    series: BTreeMap<String, VecDeque<Version>>,
    /// Answers to requests that are not S3's: by method and path, the headers they need.
    plain: BTreeMap<(String, String), Plain>,
    faults: Vec<(String, String, u32, Fault)>,
    seen: Vec<Seen>,
}

/// The store.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let served = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = served.clone();
                thread::spawn(move || while server.serve(&stream).is_some() {});
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An object by `bucket/key`.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().objects.get(key).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    pub(crate) fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let mut state = self.state.lock().unwrap();
        state.objects.insert(key.to_owned(), body.into());
    }

    /// Makes an object that is another one at each read, until the last.
    pub(crate) fn put_series(&self, key: &str, versions: impl IntoIterator<Item = Version>) {
        let versions = versions.into_iter().collect();
        let mut state = self.state.lock().unwrap();
        state.series.insert(key.to_owned(), versions);
    }

    /// Lets the next `times` requests of a method to paths with `part` fail.
    pub(crate) fn fail(&self, method: &str, part: &str, times: u32, fault: Fault) {
        let rule = (method.to_owned(), part.to_owned(), times, fault);
        self.state.lock().unwrap().faults.push(rule);
    }

    /// Answers a request that is not S3's.
    pub(crate) fn answer(&self, method: &str, path: &str, needs: &[(&str, &str)], body: &str) {
        let needs = needs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let route = (method.to_owned(), path.to_owned());
        self.state
            .lock()
            .unwrap()
            .plain
            .insert(route, (needs, body.to_owned()));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How often an object was read, or tried to.
    pub(crate) fn reads(&self, key: &str) -> usize {
        let seen = self.seen();
        let reads = seen.iter().filter(|seen| seen.path[1..] == *key);
        reads.filter(|seen| seen.method == "GET").count()
    }

    /// The writes that were done, in order.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.method == "PUT" && seen.status == 200)
            .map(|seen| seen.path[1..].to_owned())
            .collect()
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut request = read_request(stream)?;
        let fault = self.take_fault(&request);
        if let Some(Fault::Slow(delay)) = fault {
            thread::sleep(delay);
        }
        let (status, headers, mut body) = match fault {
            Some(Fault::Status(status)) => (status, String::new(), error("Injected")),
            Some(Fault::Reset) => (0, String::new(), Vec::new()),
            _ => self.handle(&request),
        };
        let is_lost = matches!(fault, Some(Fault::Reset | Fault::LostReply));
        request.status = if is_lost { 0 } else { status };
        let is_head = request.method == "HEAD";
        self.state.lock().unwrap().seen.push(request);
        if is_lost {
            return None;
        }
        let length = body.len();
        if is_head {
            body.clear();
        }
        if fault == Some(Fault::Torn) {
            body.truncate(length / 2);
        }
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
        let mut writer = stream;
        writer.write_all(head.as_bytes()).ok()?;
        writer.write_all(&body).ok()?;
        (fault != Some(Fault::Torn)).then_some(())
    }

    fn take_fault(&self, request: &Seen) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state
            .faults
            .iter_mut()
            .find_map(|(method, part, times, fault)| {
                let applies =
                    *times > 0 && *method == request.method && request.path.contains(&*part);
                applies.then(|| {
                    *times -= 1;
                    *fault
                })
            })
    }

    fn handle(&self, request: &Seen) -> (u16, String, Vec<u8>) {
        let mut state = self.state.lock().unwrap();
        let route = (request.method.clone(), request.path.clone());
        if let Some((needs, body)) = state.plain.get(&route) {
            let has_all = needs
                .iter()
                .all(|(name, value)| request.headers.get(name) == Some(value));
            return if has_all {
                (200, String::new(), body.clone().into_bytes())
            } else {
                (403, String::new(), b"missing header".to_vec())
            };
        }
        if let Err(why) = check_signature(request) {
            return (403, String::new(), error(&why));
        }
        let key = &request.path[1..];
        if request.method == "GET"
            && let Some(version) = state.next_version(key)
        {
            let headers = version.headers.iter();
            let headers = headers.map(|(name, value)| format!("{name}: {value}\r\n"));
            return (200, headers.collect(), version.body);
        }
        match request.method.as_str() {
            "PUT" => {
                let condition = request.headers.get("if-none-match");
                if condition.is_some() && state.objects.contains_key(key) {
                    return (412, String::new(), error("PreconditionFailed"));
                }
                state.objects.insert(key.to_owned(), request.body.clone());
                (200, String::new(), Vec::new())
            }
            _ => match state.objects.get(key) {
                None => (404, String::new(), error("NoSuchKey")),
                Some(object) => match request.headers.get("range") {
                    None => (200, String::new(), object.clone()),
                    Some(range) => {
                        let (from, to) = range["bytes=".len()..].split_once('-').unwrap();
                        let from: usize = from.parse().unwrap();
                        let to = to.parse::<usize>().unwrap().min(object.len() - 1);
                        (206, String::new(), object[from..=to].to_vec())
                    }
                },
            },
        }
    }
}

impl State {
    fn next_version(&mut self, key: &str) -> Option<Version> {
        let versions = self.series.get_mut(key)?;
        if versions.len() > 1 {
            versions.pop_front()
        } else {
            versions.front().cloned()
        }
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>told to</Message></Error>").into_bytes()
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, raw) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    headers.insert(":path".into(), raw.clone());
    Some(Seen {
        method,
        path: decode(&raw),
        headers,
        body,
        status: 0,
    })
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let code = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The secret of every access key.
pub(crate) const SECRET: &str = "secret/of+tests";

/// Makes the signature again, with the same crate as the bootstrap; its own vectors come from
/// botocore, and the stub signs in Python.
fn check_signature(request: &Seen) -> Result<(), String> {
    use aws_sigv4::http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    };
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .cloned()
            .ok_or(format!("no {name}"))
    };
    let authorization = header("authorization")?;
    let credential = authorization
        .strip_prefix("AWS4-HMAC-SHA256 Credential=")
        .ok_or("not AWS4-HMAC-SHA256")?;
    let mut scope = credential.split([',', '/']);
    let (key, region) = (scope.next().unwrap(), scope.nth(1).unwrap().to_owned());
    let sha256 = header("x-amz-content-sha256")?;
    if sha256 != hex::encode(Sha256::digest(&request.body)) {
        return Err("XAmzContentSHA256Mismatch".into());
    }
    let signed = authorization
        .split_once("SignedHeaders=")
        .and_then(|(_, rest)| rest.split_once(','))
        .ok_or("no SignedHeaders")?
        .0
        .to_owned();
    let made_by_signer = [
        "host",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
    ];
    let headers: Vec<_> = signed
        .split(';')
        .filter(|name| !made_by_signer.contains(name))
        .map(|name| (name, request.headers[name].as_str()))
        .collect();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let token = request.headers.get("x-amz-security-token").cloned();
    let identity = aws_credential_types::Credentials::new(key, SECRET, token, None, "test").into();
    let date = header("x-amz-date")?;
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("s3")
        .time(time(&date))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("http://{}{}", header("host")?, header(":path")?);
    let signable = SignableRequest::new(
        &request.method,
        &url,
        headers.into_iter(),
        SignableBody::Precomputed(sha256),
    );
    let signature = sign(signable.unwrap(), &params)
        .unwrap()
        .signature()
        .to_owned();
    if authorization.ends_with(&format!("Signature={signature}")) {
        Ok(())
    } else {
        Err("SignatureDoesNotMatch".into())
    }
}

fn time(date: &str) -> std::time::SystemTime {
    let number = |from: usize, to: usize| date[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    // Days since the epoch, counted naively: tests are not slow enough to mind.
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let mut days: i64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let lengths = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    days += lengths[..usize::try_from(month - 1).unwrap()]
        .iter()
        .sum::<i64>()
        + day
        - 1;
    let seconds = days * 86_400 + number(9, 11) * 3600 + number(11, 13) * 60 + number(13, 15);
    std::time::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}
