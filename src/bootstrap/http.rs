//! HTTP clients: roots of trust, proxies, and timeouts.

use std::{ffi::OsStr, fs, time::Duration};

use model::proxies::{Proxies, Route, VARIABLES};
use ureq::{
    Agent, Proxy, ProxyProtocol,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::environment::Environment;

const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence of a server.
const SILENCE: Duration = Duration::from_mins(1);

/// Files with further roots of trust, in the variables that Python's and AWS's tools read.
const BUNDLES: [&str; 4] = [
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "METAFLOW_S3_VERIFY_CERTIFICATE",
];

/// A client for each way that a request may take.
#[derive(Debug)]
pub(crate) struct Http {
    secure: Agent,
    plain: Agent,
    direct: Agent,
    proxies: Proxies,
}

impl Http {
    /// Reads proxies and roots of trust from the environment.
    pub(crate) fn new(environment: &Environment) -> Self {
        let tls = tls(environment);
        let agent = |proxy| {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .timeout_resolve(Some(CONNECT))
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(SILENCE))
                .timeout_per_read(Some(SILENCE))
                .timeout_per_write(Some(SILENCE))
                .user_agent(concat!("ferroflow/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .proxy(proxy)
                .build()
                .new_agent()
        };
        let proxies = proxies(environment);
        Self {
            secure: agent(proxies.secure.as_deref().and_then(proxy)),
            plain: agent(proxies.plain.as_deref().and_then(proxy)),
            direct: agent(None),
            proxies,
        }
    }

    /// The client for a URL.
    pub(crate) fn agent(&self, url: &str) -> &Agent {
        match self.proxies.route(url) {
            Route::Secure => &self.secure,
            Route::Plain => &self.plain,
            Route::Direct => &self.direct,
        }
    }

    /// The client that uses no proxy: for link-local addresses, whose secrets are this host's.
    pub(crate) fn direct(&self) -> &Agent {
        &self.direct
    }
}

/// The compiled-in roots, and those of the environment's bundles added to them.
fn tls(environment: &Environment) -> TlsConfig {
    let config = TlsConfig::builder();
    let verify = environment.text("METAFLOW_S3_VERIFY_CERTIFICATE");
    if verify.is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return config.disable_verification(true).build();
    }
    let added: Vec<_> = BUNDLES
        .iter()
        .filter_map(|name| fs::read(environment.text(name)?).ok())
        .flat_map(|pem| certificates(&pem))
        .collect();
    if added.is_empty() {
        return config.root_certs(RootCerts::WebPki).build();
    }
    let compiled_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::from_der(der));
    let roots: Vec<_> = compiled_in.chain(added).collect();
    config.root_certs(RootCerts::new_with_certs(&roots)).build()
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}

fn proxies(environment: &Environment) -> Proxies {
    // The empty text counts, so `Environment::text` will not do.
    let value = |name: &str| environment.variables.get(OsStr::new(name))?.to_str();
    let variables = VARIABLES.into_iter();
    let set = variables.filter_map(|name| Some((name.to_owned(), value(name)?.to_owned())));
    Proxies::of(&set.collect())
}

/// Without NO_PROXY, which was looked at before.
fn proxy(url: &str) -> Option<Proxy> {
    let given = Proxy::new(url).ok()?;
    let protocol = if given.protocol() == ProxyProtocol::Https {
        ProxyProtocol::Https
    } else {
        ProxyProtocol::Http
    };
    let mut proxy = Proxy::builder(protocol)
        .host(given.host())
        .port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    proxy.build().ok()
}
