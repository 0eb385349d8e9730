//! Specs of the children of an array job. They differ in a few values only, so that the first one's is written whole, and
//! of each child what differs from it. A child reads as much whatever the size of its array: the first spec, its own entry
//! of a table, and its own differences.
//!
//! The container override, one for all children, has the digest of the first spec, and a key: each entry has an HMAC of its
//! child's differences. So nobody who can only write to the datastore can change what a child runs.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::spec::TaskSpec;

/// Children that an array can have (AWS Batch user guide, "Array jobs").
pub const MAX_CHILDREN: usize = 10_000;

/// The fewest.
pub const MIN_CHILDREN: usize = 2;

/// Bytes of an entry: offset from the table's beginning (8, big-endian), length (4), HMAC.
const ENTRY: u64 = 44;

/// The key of an array's entries.
#[derive(Clone, PartialEq, Eq)]
pub struct ArrayKey(pub [u8; 32]);

/// Where the table of an array is, and how its entries are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayTable {
    /// First byte, from the beginning of the object.
    pub offset: u64,
    /// How many children there are.
    pub children: u32,
    /// Of the entries.
    pub key: ArrayKey,
}

/// Where the differences of a child are.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// First byte, from the beginning of the object.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    mac: Vec<u8>,
}

/// The differences of a child cannot be put into the first spec.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// Not JSON, or not of the form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A place that the first spec does not have.
    #[error("there is no `{0}` in the array's first spec")]
    NoPlace(String),
}

impl fmt::Debug for ArrayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArrayKey(..)")
    }
}

impl ArrayKey {
    fn mac(&self, index: u32, differences: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "an HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of 32 bytes");
        mac.update(&index.to_be_bytes());
        mac.update(differences);
        mac
    }
}

impl ArrayTable {
    /// Bytes of a child's entry: first one, and how many. None for a child that the array does not have.
    pub fn entry_range(&self, index: u32) -> Option<(u64, u64)> {
        if index >= self.children {
            return None;
        }
        let at = ENTRY.checked_mul(u64::from(index))?;
        Some((self.offset.checked_add(at)?, ENTRY))
    }

    /// Reads an entry. None when it is no such thing.
    pub fn entry(&self, bytes: &[u8]) -> Option<Entry> {
        let bytes: &[u8; ENTRY as usize] = bytes.try_into().ok()?;
        let (offset, rest) = bytes.split_first_chunk()?;
        let (length, mac) = rest.split_first_chunk()?;
        Some(Entry {
            offset: self.offset.checked_add(u64::from_be_bytes(*offset))?,
            length: u64::from(u32::from_be_bytes(*length)),
            mac: mac.to_vec(),
        })
    }

    /// Whether these differences are the child's, as the launcher wrote them.
    pub fn is_genuine(&self, index: u32, entry: &Entry, differences: &[u8]) -> bool {
        let mac = self.key.mac(index, differences);
        mac.verify_slice(&entry.mac).is_ok()
    }
}

/// `offset+children:key`, the key in hexadecimal.
impl fmt::Display for ArrayTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = hex::encode(self.key.0);
        write!(f, "{}+{}:{key}", self.offset, self.children)
    }
}

impl FromStr for ArrayTable {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parse = || {
            let (offset, rest) = text.split_once('+')?;
            let (children, key) = rest.split_once(':')?;
            Some(Self {
                offset: offset.parse().ok()?,
                children: children.parse().ok()?,
                key: ArrayKey(hex::decode(key).ok()?.try_into().ok()?),
            })
        };
        parse().ok_or(())
    }
}

/// An array's part of a record.
#[derive(Debug)]
pub struct ArraySpecs {
    /// The first child's spec.
    pub first: Vec<u8>,
    /// The table, and behind it the differences of all children, the first one's too.
    pub table: Vec<u8>,
}

