//! How many calls of AWS Batch this run may make.

use std::env;

use anyhow::bail;
use aws::batch::{CallsPerSecond, CallsPerSecondError};

/// Environment variable: calls of AWS Batch per second, all actions together.
const BATCH_TPS: &str = "FERROFLOW_BATCH_TPS";

/// What [`BATCH_TPS`] says, or the usual.
pub(crate) fn calls_per_second() -> anyhow::Result<CallsPerSecond> {
    let Some(text) = env::var_os(BATCH_TPS).filter(|text| !text.is_empty()) else {
        return Ok(CallsPerSecond::default());
    };
    match text.to_string_lossy().parse() {
        Ok(all) => Ok(all),
        Err(why @ CallsPerSecondError) => bail!(
            "{BATCH_TPS} is `{}`\nhint: it is calls of AWS Batch per second, {why}; 25 unless it is set",
            text.display()
        ),
    }
}
