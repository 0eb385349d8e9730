//! The metadata service.

use std::{env, fs, time::Duration};

use serde_json::{Map, Value};
use tokio::{task::spawn_blocking, time::timeout};
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::Finding;
use crate::metaflow_config::MetaflowConfig;

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The header by which the service tells its version (metaflow/plugins/metadata_providers/service.py).
const VERSION: &str = "METADATA_SERVICE_VERSION";

pub(super) async fn examine(config: &MetaflowConfig) -> Finding {
    let provider = config.text("DEFAULT_METADATA").unwrap_or_default();
    if provider != "service" {
        let text = format!("not used: METAFLOW_DEFAULT_METADATA is {provider}");
        return Finding::skipped("metadata service", text);
    }
    let Some(url) = config.text("SERVICE_URL") else {
        return Finding::problem(
            "metadata service",
            "METAFLOW_DEFAULT_METADATA is service, and METAFLOW_SERVICE_URL is not set",
            "set METAFLOW_SERVICE_URL, or METAFLOW_DEFAULT_METADATA=local",
        );
    };
    let thing = format!("metadata service `{url}`");
    let headers = match headers(config) {
        Ok(headers) => headers,
        Err(why) => {
            let fix = "METAFLOW_SERVICE_HEADERS is a JSON object of texts";
            return Finding::problem(thing, why, fix);
        }
    };
    let question = spawn_blocking(move || ask(&url, &headers));
    match timeout(PATIENCE * 2, question).await {
        Ok(Ok(Ok(version))) => Finding::ok(thing, format!("answers, version {version}")),
        Ok(Ok(Err(Refused::Key(status)))) => Finding::problem(
            thing,
            format!("refuses the key: status {status}"),
            "check METAFLOW_SERVICE_AUTH_KEY and METAFLOW_SERVICE_HEADERS",
        ),
        Ok(Ok(Err(Refused::Otherwise(why)))) => Finding::problem(
            thing,
            why,
            "check METAFLOW_SERVICE_URL, the network (VPN, proxy), and that the service runs",
        ),
        Ok(Err(_)) | Err(_) => Finding::problem(thing, "does not answer", "check the network"),
    }
}

/// As upstream makes them of METAFLOW_SERVICE_HEADERS and METAFLOW_SERVICE_AUTH_KEY.
fn headers(config: &MetaflowConfig) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    if let Some(text) = config.text("SERVICE_HEADERS") {
        let given: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| format!("METAFLOW_SERVICE_HEADERS cannot be read: {error}"))?;
        for (name, value) in given {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            headers.push((name, text));
        }
    }
    if let Some(key) = config.text("SERVICE_AUTH_KEY") {
        headers.push(("x-api-key".to_owned(), key));
    }
    Ok(headers)
}

/// Those of the file that `requests` reads instead of its own; upstream asks by `requests`.
fn roots() -> RootCerts {
    let named = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter();
    let file = named.filter_map(env::var_os).find(|path| !path.is_empty());
    let Some(pem) = file.and_then(|path| fs::read(path).ok()) else {
        return RootCerts::WebPki;
    };
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<Certificate<'static>> = parse_pem(&pem).filter_map(certificate).collect();
    RootCerts::new_with_certs(&found)
}

enum Refused {
    Key(u16),
    Otherwise(String),
}

fn ask(url: &str, headers: &[(String, String)]) -> Result<String, Refused> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .tls_config(TlsConfig::builder().root_certs(roots()).build())
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(format!("{}/ping", url.trim_end_matches('/')));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request
        .call()
        .map_err(|error| Refused::Otherwise(format!("does not answer: {error}")))?;
    let status = answer.status().as_u16();
    match status {
        401 | 403 => Err(Refused::Key(status)),
        200..300 => {
            let version = answer.headers().get(VERSION);
            let version = version.and_then(|version| version.to_str().ok());
            Ok(version.unwrap_or("unknown").to_owned())
        }
        _ => Err(Refused::Otherwise(format!("answers with status {status}"))),
    }
}
