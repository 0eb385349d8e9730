//! One page of a listing: a scan of an ordered map that costs as much as the page is long.

use std::{collections::BTreeMap, ops::Bound};

/// What a listing has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a, V> {
    /// A key and its value.
    Key(&'a str, &'a V),
    /// What keys up to the delimiter have in common.
    CommonPrefix(&'a str),
}

impl<'a, V> Entry<'a, V> {
    /// By which it is ordered, and after which the next page begins.
    pub(super) fn name(&self) -> &'a str {
        match self {
            Self::Key(name, _) | Self::CommonPrefix(name) => name,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    /// Only what is greater; a common prefix that is equal is not listed again.
    pub(super) after: &'a str,
    pub(super) limit: usize,
}

/// The entries, and whether there are more.
pub(super) fn page<'a, V>(
    map: &'a BTreeMap<Box<str>, V>,
    query: &Query<'_>,
) -> (Vec<Entry<'a, V>>, bool) {
    let mut entries = Vec::new();
    let mut next = first(query);
    while let Some((key, value)) = map
        .range::<str, _>((next.as_ref().map(String::as_str), Bound::Unbounded))
        .next()
    {
        if !key.starts_with(query.prefix) {
            break;
        }
        let common = common_prefix(key, query);
        let skipped = common.is_some() && common == Some(query.after);
        if !skipped {
            if entries.len() == query.limit {
                return (entries, query.limit > 0);
            }
            entries.push(common.map_or(Entry::Key(key, value), Entry::CommonPrefix));
        }
        next = match common.map(past) {
            None => Bound::Excluded(key.to_string()),
            Some(Some(bound)) => Bound::Included(bound),
            Some(None) => break,
        };
    }
    (entries, false)
}

/// Where to begin.
fn first(query: &Query<'_>) -> Bound<String> {
    if query.after >= query.prefix && !query.after.is_empty() {
        Bound::Excluded(query.after.to_owned())
    } else {
        Bound::Included(query.prefix.to_owned())
    }
}

fn common_prefix<'k>(key: &'k str, query: &Query<'_>) -> Option<&'k str> {
    let delimiter = query.delimiter?;
    let rest = &key[query.prefix.len()..];
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(&key[..end])
}

/// The least text that is greater than all that begin with `prefix`. Text is ordered as its characters are.
fn past(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The range of characters steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(keys: &[&str]) -> BTreeMap<Box<str>, u8> {
        keys.iter().map(|key| ((*key).into(), 0)).collect()
    }

    fn names(map: &BTreeMap<Box<str>, u8>, query: Query<'_>) -> (Vec<String>, bool) {
        let (entries, more) = page(map, &query);
        let name = |entry: &Entry<'_, u8>| match entry {
            Entry::Key(key, _) => (*key).to_owned(),
            Entry::CommonPrefix(prefix) => format!("[{prefix}]"),
        };
        (entries.iter().map(name).collect(), more)
    }

    /// All pages of one entry each, which must be the same as one page.
    fn walked(map: &BTreeMap<Box<str>, u8>, query: Query<'_>) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = query.after.to_owned();
        loop {
            let query = Query {
                after: &after,
                limit: 1,
                ..query
            };
            let (entries, more) = page(map, &query);
            all.extend(names(map, query).0);
            match entries.last() {
                Some(entry) if more => after = entry.name().to_owned(),
                _ => return all,
            }
        }
    }

    fn check(keys: &[&str], query: Query<'_>, expected: &[&str]) {
        let map = map(keys);
        let query = Query {
            limit: 1000,
            ..query
        };
        assert_eq!(
            names(&map, query),
            (expected.iter().map(ToString::to_string).collect(), false)
        );
        assert_eq!(walked(&map, query), expected);
    }

    const KEYS: &[&str] = &[
        "a",
        "a/",
        "a//b",
        "a/1",
        "a/2/x",
        "a0",
        "b/x",
        "b\u{10FFFF}/y",
        "ü/z",
    ];

    #[test]
    fn everything_in_byte_order() {
        check(KEYS, Query::default(), KEYS);
    }

    #[test]
    fn keys_are_rolled_up_at_the_delimiter() {
        let query = Query {
            delimiter: Some("/"),
            ..Query::default()
        };
        check(
            KEYS,
            query,
            &["a", "[a/]", "a0", "[b/]", "[b\u{10FFFF}/]", "[ü/]"],
        );
        let query = Query {
            prefix: "a/",
            ..query
        };
        check(KEYS, query, &["a/", "[a//]", "a/1", "[a/2/]"]);
    }

    #[test]
    fn a_delimiter_may_be_any_text() {
        let query = Query {
            delimiter: Some("\u{10FFFF}"),
            ..Query::default()
        };
        check(
            &["x", "x\u{10FFFF}", "x\u{10FFFF}1", "y"],
            query,
            &["x", "[x\u{10FFFF}]", "y"],
        );
        let query = Query {
            delimiter: Some("--"),
            prefix: "r-",
            ..Query::default()
        };
        check(
            &["r", "r---x", "r--a", "r-1--b", "r-1--c"],
            query,
            &["[r---]", "r--a", "[r-1--]"],
        );
    }

    #[test]
    fn it_begins_after_what_was_said() {
        let query = Query {
            after: "a/1",
            ..Query::default()
        };
        check(KEYS, query, &KEYS[4..]);
        let query = Query {
            prefix: "b",
            after: "a",
            ..Query::default()
        };
        check(KEYS, query, &["b/x", "b\u{10FFFF}/y"]);
        let query = Query {
            delimiter: Some("/"),
            after: "a/",
            ..Query::default()
        };
        check(KEYS, query, &["a0", "[b/]", "[b\u{10FFFF}/]", "[ü/]"]);
        check(
            KEYS,
            Query {
                after: "zz",
                prefix: "a",
                ..Query::default()
            },
            &[],
        );
    }

    #[test]
    fn no_entries_are_no_page_to_continue() {
        let query = Query {
            limit: 0,
            ..Query::default()
        };
        assert_eq!(names(&map(KEYS), query), (vec![], false));
    }
}
