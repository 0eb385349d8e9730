//! One call of Batch or Logs: faults before and after it, and a line in the history.

use std::sync::Arc;

use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use s3s::Body;
use serde_json::{Value, json};

use crate::{
    Caller, Context, Reply,
    batch::{Asked, Batch},
    faults::{Event, Fault},
    logs::Logs,
    wire::{Failure, Protocol},
};

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the reply is lost, as a fault rule wants it")]
pub(crate) struct LostReply;

/// A service whose operations are JSON in and JSON out.
#[derive(Debug, Clone)]
pub(crate) enum Service {
    Batch(Arc<Batch>),
    Logs(Arc<Logs>),
}

impl Service {
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Batch(_) => Protocol::RestJson,
            Self::Logs(_) => Protocol::AwsJson,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Batch(_) => "batch",
            Self::Logs(_) => "logs",
        }
    }

    async fn carry_out(&self, operation: &str, body: &[u8], asked: Asked) -> Reply {
        match self {
            Self::Batch(batch) => batch.call_by(operation, body, asked).await,
            Self::Logs(logs) => logs.call(operation, body).await,
        }
    }
}

/// A call that is to be made.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) body: Vec<u8>,
    pub(crate) by: Caller,
    /// When it came in.
    pub(crate) began: i64,
}

/// How a call went.
struct Made {
    /// `ok`, or AWS's name of an error. What a fault makes of the answer is not in it.
    outcome: String,
    answer: Result<Response<Body>, LostReply>,
}

impl Call {
    /// Makes the call. It is carried out to its end even if the caller has gone away by then.
    pub(crate) async fn make(self, context: Arc<Context>) -> Result<Response<Body>, LostReply> {
        let protocol = self.service.protocol();
        let made = tokio::spawn(self.carry_out(context)).await;
        made.unwrap_or_else(|error| {
            tracing::error!(%error, "a call has failed");
            let failure = Failure::new(500, "ServerException", "the call has failed: a bug");
            Ok(protocol.failure(&failure))
        })
    }

    async fn carry_out(self, context: Arc<Context>) -> Result<Response<Body>, LostReply> {
        let subject = subject(&self.body);
        let fired = context.fire(Event {
            operation: &self.operation,
            subject: &subject,
            index: None,
            task: None,
            by: Some(&self.by),
        });
        let fault = fired.as_ref().map(|fired| &fired.fault);
        let Made { outcome, answer } = self.under(&context, fault).await;
        let mut detail = json!({
            "service": self.service.name(),
            "operation": self.operation,
            "subject": subject,
            "outcome": outcome,
            "status": answer.as_ref().map_or(0, |answer| answer.status().as_u16()),
            "began": self.began,
            "by": self.by,
        });
        if let Some(fired) = fired {
            detail["fault"] = json!(fired.fault);
            detail["rule"] = fired.rule.into();
        }
        context.record("call", detail);
        answer
    }

    /// Carries the call out as far as the fault lets it.
    async fn under(&self, context: &Context, fault: Option<&Fault>) -> Made {
        let protocol = self.service.protocol();
        let refusal = |status: &u16, code: &str| {
            let message = "refused, as a fault rule wants it";
            Ok(protocol.failure(&Failure::new(*status, code, message)))
        };
        match fault {
            Some(Fault::Refuse { status, code }) => {
                return Made {
                    outcome: code.clone(),
                    answer: refusal(status, code),
                };
            }
            Some(Fault::HangUp) => {
                return Made {
                    outcome: "none".to_owned(),
                    answer: Err(LostReply),
                };
            }
            Some(Fault::Delay(duration)) => context.clock.sleep(*duration).await,
            _ => {}
        }
        let asked = Asked {
            by: self.by.clone(),
            fault: fault.cloned(),
        };
        let reply = self
            .service
            .carry_out(&self.operation, &self.body, asked)
            .await;
        let outcome = match &reply {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code.to_owned(),
        };
        let answer = match fault {
            Some(Fault::RefuseAfterEffect { status, code }) => refusal(status, code),
            Some(Fault::LoseReply) => Err(LostReply),
            Some(Fault::SkewDate(seconds)) => {
                let mut answer = protocol.reply(reply);
                skew_date(context, &mut answer, *seconds);
                Ok(answer)
            }
            _ => Ok(protocol.reply(reply)),
        };
        Made { outcome, answer }
    }
}

/// Dates an answer so many seconds off.
pub(crate) fn skew_date(context: &Context, answer: &mut Response<Body>, seconds: i64) {
    let now = context.clock.now_ms() / 1000;
    let date = Timestamp::from_second(now.saturating_add(seconds)).ok();
    let date = date.map(|date| date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        answer.headers_mut().insert(header::DATE, date);
    }
}

/// What a call is about, for rules and history: the first of these that its body has.
fn subject(body: &[u8]) -> String {
    const NAMES: [&str; 8] = [
        "jobName",
        "jobId",
        "jobDefinitionName",
        "arrayJobId",
        "logStreamName",
        "jobQueue",
        "jobQueueName",
        "resourceArn",
    ];
    const LISTS: [&str; 4] = ["jobs", "jobQueues", "jobDefinitions", "computeEnvironments"];
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(name) = NAMES.iter().find_map(|name| body[name].as_str()) {
        return name.to_owned();
    }
    let list = LISTS.iter().find_map(|name| body[name].as_array());
    let names: Vec<_> = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    names.join(",")
}
