//! `Ref::name` in commands (user guide, "Parameters").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{job::Submission, resource::JobDefinition};

const PREFIX: &str = "Ref::";

/// The command of a job: the override's, else the definition's, with parameters put in.
pub(super) fn command_of(submission: &Submission, definition: &JobDefinition) -> Vec<String> {
    let spec = &submission.spec;
    let command = [&spec.overrides, &definition.container]
        .into_iter()
        .map(words)
        .find(|command| !command.is_empty());
    let command = command.unwrap_or_default();
    command
        .into_iter()
        .map(|word| substituted(word, &spec.parameters))
        .collect()
}

fn words(properties: &Map<String, Value>) -> Vec<&str> {
    let command = properties.get("command").and_then(Value::as_array);
    command
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// References to parameters that there are not stay as they are.
fn substituted(word: &str, parameters: &BTreeMap<String, String>) -> String {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(PREFIX) {
        let (before, reference) = rest.split_at(at);
        let name = &reference[PREFIX.len()..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let (name, after) = name.split_at(end.unwrap_or(name.len()));
        text.push_str(before);
        match parameters.get(name) {
            Some(value) => text.push_str(value),
            None => text.push_str(&reference[..PREFIX.len() + name.len()]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_where_they_are_named() {
        let parameters = BTreeMap::from([
            ("in-file".to_owned(), "a.txt".to_owned()),
            ("n".to_owned(), "3".to_owned()),
        ]);
        let put = |word| substituted(word, &parameters);
        assert_eq!(put("Ref::in-file"), "a.txt");
        assert_eq!(put("x=Ref::n,Ref::in-file!"), "x=3,a.txt!");
        assert_eq!(put("Ref::other Ref::"), "Ref::other Ref::");
        assert_eq!(put("plain"), "plain");
    }
}
