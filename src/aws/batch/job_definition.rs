//! From a definition's content to the ARN of a registered revision.

use model::batch::JobDefinition;

use super::{BatchError, BatchErrorKind, Client};

impl Client {
    /// The ARN of the newest ACTIVE revision with this content, registered if there is none.
    /// Asked once per client and content: jobs of a run stay with one revision.
    pub async fn job_definition(&self, content: &JobDefinition) -> Result<String, BatchError> {
        let name = content.name();
        let known = self.known().definitions.get(&name).cloned();
        if let Some(arn) = known {
            return Ok(arn);
        }
        let arn = match self.active_definition(&name).await? {
            Some(arn) => arn,
            None => self.newly_registered(&name, content).await?,
        };
        self.known().definitions.insert(name, arn.clone());
        Ok(arn)
    }

    /// Registers. When the reply is lost the revision may be there: it is looked for, and
    /// registered again only if it is not. An identical revision would do no harm.
    async fn newly_registered(
        &self,
        name: &str,
        content: &JobDefinition,
    ) -> Result<String, BatchError> {
        match self.register_job_definition(name, content).await {
            Err(error) if error.kind == BatchErrorKind::Unavailable => {
                match self.active_definition(name).await? {
                    Some(arn) => Ok(arn),
                    None => self.register_job_definition(name, content).await,
                }
            }
            result => result,
        }
    }

    /// The newest ACTIVE revision. Batch lists them in no particular order.
    async fn active_definition(&self, name: &str) -> Result<Option<String>, BatchError> {
        let mut newest: Option<(i32, String)> = None;
        let mut token = None;
        loop {
            let page = self
                .repeatable("DescribeJobDefinitions", &self.limits.setup, async || {
                    let call = self.sdk.describe_job_definitions().status("ACTIVE");
                    let call = call.job_definition_name(name).set_next_token(token.clone());
                    Ok(call.send().await?)
                })
                .await?;
            for definition in page.job_definitions() {
                let revision = definition.revision().unwrap_or(0);
                if let Some(arn) = definition.job_definition_arn()
                    && newest.as_ref().is_none_or(|(known, _)| *known < revision)
                {
                    newest = Some((revision, arn.to_owned()));
                }
            }
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(newest.map(|(_, arn)| arn)),
            }
        }
    }
}
