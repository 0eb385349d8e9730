//! Who makes a call, for rules and for the history.

use http::HeaderMap;
use serde::Serialize;

/// Who makes a call, as far as its request tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// Access key id: the stack's own, or one of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Application id (`AWS_SDK_UA_APP_ID`, `sdk_ua_app_id` of the profile), which SDKs send as `app/<id>`: it tells two
    /// programs of the same kind apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Id of the job whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Which start of the job it is, as the lines about processes name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

impl Caller {
    /// What headers say of the program; whose key it is comes later.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let agent = text("user-agent");
        let app = ["x-amz-user-agent", "user-agent"]
            .into_iter()
            .filter_map(text)
            .flat_map(str::split_ascii_whitespace)
            .find_map(|word| word.strip_prefix("app/"));
        Self {
            agent: agent.map(str::to_owned),
            app: app.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Whether this text is in what is known of the caller.
    pub(crate) fn is(&self, part: &str) -> bool {
        let Self {
            key,
            agent,
            app,
            job,
            task: _,
        } = self;
        [key, agent, app, job]
            .into_iter()
            .flatten()
            .any(|text| text.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_by_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", "aws-sdk-rust/1.3 os/linux".parse().unwrap());
        let sdk = "aws-sdk-rust/1.3 app/launcher-a";
        headers.insert("x-amz-user-agent", sdk.parse().unwrap());
        let caller = Caller::of(&headers);
        assert_eq!(caller.agent.as_deref(), Some("aws-sdk-rust/1.3 os/linux"));
        assert_eq!(caller.app.as_deref(), Some("launcher-a"));
        assert!(caller.is("launcher-a") && caller.is("sdk-rust") && !caller.is("boto3"));
        assert!(!Caller::default().is(""));
    }
}
