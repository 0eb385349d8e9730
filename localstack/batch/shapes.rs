//! What requests look like: members, their types and the values of enumerations, as the service model batch/2016-08-10
//! has them. `shapes.txt` holds a line for each shape: `{ member!: Type }` (`!` = required), `[ Type ]` a list,
//! `< Type >` a map, `| A | B` an enumeration. A request has the operation's name, its answer that and `Reply`.

use std::{collections::HashMap, sync::LazyLock};

use serde_json::Value;

use crate::ApiError;

static SHAPES: LazyLock<HashMap<&'static str, Shape>> = LazyLock::new(|| {
    include_str!("shapes.txt")
        .lines()
        .filter_map(shape)
        .collect()
});

#[derive(Debug)]
enum Shape {
    Structure(Vec<Member>),
    List(&'static str),
    Map(&'static str),
    Enumeration(Vec<&'static str>),
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    required: bool,
    shape: &'static str,
}

fn shape(line: &'static str) -> Option<(&'static str, Shape)> {
    let (name, rest) = line.split_once(' ')?;
    let inner = |end: char| rest.get(1..)?.strip_suffix(end).map(str::trim);
    let shape = match rest.chars().next()? {
        '{' => {
            let members = inner('}')?.split(", ").filter_map(|member| {
                let (name, shape) = member.split_once(": ")?;
                let required = name.ends_with('!');
                let name = name.trim_end_matches('!');
                Some(Member {
                    name,
                    required,
                    shape,
                })
            });
            Shape::Structure(members.collect())
        }
        '[' => Shape::List(inner(']')?),
        '<' => Shape::Map(inner('>')?),
        _ => Shape::Enumeration(rest.split('|').map(str::trim).skip(1).collect()),
    };
    Some((name, shape))
}

/// Takes out what the model does not have and what is null: AWS passes over both.
pub(super) fn prune(shape: &str, value: &mut Value) {
    match (SHAPES.get(shape), value) {
        (Some(Shape::Structure(members)), Value::Object(object)) => {
            let known = |name: &str| members.iter().find(|member| member.name == name);
            object.retain(|name, value| !value.is_null() && known(name).is_some());
            for (name, value) in object {
                if let Some(member) = known(name) {
                    prune(member.shape, value);
                }
            }
        }
        (Some(Shape::List(member)), Value::Array(items)) => {
            for item in items {
                prune(member, item);
            }
        }
        (Some(Shape::Map(member)), Value::Object(object)) => {
            for item in object.values_mut() {
                prune(member, item);
            }
        }
        _ => {}
    }
}

/// Checks the request of an operation.
pub(super) fn check(operation: &str, request: &Value) -> Result<(), ApiError> {
    check_value(operation, request, "")
}

/// Whether an answer is as the model has it, with no member that the model does not have and none that is null. Members that
/// AWS itself leaves out are let off.
pub(super) fn is_reply(operation: &str, reply: &Value) -> Result<(), String> {
    check_value(&format!("{operation}Reply"), &without_let_offs(reply), "")
        .map_err(|error| error.message)?;
    known_only(&format!("{operation}Reply"), reply, "")
}

/// `startedAt` of a job is required by the model, and is not there before it has started.
fn without_let_offs(reply: &Value) -> Value {
    let mut reply = reply.clone();
    for job in reply
        .get_mut("jobs")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(job) = job.as_object_mut() {
            job.entry("startedAt").or_insert(0.into());
        }
    }
    reply
}

fn known_only(shape: &str, value: &Value, path: &str) -> Result<(), String> {
    if value.is_null() {
        return Err(format!("{path} is null"));
    }
    match (SHAPES.get(shape), value) {
        (Some(Shape::Structure(members)), Value::Object(object)) => {
            object.iter().try_for_each(|(name, value)| {
                let path = joined(path, name);
                match members.iter().find(|member| member.name == name) {
                    Some(member) => known_only(member.shape, value, &path),
                    None => Err(format!("{path} is not in the model")),
                }
            })
        }
        (Some(Shape::List(member)), Value::Array(items)) => items
            .iter()
            .try_for_each(|item| known_only(member, item, path)),
        (Some(Shape::Map(member)), Value::Object(object)) => object
            .values()
            .try_for_each(|item| known_only(member, item, path)),
        _ => Ok(()),
    }
}

fn check_value(shape: &str, value: &Value, path: &str) -> Result<(), ApiError> {
    let fits = match (shape, value) {
        ("String", Value::String(_))
        | ("Boolean", Value::Bool(_))
        | ("Float", Value::Number(_)) => true,
        ("Integer", Value::Number(number)) => number.is_i64(),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    match (SHAPES.get(shape), value) {
        (Some(Shape::Structure(members)), Value::Object(object)) => {
            for member in members {
                match object.get(member.name) {
                    None | Some(Value::Null) if member.required => {
                        return Err(ApiError::client(format!(
                            "{} is required.",
                            joined(path, member.name)
                        )));
                    }
                    None | Some(Value::Null) => {}
                    Some(value) => check_value(member.shape, value, &joined(path, member.name))?,
                }
            }
            Ok(())
        }
        (Some(Shape::List(member)), Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_value(member, item, &format!("{path}[{index}]"))),
        (Some(Shape::Map(member)), Value::Object(object)) => object
            .iter()
            .try_for_each(|(name, item)| check_value(member, item, &joined(path, name))),
        (Some(Shape::Enumeration(values)), Value::String(text)) => {
            // AWS takes the actions of evaluateOnExit in any case (API reference, EvaluateOnExit).
            let known = |value: &&&str| {
                **value == text.as_str()
                    || (shape == "RetryAction" && value.eq_ignore_ascii_case(text))
            };
            if values.iter().any(|value| known(&value)) {
                return Ok(());
            }
            let values = values.join(", ");
            Err(ApiError::client(format!(
                "Value '{text}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{values}]"
            )))
        }
        _ => Err(wrong_type(shape, path)),
    }
}

fn wrong_type(shape: &str, path: &str) -> ApiError {
    let expected = match (shape, SHAPES.get(shape)) {
        (_, Some(Shape::Structure(_) | Shape::Map(_))) => "an object",
        (_, Some(Shape::List(_))) => "a list",
        ("Integer", _) => "an integer",
        ("Boolean", _) => "a boolean",
        ("Float", _) => "a number",
        _ => "a string",
    };
    let path = if path.is_empty() { "the request" } else { path };
    ApiError {
        status: 400,
        code: "SerializationException",
        message: format!("{path} must be {expected}"),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(operation: &str, request: Value) -> String {
        check(operation, &request).unwrap_err().message
    }

    #[test]
    fn every_shape_that_is_named_is_there() {
        let basic = ["String", "Integer", "Boolean", "Float"];
        let known = |name: &&str| basic.contains(name) || SHAPES.contains_key(*name);
        for (name, shape) in &*SHAPES {
            let named: Vec<&str> = match shape {
                Shape::Structure(members) => members.iter().map(|member| member.shape).collect(),
                Shape::List(member) | Shape::Map(member) => vec![member],
                Shape::Enumeration(values) => {
                    assert!(!values.is_empty(), "{name}");
                    vec![]
                }
            };
            assert!(named.iter().all(known), "{name}: {named:?}");
        }
        assert_eq!(SHAPES.len(), include_str!("shapes.txt").lines().count());
    }

    #[test]
    fn requests_are_held_against_their_shapes() {
        let good = json!({"jobName": "a", "jobQueue": "q", "jobDefinition": "d", "unknown": 1,
            "retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "retry"}]}});
        check("SubmitJob", &good).unwrap();
        let mut pruned = json!({"jobName": "a", "unknown": 1, "timeout": null, "dependsOn": [{"jobId": "x", "type": null}]});
        prune("SubmitJob", &mut pruned);
        assert_eq!(
            pruned,
            json!({"jobName": "a", "dependsOn": [{"jobId": "x"}]})
        );
        assert_eq!(
            refusal("SubmitJob", json!({"jobName": "a", "jobQueue": "q"})),
            "jobDefinition is required."
        );
        let mut bad = good.clone();
        bad["arrayProperties"] = json!({"size": "3"});
        assert_eq!(
            refusal("SubmitJob", bad),
            "arrayProperties.size must be an integer"
        );
        let mut bad = good.clone();
        bad["containerOverrides"] =
            json!({"resourceRequirements": [{"type": "TPU", "value": "1"}]});
        let text = refusal("SubmitJob", bad);
        assert!(
            text.contains("'containerOverrides.resourceRequirements[0].type'"),
            "{text}"
        );
        let reply = json!({"jobName": "a", "jobId": "b"});
        is_reply("SubmitJob", &reply).unwrap();
        let unknown = json!({"jobName": "a", "jobId": "b", "other": 1});
        assert_eq!(
            is_reply("SubmitJob", &unknown).unwrap_err(),
            "other is not in the model"
        );
        let null = json!({"jobName": "a", "jobId": "b", "jobArn": null});
        assert_eq!(is_reply("SubmitJob", &null).unwrap_err(), "jobArn is null");
        assert_eq!(
            refusal("SubmitJob", json!([])),
            "the request must be an object"
        );
    }
}
