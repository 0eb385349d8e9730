//! Credentials as the SDK asks for them. It keeps what it gets until shortly before the expiry, and
//! what has none for a quarter of an hour.

use std::{
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};

use super::{Ask, Chain, CredentialsFrom, chain::ChainError};

/// Finds credentials for one service.
#[derive(Debug)]
pub(crate) struct Provider {
    from: CredentialsFrom,
    chain: Chain,
    service: &'static str,
    known: Mutex<Option<Credentials>>,
}

impl Provider {
    pub(crate) fn new(from: CredentialsFrom, chain: Chain, service: &'static str) -> Self {
        Self {
            from,
            chain,
            service,
            known: Mutex::default(),
        }
    }

    /// Fresh ones; those of before, as long as they hold, when they cannot be had.
    async fn load(&self) -> provider::Result {
        let result = self.fetch().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(fresh) => Ok(known.insert(fresh).clone()),
            Err(error) => {
                let holds = |old: &&Credentials| {
                    old.expiry().is_none_or(|expiry| expiry > SystemTime::now())
                };
                match known.as_ref().filter(holds) {
                    Some(old) => {
                        tracing::warn!(%error, "credentials could not be renewed");
                        Ok(old.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    async fn fetch(&self) -> provider::Result {
        let (chain, ask) = match &self.from {
            CredentialsFrom::Given(credentials) => return Ok(credentials.clone().into()),
            CredentialsFrom::Elsewhere(ask) => return self.asked(ask).await,
            CredentialsFrom::Configuration => (&self.chain, None),
            CredentialsFrom::ConfigurationOr(ask) => (&self.chain, Some(ask)),
        };
        match (chain.load().await, ask) {
            (Ok(loaded), _) => {
                tracing::info!(source = loaded.source, "found credentials");
                Ok(loaded.credentials)
            }
            (Err(ChainError::NeedsHost { .. }), Some(ask)) => self.asked(ask).await,
            // Where Python has none either, waiting will not help.
            (Err(ChainError::None(_)), Some(ask)) => {
                self.asked(ask).await.map_err(CredentialsError::not_loaded)
            }
            (Err(error), _) => Err(as_sdk(error)),
        }
    }

    async fn asked(&self, ask: &Ask) -> provider::Result {
        match ask.ask(self.service).await {
            Ok(found) => Ok(found.into()),
            Err(why) => Err(CredentialsError::provider_error(format!(
                "the flow's Python has no credentials: {why}"
            ))),
        }
    }
}

/// In the SDK's words, which say whether the same may work later.
fn as_sdk(error: ChainError) -> CredentialsError {
    match error {
        ChainError::Failed { lasting: false, .. } => CredentialsError::provider_error(error),
        ChainError::None(_) => CredentialsError::not_loaded(error),
        _ => CredentialsError::invalid_configuration(error),
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
