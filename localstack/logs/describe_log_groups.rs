//! DescribeLogGroups.

use serde_json::{Map, Value, json};

use super::{GROUP, Logs, service::refusal};
use crate::Reply;

impl Logs {
    /// The one group, if it is asked for.
    pub(super) fn describe_log_groups(&self, request: &Map<String, Value>) -> Reply {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        if text("logGroupNamePrefix").is_some() && text("logGroupNamePattern").is_some() {
            let text = "logGroupNamePrefix and logGroupNamePattern exclude each other".to_owned();
            return Err(refusal("InvalidParameterException", text));
        }
        let is_asked = text("logGroupNamePrefix").is_none_or(|prefix| GROUP.starts_with(prefix))
            && text("logGroupNamePattern").is_none_or(|part| GROUP.contains(part));
        let arn = self.context.arn("logs", &format!("log-group:{GROUP}"));
        let group = json!({
            "logGroupName": GROUP, "creationTime": 0, "metricFilterCount": 0, "storedBytes": 0,
            "arn": format!("{arn}:*"), "logGroupArn": arn,
        });
        let groups: Vec<Value> = is_asked.then_some(group).into_iter().collect();
        Ok(json!({"logGroups": groups}))
    }
}
