//! What definitions and overrides say of a container, and what AWS refuses of it (API reference, ContainerProperties,
//! ContainerOverrides, ResourceRequirement, RetryStrategy, JobTimeout).

use serde_json::{Map, Value};

use super::{
    job::Needs,
    request::{Request, text_of},
    resource::Platform,
    retry::RetryStrategy,
};
use crate::ApiError;

const MIN_MEMORY_MIB: u64 = 4;
const MAX_ATTEMPTS: i64 = 10;
const MAX_RULES: usize = 5;
const PATTERN_LENGTH: usize = 512;
const MIN_TIMEOUT_SECONDS: i64 = 60;

/// Memory that Fargate has for a number of thousandths of vCPUs: least, most and step, in MiB.
const FARGATE: [(u64, u64, u64, u64); 7] = [
    (500, 1024, 4096, 1024),
    (1000, 2048, 8192, 1024),
    (2000, 4096, 16384, 1024),
    (4000, 8192, 30720, 1024),
    (8000, 16384, 61440, 4096),
    (16000, 32768, 122_880, 8192),
    (250, 512, 2048, 512),
];
const FARGATE_32: [u64; 3] = [61440, 122_880, 249_856];

/// The variables of a container's `environment`.
pub(super) fn variables(
    container: &Map<String, Value>,
) -> impl Iterator<Item = (String, String)> + '_ {
    let list = container.get("environment").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|variable| {
        let name = text_of(variable, "name")?;
        let value = text_of(variable, "value").unwrap_or_default();
        Some((name.to_owned(), value.to_owned()))
    })
}

/// The value of a resource requirement.
fn requirement<'a>(container: &'a Map<String, Value>, kind: &str) -> Option<&'a str> {
    let list = container.get("resourceRequirements")?.as_array()?;
    let found = list
        .iter()
        .find(|requirement| text_of(requirement, "type") == Some(kind))?;
    text_of(found, "value")
}

/// What a job needs: the override's requirements, then the definition's, then the keys of old.
pub(super) fn needs(
    definition: &Map<String, Value>,
    overrides: &Map<String, Value>,
    platform: Platform,
) -> Result<Needs, ApiError> {
    let find = |kind: &str, old: Option<&str>| {
        let new = requirement(overrides, kind)
            .or(requirement(definition, kind))
            .map(str::to_owned);
        let old = old.and_then(|old| {
            [overrides, definition]
                .into_iter()
                .find_map(|from| from.get(old)?.as_u64())
        });
        new.or(old.map(|old| old.to_string()))
    };
    let vcpu =
        find("VCPU", Some("vcpus")).ok_or_else(|| ApiError::client("vCPU is not provided."))?;
    let memory = find("MEMORY", Some("memory"))
        .ok_or_else(|| ApiError::client("Memory is not provided."))?;
    let needs = Needs {
        milli_vcpus: milli_vcpus(&vcpu, platform)?,
        memory_mib: whole("MEMORY", &memory, MIN_MEMORY_MIB)?,
        gpus: match find("GPU", None) {
            Some(gpu) => whole("GPU", &gpu, 1)?,
            None => 0,
        },
    };
    if platform == Platform::Fargate {
        check_fargate(needs)?;
    }
    Ok(needs)
}

fn milli_vcpus(text: &str, platform: Platform) -> Result<u64, ApiError> {
    if platform == Platform::Ec2 {
        return Ok(whole("VCPU", text, 1)? * 1000);
    }
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| (0.0..1000.0).contains(number));
    number
        .map(|number| (number * 1000.0).round() as u64)
        .ok_or_else(|| invalid("VCPU", text, "a number"))
}

fn whole(kind: &str, text: &str, least: u64) -> Result<u64, ApiError> {
    let number = text
        .parse::<u64>()
        .ok()
        .filter(|number| (least..1 << 40).contains(number));
    number.ok_or_else(|| invalid(kind, text, &format!("an integer of at least {least}")))
}

fn invalid(kind: &str, text: &str, expected: &str) -> ApiError {
    ApiError::client(format!(
        "resourceRequirements of type {kind} must be {expected}; got '{text}'"
    ))
}

