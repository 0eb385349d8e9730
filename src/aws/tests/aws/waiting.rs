//! Why jobs are not running, on answers of Batch: the rows of `waiting.json`, each with its source or `constructed`, from the
//! calls to the text.

use std::collections::BTreeSet;

use model::{
    Timestamp,
    batch::JobId,
    waiting::{Evidence, Outlook},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::server::{Answer, Server};

const ROWS: &str = include_str!("waiting.json");

/// What users read of causes.
const DOCUMENT: &str = include_str!("../../../../docs/why.md");

/// The time at which the rows are looked at, in milliseconds.
const NOW: i64 = 1_700_000_000_000;

const JOB: &str = "00000000-0000-4000-8000-000000000001";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// Where the texts or the situation were found, or `constructed`.
    source: String,
    /// How long ago the job was submitted, in seconds.
    age: i64,
    /// What is different from a RUNNABLE job with 4 vCPUs and 8,000 MiB.
    #[serde(default)]
    job: Map<String, Value>,
    /// What is different from a good queue.
    #[serde(default)]
    queue: Asked,
    /// What is different from good environments; one of EC2 unless something is said.
    environments: Option<Vec<Map<String, Value>>>,
    /// Jobs before this one; the front of the queue is refused without.
    #[serde(default)]
    ahead: Option<usize>,
    /// vCPUs that the queue uses.
    #[serde(default)]
    used: f64,
    /// What Batch says of the head of the queue, where that is another job.
    head: Option<String>,
    /// Status of the job definition; refused without.
    definition: Option<String>,
    cause: String,
    outlook: String,
    what: String,
    fix: Option<String>,
}

/// An answer that is different from a good one, none, or an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    #[default]
    Good,
    With(Map<String, Value>),
    Missing,
    Denied,
}

fn denied() -> Answer {
    Answer::batch_error(403, "AccessDeniedException", "not authorized")
}

fn merged(mut whole: Value, part: &Map<String, Value>) -> Value {
    for (name, value) in part {
        match (whole.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(new)) => known.extend(new.clone()),
            _ => whole[name] = value.clone(),
        }
    }
    whole
}

