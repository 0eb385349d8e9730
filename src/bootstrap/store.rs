//! The datastore that the spec names: objects by key below its root.

use std::{io::Read, sync::Arc};

use model::spec::StoreAddress;

use ureq::http::HeaderMap;

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

/// An object with what the store says of it.
#[derive(Debug)]
pub(crate) struct Object {
    /// Of the answer.
    pub(crate) headers: HeaderMap,
    /// Its bytes.
    pub(crate) body: Vec<u8>,
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
        let object = self.get_with_headers(key, patience)?;
        Ok(object.map(|object| object.body))
    }

    /// The same, with the headers of the answer.
    pub(crate) fn get_with_headers(
        &self,
        key: &str,
        patience: Patience,
    ) -> Result<Option<Object>, S3Error> {
        self.read("GET", key, patience)
    }

    /// Whether there is such an object.
    pub(crate) fn exists(&self, key: &str, patience: Patience) -> Result<bool, S3Error> {
        Ok(self.read("HEAD", key, patience)?.is_some())
    }

    fn read(
        &self,
        method: &'static str,
        key: &str,
        patience: Patience,
    ) -> Result<Option<Object>, S3Error> {
        let key = self.full_key(key);
        let call = Call {
            method,
            bucket: &self.bucket,
            key: &key,
            headers: Vec::new(),
            body: None,
            patience,
        };
        let read = |headers: &HeaderMap, bytes: &mut dyn Read| {
            let mut body = Vec::new();
            bytes.read_to_end(&mut body)?;
            Ok(Object {
                headers: headers.clone(),
                body,
            })
        };
        match self.s3.call_with_headers(&call, read) {
            Ok(object) => Ok(Some(object)),
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
