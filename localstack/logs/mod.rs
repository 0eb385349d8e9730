//! The CloudWatch Logs API, as far as logs of jobs need it.

use std::{io, sync::Arc};

use crate::{ApiError, Context, Reply};

/// CloudWatch Logs of one stack: what its jobs print.
#[derive(Debug)]
pub struct Logs {
    context: Arc<Context>,
}

impl Logs {
    /// Reads what is below `<folder>/logs`.
    pub fn open(context: Arc<Context>) -> io::Result<Self> {
        Ok(Self { context })
    }

    /// Carries out one operation (what follows the dot in `X-Amz-Target`); `body` is its JSON.
    pub async fn call(&self, operation: &str, body: &[u8]) -> Reply {
        let _ = (body, &self.context);
        Err(ApiError::server(format!("{operation} is not there yet")))
    }
}