impl Row {
    fn job(&self) -> Value {
        let job = json!({
            "jobId": JOB, "jobName": "j", "jobQueue": "arn:aws:batch:r:1:job-queue/q", "status": "RUNNABLE",
            "createdAt": NOW - self.age * 1000, "jobDefinition": "arn:aws:batch:r:1:job-definition/d:1",
            "container": {"resourceRequirements": [
                {"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "8000"}]},
        });
        merged(job, &self.job)
    }

    fn is_in_line(&self) -> bool {
        let status = self.job.get("status").and_then(Value::as_str);
        status.is_none_or(|status| status == "RUNNABLE")
    }

    fn environments(&self) -> Vec<Value> {
        let environment = |(index, different): (usize, &Map<String, Value>)| {
            let good = json!({
                "computeEnvironmentName": format!("e{index}"), "computeEnvironmentArn": format!("arn:aws:batch:r:1:compute-environment/e{index}"),
                "type": "MANAGED", "state": "ENABLED", "status": "VALID",
                "statusReason": "ComputeEnvironment Healthy",
                "computeResources": {"type": "EC2", "minvCpus": 0, "maxvCpus": 256, "desiredvCpus": 0,
                                     "instanceTypes": ["optimal"], "subnets": []},
            });
            merged(good, different)
        };
        let one = vec![Map::new()];
        let all = self.environments.as_ref().unwrap_or(&one);
        all.iter().enumerate().map(environment).collect()
    }

    /// In the order in which the calls are made.
    fn answers(&self) -> Vec<Answer> {
        let ok = |body: Value| Answer::json(200, &body);
        let mut answers = vec![ok(json!({"jobs": [self.job()]}))];
        if !self.is_in_line() {
            return answers;
        }
        let environments = self.environments();
        let order = (1..).zip(&environments);
        let order: Vec<_> = order
            .map(|(order, one)| json!({"order": order, "computeEnvironment": one["computeEnvironmentArn"]}))
            .collect();
        let good = json!({"jobQueueName": "q", "jobQueueArn": "arn:q", "state": "ENABLED", "status": "VALID",
                          "statusReason": "JobQueue Healthy", "priority": 1, "computeEnvironmentOrder": order});
        match &self.queue {
            Asked::Good => answers.push(ok(json!({"jobQueues": [good]}))),
            Asked::With(different) => {
                answers.push(ok(json!({"jobQueues": [merged(good, different)]})));
            }
            Asked::Missing => {
                answers.push(ok(json!({"jobQueues": []})));
                return answers;
            }
            Asked::Denied => answers.push(denied()),
        }
        let shown: Vec<_> = environments
            .iter()
            .filter(|one| !one["status"].is_null())
            .collect();
        if !matches!(self.queue, Asked::Denied) && !environments.is_empty() {
            answers.push(ok(json!({"computeEnvironments": shown})));
        }
        match self.ahead {
            None => answers.extend([denied(), denied()]),
            Some(ahead) => {
                let others = (0..ahead).map(|index| format!("other-{index}"));
                let jobs = others.chain([JOB.to_owned()]).take(100);
                let jobs: Vec<_> = jobs
                    .map(|id| json!({"jobArn": format!("arn:aws:batch:r:1:job/{id}"), "earliestTimeAtPosition": NOW}))
                    .collect();
                let used = json!([{"capacityUnit": "VCPU", "quantity": self.used}]);
                answers.push(ok(
                    json!({"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": NOW},
                    "queueUtilization": {"totalCapacityUsage": used, "lastUpdatedAt": NOW}}),
                ));
                let head = json!({"jobId": "other-0", "jobName": "o", "jobQueue": "q", "status": "RUNNABLE",
                    "statusReason": self.head, "jobDefinition": "d:1"});
                let head = if ahead == 0 { self.job() } else { head };
                answers.push(ok(json!({"jobs": [head]})));
            }
        }
        answers
    }
}

fn rows() -> Vec<Row> {
    serde_json::from_str(ROWS).unwrap()
}

fn in_words(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Healthy => "healthy",
        Outlook::Doubtful => "doubtful",
        Outlook::Stuck => "stuck",
        Outlook::Over => "over",
    }
}

#[tokio::test]
async fn each_row_has_its_cause_and_its_text() {
    let mut wrong = Vec::new();
    for row in rows() {
        let server = Server::start(row.answers()).await;
        let client = server.batch().await;
        let jobs = client.waiting_jobs(&[JobId::new(JOB)]).await.unwrap();
        let look = if row.is_in_line() {
            Some(client.look_at_queue(&jobs[0].queue).await)
        } else {
            None
        };
        let mut evidence = Evidence {
            job: &jobs[0],
            look: look.as_ref(),
            definition: None,
            dependencies: &[],
            now: Timestamp(NOW),
        };
        let mut cause = evidence.cause();
        let mut definition = None;
        if cause.needs_the_definition() {
            server.answer([match &row.definition {
                Some(status) => Answer::json(200, &json!({"jobDefinitions": [{"jobDefinitionName": "d",
                    "jobDefinitionArn": "d:1", "revision": 1, "type": "container", "status": status}]})),
                None => denied(),
            }]);
            definition = Some(client.is_definition_active(&jobs[0].definition).await);
            evidence.definition = definition.as_ref();
            cause = evidence.cause();
        }
        let told = evidence.told(&cause);
        server.assert_quiet();
        let seen = json!({"name": row.name, "cause": cause.label(), "outlook": in_words(cause.outlook()),
            "what": told.what, "fix": told.fix});
        let wanted = json!({"name": row.name, "cause": row.cause, "outlook": row.outlook,
            "what": row.what, "fix": row.fix});
        if seen != wanted {
            wrong.push(seen.to_string());
        }
        // What was refused is told, whatever the cause.
        let not_seen = evidence.not_seen().join(" ");
        let is_denied =
            row.is_in_line() && !matches!(row.queue, Asked::Missing) && row.ahead.is_none();
        assert_eq!(
            not_seen.contains("GetJobQueueSnapshot (AccessDeniedException)"),
            is_denied,
            "{}",
            row.name
        );
        assert_eq!(
            not_seen.contains("DescribeJobQueues"),
            matches!(row.queue, Asked::Denied)
        );
        assert_eq!(
            not_seen.contains("DescribeJobDefinitions"),
            matches!(definition, Some(Err(_)))
        );
        if row.cause == "Spot" {
            let seen = evidence.looked_at().join("\n");
            let bid = "`e0`: Spot, ENABLED and VALID, desiredvCpus 0 of maxvCpus 256, optimal, SPOT_CAPACITY_OPTIMIZED, bidPercentage 20";
            assert_eq!(
                seen.contains(bid),
                row.name == "Spot below the price",
                "{seen}"
            );
        }
    }
    assert!(wrong.is_empty(), "instead:\n{}", wrong.join("\n"));
}

#[test]
fn there_are_enough_rows_and_each_cause_is_documented() {
    let rows = rows();
    let with = |outlook: &str| rows.iter().filter(|row| row.outlook == outlook).count();
    assert!(with("stuck") >= 12, "{}", with("stuck"));
    assert!(with("healthy") >= 5, "{}", with("healthy"));
    let names: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), rows.len());
    for row in &rows {
        let documented = format!("\n| {} | ", row.cause);
        assert!(
            DOCUMENT.contains(&documented),
            "docs/why.md has no `{}`",
            row.cause
        );
        assert!(
            row.source == "constructed" || row.source.starts_with("https://"),
            "{}",
            row.source
        );
        let texts = [Some(&row.what), row.fix.as_ref()];
        for text in texts.into_iter().flatten() {
            assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
        }
        // Nothing is wrong, so there is nothing to mend.
        assert!(
            row.outlook != "healthy" || row.fix.is_none(),
            "{}",
            row.name
        );
    }
}
