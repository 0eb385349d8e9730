//! The keys that this stack knows: its own pair, made once per folder, and one for each running job, which the job fetches
//! from this server as containers fetch theirs from the ECS agent.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    Caller,
    batch::JobCredentials,
    sigv4::{Claim, SignatureError},
};

/// Path of a job's credentials; its id follows.
pub(crate) const CREDENTIALS_PATH: &str = "/v2/credentials/";
/// Path of a job's metadata; its id follows, and `/task` for the task's.
pub(crate) const METADATA_PATH: &str = "/v4/";
/// Role of jobs whose definition names none: that of the instance, as on AWS.
const INSTANCE_ROLE: &str = "role/ecsInstanceRole";
/// Jobs ask again before this has passed; their key stays the same until they end.
const LIFETIME_SECONDS: i64 = 3600;

/// A key pair.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyPair {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}

impl KeyPair {
    /// A new pair. Identifiers of lasting keys begin with AKIA, of temporary ones with ASIA.
    pub(crate) fn random(prefix: &str) -> Self {
        let id = Uuid::new_v4().simple().to_string().to_uppercase();
        Self {
            access_key_id: format!("{prefix}{}", &id[..16]),
            secret_access_key: secret()[..40].to_owned(),
        }
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// What nobody guesses: 244 random bits in 64 digits.
pub(crate) fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whether two secrets are the same, in a time that tells nothing of them.
pub(crate) fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

/// All keys of a stack.
#[derive(Debug)]
pub(crate) struct Keys {
    own: KeyPair,
    endpoint: String,
    account: String,
    /// By task, each a start of a job.
    jobs: RwLock<HashMap<String, Arc<JobKey>>>,
}

/// What a job has.
struct JobKey {
    task: String,
    job_id: String,
    /// In the paths of its credentials and its metadata.
    id: String,
    /// Shown for its credentials.
    authorization: String,
    pair: KeyPair,
    session_token: String,
    role_arn: String,
}

impl std::fmt::Debug for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobKey")
            .field("job_id", &self.job_id)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// The stack's pair; jobs' keys come and go.
    pub(crate) fn new(own: KeyPair, endpoint: &str, account: &str) -> Self {
        Self {
            own,
            endpoint: endpoint.to_owned(),
            account: account.to_owned(),
            jobs: RwLock::default(),
        }
    }

    /// The secret that a request must be signed with. Whose it is, is added to what is known of the caller: the user, or
    /// a job.
    pub(crate) fn secret(&self, claim: &Claim, by: &mut Caller) -> Result<String, SignatureError> {
        by.key = Some(claim.access_key_id.clone());
        if claim.access_key_id == self.own.access_key_id {
            return match claim.session_token {
                None => Ok(self.own.secret_access_key.clone()),
                Some(_) => Err(SignatureError::UnknownKey),
            };
        }
        let job = self.job(|job| job.pair.access_key_id == claim.access_key_id);
        let job = job.ok_or(SignatureError::UnknownKey)?;
        match &claim.session_token {
            Some(token) if same(token, &job.session_token) => {
                by.job = Some(job.job_id.clone());
                by.task = Some(job.task.clone());
                Ok(job.pair.secret_access_key.clone())
            }
            _ => Err(SignatureError::UnknownKey),
        }
    }

    /// What the ECS agent answers to a job that asks for its credentials.
    pub(crate) fn credentials(&self, id: &str, authorization: &str, now: i64) -> Option<Value> {
        let job = self.job(|job| same(&job.id, id))?;
        if !same(&job.authorization, authorization) {
            return None;
        }
        let expiration = jiff::Timestamp::from_second(now + LIFETIME_SECONDS).ok()?;
        Some(json!({
            "RoleArn": job.role_arn,
            "AccessKeyId": job.pair.access_key_id,
            "SecretAccessKey": job.pair.secret_access_key,
            "Token": job.session_token,
            "Expiration": expiration.to_string(),
        }))
    }

    /// The job that has this id in its metadata path.
    pub(crate) fn job_of(&self, id: &str) -> Option<String> {
        Some(self.job(|job| same(&job.id, id))?.job_id.clone())
    }

    /// ARN of the user, or of the session of a job, as `GetCallerIdentity` has it.
    pub(crate) fn caller(&self, job_id: Option<&str>) -> (String, String) {
        let account = &self.account;
        let job = job_id.and_then(|id| self.job(|job| job.job_id == id));
        match job {
            None => (
                "AIDAFERROFLOW".to_owned(),
                format!("arn:aws:iam::{account}:user/ferroflow"),
            ),
            Some(job) => {
                let role = job.role_arn.rsplit('/').next().unwrap_or_default();
                let session = job.job_id.replace(':', "-");
                (
                    format!("AROAFERROFLOW:{session}"),
                    format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
                )
            }
        }
    }

    fn job(&self, wanted: impl Fn(&JobKey) -> bool) -> Option<Arc<JobKey>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.values().find(|job| wanted(job)).cloned()
    }
}

