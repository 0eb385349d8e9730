//! The datastore that the spec names: objects by key below its root.

use std::{io::Read, sync::Arc};

use model::spec::StoreAddress;

use crate::{
    s3::{Call, Patience, Payload, S3},
    s3_error::S3Error,
};

/// A datastore.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    s3: Arc<S3>,
    bucket: String,
    prefix: String,
    encryption: Option<String>,
}

impl Store {
    /// The datastore at an address.
    pub(crate) fn new(s3: Arc<S3>, address: &StoreAddress) -> Self {
        Self {
            s3,
            bucket: address.bucket.clone(),
            prefix: address.prefix.trim_matches('/').to_owned(),
            encryption: address.server_side_encryption.clone(),
        }
    }

    /// The client, for objects that are named by URL.
    pub(crate) fn s3(&self) -> &S3 {
        &self.s3
    }

    /// Reads an object; `None` if there is none.
    pub(crate) fn get(&self, key: &str, patience: Patience) -> Result<Option<Vec<u8>>, S3Error> {
        let key = self.full_key(key);
        let call = Call {
            method: "GET",
            bucket: &self.bucket,
            key: &key,
            headers: Vec::new(),
            body: None,
            patience,
        };
        let read = |body: &mut dyn Read| {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes).map(|_| bytes)
        };
        match self.s3.call(&call, read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object.
    pub(crate) fn put(
        &self,
        key: &str,
        body: &dyn Payload,
        patience: Patience,
    ) -> Result<(), S3Error> {
        self.write(key, body, patience, Vec::new())
    }

    /// Writes an object that must not exist yet; `false` if it does.
    pub(crate) fn create(
        &self,
        key: &str,
        body: &dyn Payload,
        patience: Patience,
    ) -> Result<bool, S3Error> {
        let condition = vec![("if-none-match", "*".to_owned())];
        match self.write(key, body, patience, condition) {
            Ok(()) => Ok(true),
            Err(error) if error.status() == Some(412) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(
        &self,
        key: &str,
        body: &dyn Payload,
        patience: Patience,
        mut headers: Vec<(&'static str, String)>,
    ) -> Result<(), S3Error> {
        if let Some(encryption) = &self.encryption {
            headers.push(("x-amz-server-side-encryption", encryption.clone()));
        }
        let key = self.full_key(key);
        let call = Call {
            method: "PUT",
            bucket: &self.bucket,
            key: &key,
            headers,
            body: Some(body),
            patience,
        };
        self.s3
            .call(&call, |body| std::io::copy(body, &mut std::io::sink()))
            .map(drop)
    }

    fn full_key(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        }
    }
}
