//! `ferroflow doctor`: what a run would find here, and what is wrong with it. Nothing is changed, and every question has a
//! time-out, so that an answer comes within a quarter of a minute however little can be reached.

mod aws;
mod batch;
mod machine;
mod python;
mod report;
mod service;
mod values;

pub(crate) use report::{Finding, Level, Report, Shown};

use crate::metaflow_config::MetaflowConfig;

/// Looks at everything.
pub(crate) async fn examine() -> Report {
    let (config, unreadable) = match MetaflowConfig::load() {
        Ok(config) => (config, None),
        Err(error) => {
            let fix = "mend or remove the file, or check METAFLOW_PROFILE and METAFLOW_HOME";
            let finding = Finding::problem("Metaflow configuration", error.to_string(), fix);
            (MetaflowConfig::of_environment(), Some(finding))
        }
    };
    let uses_aws = aws::is_used(&config);
    let ((answer, of_python), seen, service) = tokio::join!(
        python::examine(&values::SETTINGS),
        aws::examine(&config),
        service::examine(&config),
    );
    let mut values = values::all(&config, answer.as_ref());
    values.extend(seen.values);
    let mut findings: Vec<_> = unreadable.into_iter().chain(of_python).collect();
    if uses_aws && answer.as_ref().is_some_and(|answer| !answer.has_boto3()) {
        let text = "is not there: Metaflow needs it for S3 and AWS Batch";
        findings.push(Finding::problem("boto3", text, "pip install boto3"));
    }
    findings.extend(machine::examine(&config, uses_aws));
    findings.extend(seen.findings);
    if uses_aws {
        findings.push(batch::image(&config, answer.as_ref()));
    }
    findings.push(service);
    Report { values, findings }
}