impl JobCredentials for Keys {
    fn issue(&self, task: &str, job_id: &str, role_arn: Option<&str>) -> Vec<(String, String)> {
        let new = || {
            let instance_role = || format!("arn:aws:iam::{}:{INSTANCE_ROLE}", self.account);
            Arc::new(JobKey {
                task: task.to_owned(),
                job_id: job_id.to_owned(),
                id: secret(),
                authorization: secret(),
                pair: KeyPair::random("ASIA"),
                session_token: secret(),
                role_arn: role_arn.map_or_else(instance_role, str::to_owned),
            })
        };
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.entry(task.to_owned()).or_insert_with(new);
        let url = |path: &str| format!("{}{path}{}", self.endpoint, job.id);
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url(CREDENTIALS_PATH)),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                job.authorization.clone(),
            ),
            ("ECS_CONTAINER_METADATA_URI_V4", url(METADATA_PATH)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn revoke(&self, task: &str) {
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(task);
    }
}

/// The same keys for `s3s`, which checks signatures itself. Session tokens are checked before it is asked.
#[derive(Debug, Clone)]
pub(crate) struct S3Keys(pub(crate) Arc<Keys>);

#[async_trait]
impl S3Auth for S3Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.own.access_key_id {
            return Ok(self.0.own.secret_access_key.as_str().into());
        }
        let job = self.0.job(|job| job.pair.access_key_id == access_key);
        let job = job.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        Ok(job.pair.secret_access_key.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(variables: &[(String, String)], name: &str) -> String {
        let found = variables.iter().find(|(n, _)| n == name);
        found.expect("the variable is there").1.clone()
    }

    #[test]
    fn a_job_has_its_credentials_until_it_ends() {
        let keys = Keys::new(
            KeyPair::random("AKIA"),
            "http://127.0.0.1:1",
            "000000000000",
        );
        let variables = keys.issue("t", "j", Some("arn:aws:iam::000000000000:role/x"));
        assert_eq!(keys.issue("t", "j", None), variables);
        let url = variable(&variables, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let id = url.rsplit('/').next().unwrap().to_owned();
        let token = variable(&variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
        assert!(keys.credentials(&id, "guess", 0).is_none());
        assert!(keys.credentials("guess", &token, 0).is_none());
        let answer = keys.credentials(&id, &token, 0).unwrap();
        assert_eq!(answer["RoleArn"], "arn:aws:iam::000000000000:role/x");
        assert_eq!(answer["Expiration"], "1970-01-01T01:00:00Z");
        assert_eq!(keys.job_of(&id).as_deref(), Some("j"));
        keys.revoke("t");
        assert!(keys.credentials(&id, &token, 0).is_none());
        assert_eq!(keys.job_of(&id), None);
    }
}