fn check_fargate(needs: Needs) -> Result<(), ApiError> {
    if needs.gpus > 0 {
        return Err(ApiError::client(
            "GPU resource requirements are not supported for FARGATE jobs.",
        ));
    }
    let memory = needs.memory_mib;
    let row = FARGATE
        .iter()
        .find(|(vcpus, ..)| *vcpus == needs.milli_vcpus);
    let fits = match (needs.milli_vcpus, row) {
        (250, _) => [512, 1024, 2048].contains(&memory),
        (32000, _) => FARGATE_32.contains(&memory),
        (_, Some((_, least, most, step))) => {
            (*least..=*most).contains(&memory) && memory.is_multiple_of(*step)
        }
        (_, None) => false,
    };
    if fits {
        return Ok(());
    }
    let vcpus = needs.milli_vcpus as f64 / 1000.0;
    Err(ApiError::client(format!(
        "Fargate resource requirements ({vcpus:.2} vCPU, {memory} MiB) not valid."
    )))
}

/// Refuses what no container can have.
pub(super) fn check(container: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, _) in variables(container) {
        if name.starts_with("AWS_BATCH") {
            return Err(ApiError::client(format!(
                "Environment variable name '{name}' is not allowed: names that begin with AWS_BATCH are reserved."
            )));
        }
    }
    let list = container.get("environment").and_then(Value::as_array);
    let is_nameless = |variable: &Value| text_of(variable, "name").is_none_or(str::is_empty);
    if list.into_iter().flatten().any(is_nameless) {
        return Err(ApiError::client(
            "Environment variable name must not be empty.",
        ));
    }
    let command = container.get("command").and_then(Value::as_array);
    if command
        .into_iter()
        .flatten()
        .any(|word| word.as_str() == Some(""))
    {
        return Err(ApiError::client(
            "Container command must not contain empty strings.",
        ));
    }
    let kinds = container
        .get("resourceRequirements")
        .and_then(Value::as_array);
    let mut kinds: Vec<&str> = kinds
        .into_iter()
        .flatten()
        .filter_map(|value| text_of(value, "type"))
        .collect();
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ApiError::client(
            "resourceRequirements must not contain duplicate types.",
        ));
    }
    Ok(())
}

/// `retryStrategy` of a request.
pub(super) fn retry_strategy(request: &Request) -> Result<Option<RetryStrategy>, ApiError> {
    let Some(given) = request.object("retryStrategy") else {
        return Ok(None);
    };
    let attempts = given.get("attempts").and_then(Value::as_i64);
    if attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS).contains(&attempts)) {
        return Err(ApiError::client(
            "RetryStrategy attempts must be between 1 and 10.",
        ));
    }
    let strategy: RetryStrategy = serde_json::from_value(Value::Object(given.clone()))
        .map_err(|error| ApiError::client(format!("retryStrategy: {error}")))?;
    let rules = &strategy.evaluate_on_exit;
    if rules.len() > MAX_RULES {
        return Err(ApiError::client(
            "evaluateOnExit must contain at most 5 conditions.",
        ));
    }
    if !rules.is_empty() && attempts.is_none() {
        return Err(ApiError::client(
            "attempts must be specified when evaluateOnExit is specified.",
        ));
    }
    for rule in rules {
        let mut texts = [&rule.on_status_reason, &rule.on_reason]
            .into_iter()
            .flatten();
        let mut code = rule.on_exit_code.iter();
        let is_text = |c: char| c.is_ascii_alphanumeric() || ".:() \t\n\r".contains(c);
        let good = |text: &String, fits: &dyn Fn(char) -> bool| {
            let body = text.strip_suffix('*').unwrap_or(text);
            text.len() <= PATTERN_LENGTH && !text.is_empty() && body.chars().all(fits)
        };
        if !texts.all(|text| good(text, &is_text)) {
            return Err(ApiError::client(
                "onReason and onStatusReason can contain letters, numbers, periods, colons and white space, and can end with an asterisk.",
            ));
        }
        if !code.all(|text| good(text, &|c| c.is_ascii_digit())) {
            return Err(ApiError::client(
                "onExitCode can contain only numbers, and can end with an asterisk.",
            ));
        }
    }
    Ok(Some(strategy))
}

/// `timeout` of a request, in seconds.
pub(super) fn timeout(request: &Request) -> Result<Option<u32>, ApiError> {
    let Some(given) = request.object("timeout") else {
        return Ok(None);
    };
    match given.get("attemptDurationSeconds").and_then(Value::as_i64) {
        None => Ok(None),
        Some(seconds) if seconds < MIN_TIMEOUT_SECONDS => Err(ApiError::client(format!(
            "attemptDurationSeconds must be at least {MIN_TIMEOUT_SECONDS} seconds."
        ))),
        Some(seconds) => Ok(Some(u32::try_from(seconds).unwrap_or(u32::MAX))),
    }
}
