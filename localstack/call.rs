//! One call of Batch or Logs: faults before and after it, and a line in the history.

use std::sync::Arc;

use http::Response;
use s3s::Body;
use serde_json::{Value, json};

use crate::{
    Context, Reply,
    batch::Batch,
    faults::Fault,
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

    async fn carry_out(&self, operation: &str, body: &[u8]) -> Reply {
        match self {
            Self::Batch(batch) => batch.call(operation, body).await,
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
    /// The job that calls, or nothing for the user.
    pub(crate) job_id: Option<String>,
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
        let fault = context.faults.of_call(&self.operation, &subject, None);
        let protocol = self.service.protocol();
        let refusal = |status, code: &str| {
            let message = "refused, as a fault rule wants it";
            Failure::new(status, code, message)
        };
        let (outcome, reply) = if let Some(Fault::Refuse { status, code }) = &fault {
            (code.clone(), Ok(protocol.failure(&refusal(*status, code))))
        } else {
            if let Some(Fault::Delay(duration)) = fault {
                context.clock.sleep(duration).await;
            }
            let reply = self.service.carry_out(&self.operation, &self.body).await;
            let outcome = match &reply {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.code.to_owned(),
            };
            let reply = match &fault {
                Some(Fault::RefuseAfterEffect { status, code }) => {
                    Ok(protocol.failure(&refusal(*status, code)))
                }
                Some(Fault::LoseReply) => Err(LostReply),
                _ => Ok(protocol.reply(reply)),
            };
            (outcome, reply)
        };
        let mut detail = json!({
            "service": self.service.name(),
            "operation": self.operation,
            "subject": subject,
            "outcome": outcome,
            "status": reply.as_ref().map_or(0, |reply| reply.status().as_u16()),
        });
        if let Some(job_id) = self.job_id {
            detail["by"] = job_id.into();
        }
        if let Some(fault) = fault {
            detail["fault"] = format!("{fault:?}").into();
        }
        context
            .history
            .record(context.clock.now_ms(), "call", detail);
        reply
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