/// Writes the specs of an array with so many children.
pub fn encode<E: From<serde_json::Error>>(
    children: usize,
    specs: impl Iterator<Item = Result<TaskSpec, E>>,
    key: &ArrayKey,
) -> Result<ArraySpecs, E> {
    let mut first = None;
    let mut table = Vec::new();
    let mut all = Vec::new();
    let start = ENTRY * children as u64;
    for (index, spec) in (0_u32..).zip(specs) {
        let spec = serde_json::to_value(spec?)?;
        let first = first.get_or_insert_with(|| spec.clone());
        let mut differences = Vec::new();
        differ(first, spec, String::new(), &mut differences);
        let differences = serde_json::to_vec(&differences)?;
        table.extend((start + all.len() as u64).to_be_bytes());
        table.extend((differences.len() as u32).to_be_bytes());
        table.extend(key.mac(index, &differences).finalize().into_bytes());
        all.extend(differences);
    }
    table.extend(all);
    Ok(ArraySpecs {
        first: serde_json::to_vec(&first)?,
        table,
    })
}

/// The spec of a child.
pub fn decode(first: &[u8], differences: &[u8]) -> Result<TaskSpec, PatchError> {
    let mut spec: Value = serde_json::from_slice(first)?;
    apply(&mut spec, serde_json::from_slice(differences)?)?;
    Ok(serde_json::from_value(spec)?)
}

/// What has to be put where (RFC 6901), all of it places that are there.
type Differences = Vec<(String, Value)>;

fn differ(from: &Value, to: Value, at: String, found: &mut Differences) {
    match (from, to) {
        (from, to) if *from == to => {}
        (Value::Object(from), Value::Object(to))
            if from.len() == to.len() && to.keys().all(|name| from.contains_key(name)) =>
        {
            for (name, value) in to {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                differ(&from[&name], value, place, found);
            }
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                differ(from, to, format!("{at}/{index}"), found);
            }
        }
        (_, to) => found.push((at, to)),
    }
}

fn apply(value: &mut Value, differences: Differences) -> Result<(), PatchError> {
    for (place, new) in differences {
        match value.pointer_mut(&place) {
            Some(there) => *there = new,
            None => return Err(PatchError::NoPlace(place)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a/~é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab/~]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn differences_lead_from_one_to_the_other(from in any_json(), to in any_json()) {
            let mut found = Vec::new();
            differ(&from, to.clone(), String::new(), &mut found);
            let mut value = from;
            apply(&mut value, found).unwrap();
            prop_assert_eq!(value, to);
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let from = json!({"command": ["python", "-u", "--task-id", "1"], "same": "x".repeat(99), "time": 1});
        let to = json!({"command": ["python", "-u", "--task-id", "2"], "same": "x".repeat(99), "time": 1});
        let mut found = Vec::new();
        differ(&from, to, String::new(), &mut found);
        assert_eq!(found, [("/command/3".to_owned(), json!("2"))]);
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        let mut value = json!({"a": 1});
        let error = apply(&mut value, vec![("/b".to_owned(), json!(2))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no `/b` in the array's first spec"
        );
    }

    #[test]
    fn tables_are_told_in_the_override() {
        let table = ArrayTable {
            offset: 12,
            children: 10_000,
            key: ArrayKey([7; 32]),
        };
        let text = table.to_string();
        assert_eq!(text, format!("12+10000:{}", "07".repeat(32)));
        assert_eq!(text.parse(), Ok(table.clone()));
        for bad in ["", "1+2", "1+2:", "1+2:00", "x+2:00", &text[2..]] {
            assert_eq!(bad.parse::<ArrayTable>(), Err(()), "{bad}");
        }
        assert!(
            !format!("{table:?}").contains('7'),
            "a key is no text for logs"
        );
        assert_eq!(table.entry_range(9_999), Some((12 + 44 * 9_999, 44)));
        assert_eq!(table.entry_range(10_000), None);
    }
}
