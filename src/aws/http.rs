//! The HTTP client under all SDK clients. Without it requests fail at run time only: the SDK is
//! built without a client of its own, so that ring is the only TLS library in the program.

use std::{env, fmt::Write as _, fs, path::PathBuf, time::Duration};

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{self, TlsContext, TrustStore},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use model::proxies::{self, Proxies, Route};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_native_certs::load_native_certs;

use crate::ConfigError;

/// Idle connections are dropped before load balancers on the way drop them.
const IDLE: Duration = Duration::from_secs(20);

/// A client that uses the proxies of the environment, and trusts the certificates of `ca_bundle`
/// instead of the system's, as boto3 does.
pub(crate) fn client(ca_bundle: Option<PathBuf>) -> Result<SharedHttpClient, ConfigError> {
    let context = tls_context(ca_bundle)?;
    let of_environment = |name: &str| Some((name.to_owned(), env::var(name).ok()?));
    let variables = proxies::VARIABLES.into_iter().filter_map(of_environment);
    let proxies = Proxies::of(&variables.collect());
    let through = |proxy: &Option<String>| match proxy {
        None => Ok(None),
        Some(url) => match ProxyConfig::all(url.as_str()) {
            Ok(config) => Ok(Some(single(&context, config))),
            Err(error) => Err(ConfigError::Proxy {
                url: without_password(url),
                why: error.to_string(),
            }),
        },
    };
    let plain = through(&proxies.plain)?;
    let secure = through(&proxies.secure)?;
    let direct = single(&context, ProxyConfig::disabled());
    Ok(http_client_fn(move |settings, components| {
        let of = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Routed {
            direct: of(&direct),
            plain: plain.as_ref().map(of),
            secure: secure.as_ref().map(of),
            proxies: proxies.clone(),
        })
    }))
}

/// A connection for each way.
#[derive(Debug)]
struct Routed {
    direct: SharedHttpConnector,
    plain: Option<SharedHttpConnector>,
    secure: Option<SharedHttpConnector>,
    proxies: Proxies,
}

impl HttpConnector for Routed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = match self.proxies.route(request.uri()) {
            Route::Direct => None,
            Route::Plain => self.plain.as_ref(),
            Route::Secure => self.secure.as_ref(),
        };
        connector.unwrap_or(&self.direct).call(request)
    }
}

fn single(context: &TlsContext, proxy: ProxyConfig) -> SharedHttpClient {
    let context = context.clone();
    Builder::new()
        .pool_idle_timeout(IDLE)
        .build_with_connector_fn(move |settings, components| {
            let mut builder = Connector::builder();
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            builder.set_pool_idle_timeout(Some(Some(IDLE)));
            builder
                .proxy_config(proxy.clone())
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::Ring,
                ))
                .tls_context(context.clone())
                .build()
        })
}

/// A proxy's address as it may be shown.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

fn tls_context(ca_bundle: Option<PathBuf>) -> Result<TlsContext, ConfigError> {
    let store = match ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read_bundle(path)?),
        // A system without any: slim containers. boto3 brings its own, too.
        None if load_native_certs().certs.is_empty() => {
            TrustStore::empty().with_pem_certificate(compiled_in())
        }
        None => TrustStore::default(),
    };
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| ConfigError::Tls(error.to_string()))
}

/// The public roots of this build, as PEM.
fn compiled_in() -> Vec<u8> {
    let mut pem = String::new();
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let body = BASE64_STANDARD.encode(der);
        let _ = writeln!(
            pem,
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"
        );
    }
    pem.into_bytes()
}

/// The certificates of a PEM file. Damaged ones would end in a panic inside the client.
fn read_bundle(path: PathBuf) -> Result<Vec<u8>, ConfigError> {
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(ConfigError::CaBundle { path, source }),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        if certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()) {
            continue;
        }
        return Err(ConfigError::BadCertificate { path });
    }
    if roots.is_empty() {
        return Err(ConfigError::NoCertificates { path });
    }
    Ok(pem)
}
