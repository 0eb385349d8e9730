//! `ferroflow dev status`: whether the stack is up, and what its queues hold.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use localstack::{Description, Folder, STATUS_PATH};
use model::exit_code;
use serde_json::Value;

use super::folder::Dir;
use crate::cli::say;

/// For the stack to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of an answer.
const MAX_ANSWER: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    dir: Dir,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = args.dir.folder()?;
    let path = folder.path().display();
    let Some(pid) = folder.server()? else {
        say::line(format_args!("down: no stack is up in {path}"))?;
        return Ok(ExitCode::from(exit_code::FAILURE as u8));
    };
    let Some(stack) = folder.description()? else {
        bail!("process {pid} is only starting the stack in `{path}`\nhint: try again");
    };
    let counts = ask(&folder, &stack)?;
    say::line(format_args!("up: {}", stack.endpoint))?;
    say::line(format_args!("folder: {path}"))?;
    say::line(format_args!("pid: {pid}"))?;
    if let Some(python) = &stack.python {
        say::line(format_args!("python: {}", python.display()))?;
    }
    let queues = counts["queues"].as_object();
    for (name, counts) in queues.into_iter().flatten() {
        say::line(format_args!("queue {name}: {}", in_words(counts)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(counts: &Value) -> String {
    let mut words = String::new();
    for (status, count) in counts.as_object().into_iter().flatten() {
        let comma = if words.is_empty() { "" } else { ", " };
        let _ = write!(words, "{comma}{count} {status}");
    }
    if words.is_empty() {
        "no jobs".clone_into(&mut words);
    }
    words
}

/// Asks a stack for its queues' counts.
pub(super) fn ask(folder: &Folder, stack: &Description) -> Result<Value> {
    let Some(secrets) = folder.secrets()? else {
        bail!("`{}` has no keys", folder.path().display());
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, stack.port));
    let answer = request(address, &secrets.token.0)
        .with_context(|| format!("the stack at {} does not answer", stack.endpoint))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the stack's answer is no HTTP")?;
    if !head.starts_with("HTTP/1.0 200") && !head.starts_with("HTTP/1.1 200") {
        bail!(
            "the stack at {} refuses: {}",
            stack.endpoint,
            head.lines().next().unwrap_or_default()
        );
    }
    serde_json::from_str(body).context("the stack's answer is no JSON")
}

fn request(address: SocketAddr, token: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0, so that the connection ends with the answer.
    let request =
        format!("GET {STATUS_PATH} HTTP/1.0\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
