//! Which datastore a run uses.

use std::sync::Arc;

use anyhow::{Result, bail};
use datastore::local::LocalStore;
use model::plan::{DatastoreKind, DatastoreSettings};

/// Opens the datastore of a plan.
pub(crate) fn open(settings: &DatastoreSettings) -> Result<Arc<LocalStore>> {
    match settings.kind {
        DatastoreKind::Local => Ok(Arc::new(LocalStore::new(&settings.root))),
        DatastoreKind::S3 => bail!("the engine cannot use the datastore `{}`", settings.root),
    }
}
