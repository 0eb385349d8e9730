//! The HTTP client under all SDK clients. Without it requests fail at run time only: the SDK is
//! built without a client of its own, so that ring is the only TLS library in the program.

use std::{env, fs, path::PathBuf, time::Duration};

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{self, TlsContext, TrustStore},
};
use aws_smithy_runtime_api::client::{
    http::SharedHttpClient, runtime_components::RuntimeComponents,
};

use crate::ConfigError;

/// Idle connections are dropped before load balancers on the way drop them.
const IDLE: Duration = Duration::from_secs(20);

/// A client that honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and trusts the certificates of
/// `ca_bundle` instead of the system's, as boto3 does.
pub(crate) fn client(ca_bundle: Option<PathBuf>) -> Result<SharedHttpClient, ConfigError> {
    let context = tls_context(ca_bundle)?;
    let client = Builder::new()
        .pool_idle_timeout(IDLE)
        .build_with_connector_fn(move |settings, components| {
            let mut builder = Connector::builder();
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            builder.set_pool_idle_timeout(Some(Some(IDLE)));
            builder
                .proxy_config(ProxyConfig::from_env())
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::Ring,
                ))
                .tls_context(context.clone())
                .build()
        });
    Ok(client)
}

/// The bundle that the environment names, in boto3's order.
pub(crate) fn ca_bundle_of_environment() -> Option<PathBuf> {
    ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"]
        .into_iter()
        .filter_map(env::var_os)
        .find(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn tls_context(ca_bundle: Option<PathBuf>) -> Result<TlsContext, ConfigError> {
    let store = match ca_bundle {
        None => TrustStore::default(),
        Some(path) => TrustStore::empty().with_pem_certificate(read_bundle(path)?),
    };
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| ConfigError::Tls(error.to_string()))
}

/// The certificates of a PEM file. A file without any would end in a panic inside the client.
fn read_bundle(path: PathBuf) -> Result<Vec<u8>, ConfigError> {
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(ConfigError::CaBundle { path, source }),
    };
    if pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        Ok(pem)
    } else {
        Err(ConfigError::NoCertificates { path })
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
