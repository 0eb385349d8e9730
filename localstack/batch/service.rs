//! The service.

use std::{io, sync::Arc};

use super::JobCredentials;
use crate::{ApiError, Context, Reply};

/// AWS Batch of one stack.
#[derive(Debug)]
pub struct Batch {
    context: Arc<Context>,
    credentials: Arc<dyn JobCredentials>,
}

impl Batch {
    /// Opens `<folder>/batch` and replays its journal.
    pub fn open(
        context: Arc<Context>,
        credentials: Arc<dyn JobCredentials>,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            context,
            credentials,
        }))
    }

    /// Carries out one operation, in AWS's spelling; `body` is its JSON. Called from a tokio task.
    pub async fn call(&self, operation: &str, body: &[u8]) -> Reply {
        let _ = (body, &self.context, &self.credentials);
        Err(ApiError::server(format!("{operation} is not there yet")))
    }

    /// Ends all jobs' processes; the stack stops.
    pub async fn stop(&self) {}
}
