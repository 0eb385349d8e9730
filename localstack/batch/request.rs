//! Reading of requests whose shapes have been checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{ApiError, Caller, faults::Fault};

/// What belongs to a call beside its body.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Who asks.
    pub by: Caller,
    /// What is to go wrong with it, as far as it is the service that does that.
    pub fault: Option<Fault>,
}

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) members: Map<String, Value>,
    pub(super) by: Caller,
    pub(super) fault: Option<Fault>,
}

impl From<Map<String, Value>> for Request {
    fn from(members: Map<String, Value>) -> Self {
        Self {
            members,
            ..Self::default()
        }
    }
}

impl Request {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// A required text: its presence was checked with the shape.
    pub(super) fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.members.get(name)?.as_i64()
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.members.get(name)?.as_bool()
    }

    pub(super) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.members.get(name)?.as_object()
    }

    pub(super) fn list(&self, name: &str) -> &[Value] {
        let list = self.members.get(name).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.list(name).iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    pub(super) fn map(&self, name: &str) -> BTreeMap<String, String> {
        self.object(name).map(text_map).unwrap_or_default()
    }

    /// These members, if they are there.
    pub(super) fn given(&self, names: &[&str]) -> Map<String, Value> {
        let given = names.iter().filter_map(|name| {
            let value = self.members.get(*name).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        });
        given.collect()
    }

    /// `maxResults` and `nextToken`: how many, and where to begin.
    pub(super) fn page(&self, most: usize) -> Result<(usize, Option<u64>), ApiError> {
        let size = match self.integer("maxResults") {
            None => most,
            Some(asked) => match usize::try_from(asked) {
                Ok(asked) if (1..=most).contains(&asked) => asked,
                _ => {
                    return Err(ApiError::client(format!(
                        "maxResults must be between 1 and {most}."
                    )));
                }
            },
        };
        let start = match self.text("nextToken") {
            None | Some("") => None,
            Some(token) => {
                let number = u64::from_str_radix(token.trim_start_matches("page-"), 16);
                Some(number.map_err(|_| ApiError::client("Invalid nextToken."))?)
            }
        };
        Ok((size, start))
    }
}

/// The token of a page that begins there.
pub(super) fn token(start: u64) -> String {
    format!("page-{start:016x}")
}

pub(super) fn text_map(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let texts = map
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// `text`, if the value has one there.
pub(super) fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// One page of named things, in their order.
pub(super) fn page_of<T>(all: Vec<T>, size: usize, start: Option<u64>) -> (Vec<T>, Option<String>) {
    let start = start.unwrap_or(0) as usize;
    let more = all.len() > start.saturating_add(size);
    let page = all.into_iter().skip(start).take(size).collect();
    (page, more.then(|| token((start + size) as u64)))
}
