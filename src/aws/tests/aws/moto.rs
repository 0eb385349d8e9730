//! The same against moto, which is started from the Python in FERROFLOW_TEST_MOTO_PYTHON.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws::{
    Aws, Credentials, CredentialsFrom, Patience, Settings, batch, batch::QueueLookup, s3::S3Store,
};
use bytes::Bytes;
use datastore::{
    Entry, Info, Object, ObjectStore, PutMode, PutOptions, PutOutcome, StoreError, UserMetadata,
};
use model::{
    batch::{JobId, JobRequest, Platform, Resources},
    plan::S3Settings,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    job_definitions::{compose, definition},
    server::impatience,
};

/// Python that has moto.
const PYTHON: &str = "FERROFLOW_TEST_MOTO_PYTHON";

/// Says so past the test harness, which keeps the output of tests that pass.
fn skipped() {
    let text = format!("SKIPPED: {PYTHON} is not set, so there is no moto to test against\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// Makes what Ferroflow only uses: a bucket, and a queue of the given kind of hosts.
const PREPARE: &str = r#"
import boto3, sys
url, kind = sys.argv[1:]
common = dict(endpoint_url=url, region_name="eu-north-1", aws_access_key_id="a", aws_secret_access_key="b")
boto3.client("s3", **common).create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
iam, ec2, batch = (boto3.client(name, **common) for name in ("iam", "ec2", "batch"))
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
iam.create_instance_profile(InstanceProfileName="p")
iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
profile = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Arn"]
subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
resources = dict(type=kind, maxvCpus=4, subnets=[subnet], securityGroupIds=[group])
if kind in ("EC2", "SPOT"):
    resources.update(minvCpus=0, instanceRole=profile, instanceTypes=["m5.large"])
environment = batch.create_compute_environment(computeEnvironmentName="environment", type="MANAGED", state="ENABLED",
    computeResources=resources, serviceRole=role)["computeEnvironmentArn"]
batch.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1,
    computeEnvironmentOrder=[dict(order=1, computeEnvironment=environment)])
"#;

struct Moto {
    process: Child,
    url: String,
    python: String,
}

impl Moto {
    /// `None`, loudly, where there is no moto.
    fn start(arguments: &[&str], scheme: &str) -> Option<Self> {
        let Ok(python) = std::env::var(PYTHON) else {
            skipped();
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(&python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut moto = Self {
            process,
            url: format!("{scheme}://localhost:{port}"),
            python,
        };
        moto.wait_until_ready();
        Some(moto)
    }

    fn wait_until_ready(&mut self) {
        let mut lines = BufReader::new(self.process.stderr.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("Running on"));
        assert!(ready, "moto did not start");
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn prepare(&self, kind: &str) {
        let status = Command::new(&self.python)
            .args(["-c", PREPARE, &self.url, kind])
            .status();
        assert!(status.unwrap().success());
    }

    fn settings(&self, s3: S3Settings) -> Settings {
        Settings {
            s3,
            region: Some("eu-north-1".to_owned()),
            endpoint: Some(self.url.clone()),
            credentials: CredentialsFrom::Given(Credentials {
                access_key_id: "a".to_owned(),
                secret_access_key: "b".to_owned(),
                session_token: None,
                expiry: None,
            }),
            patience: Patience::default(),
        }
    }

    async fn aws(&self, s3: S3Settings) -> Aws {
        Aws::load(self.settings(s3)).await.unwrap()
    }

    async fn store(&self, root: &str) -> S3Store {
        S3Store::open(&self.aws(S3Settings::default()).await, root)
            .await
            .unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts one after the other: moto's conditional writes check first and write then.
struct OneAtATime(S3Store, Mutex<()>);

impl ObjectStore for OneAtATime {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.0.get(key).await
    }

    async fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        self.0.get_range(key, from, limit).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutOutcome, StoreError> {
        let _alone = self.1.lock().await;
        self.0.put(key, body, options).await
    }

    async fn head(&self, key: &str) -> Result<Option<Info>, StoreError> {
        self.0.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.0.list(prefix).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.0.folders(folder).await
    }
}

#[tokio::test]
async fn the_store_conforms() {
    let Some(moto) = Moto::start(&[], "http") else {
        return;
    };
    moto.prepare("EC2");
    let store = OneAtATime(
        moto.store("s3://bucket/some/prefix").await,
        Mutex::default(),
    );
    datastore::conformance::check(&store).await;
    let empty = moto.store("s3://empty").await;
    assert!(empty.list("").await.is_err(), "there is no such bucket");
}

#[tokio::test]
async fn what_upstream_writes_is_read_and_the_other_way_round() {
    let Some(moto) = Moto::start(&[], "http") else {
        return;
    };
    moto.prepare("EC2");
    let store = moto.store("s3://bucket/p").await;
    let metadata = UserMetadata::from_iter([("t".to_owned(), "gr\u{fc}n \u{1f600}".into())]);
    let options = PutOptions {
        mode: PutMode::Overwrite,
        user_metadata: Some(metadata.clone()),
    };
    store
        .put("ours", Bytes::from_static(b"x"), options)
        .await
        .unwrap();
    let script = r#"
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="eu-north-1", aws_access_key_id="a", aws_secret_access_key="b")
metadata = s3.head_object(Bucket="bucket", Key="p/ours")["Metadata"]
assert json.loads(metadata["metaflow-user-attributes"]) == {"t": "gr\u00fcn \U0001f600"}, metadata
s3.put_object(Bucket="bucket", Key="p/theirs", Body=b"y", Metadata={"metaflow-user-attributes": json.dumps({"t": "gr\u00fcn \U0001f600"})})
"#;
    let status = Command::new(&moto.python)
        .args(["-c", script, &moto.url])
        .status()
        .unwrap();
    assert!(status.success());
    let theirs = store.get("theirs").await.unwrap().unwrap();
    assert_eq!(theirs.user_metadata, Some(metadata));
}

#[tokio::test]
async fn files_of_any_size_arrive() {
    let Some(moto) = Moto::start(&[], "http") else {
        return;
    };
    moto.prepare("EC2");
    let store = moto.store("s3://bucket/p").await;
    for size in [0_usize, 1, 8 << 20, (8 << 20) + 1, (48 << 20) + 12_345] {
        let content: Vec<u8> = (0..size).map(|i| (i / 1_021) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        let metadata = UserMetadata::from_iter([("cas_raw".to_owned(), true.into())]);
        let options = PutOptions {
            mode: PutMode::Overwrite,
            user_metadata: Some(metadata.clone()),
        };
        let put = store.put_file("file", file.path(), options).await.unwrap();
        assert_eq!(put, PutOutcome::Written);
        let object = store.get("file").await.unwrap().unwrap();
        assert!(object.body == content, "{size}");
        assert_eq!(object.user_metadata, Some(metadata), "{size}");
    }
}

#[tokio::test]
async fn certificates_of_ones_own_are_trusted_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let Ok(python) = std::env::var(PYTHON) else {
        skipped();
        return;
    };
    let script = include_str!("certificate.py");
    let status = Command::new(python)
        .args(["-c", script, &path("cert"), &path("key")])
        .status();
    assert!(status.unwrap().success());
    let arguments = ["-s", "-c", &path("cert"), "-k", &path("key")];
    let Some(moto) = Moto::start(&arguments, "https") else {
        return;
    };
    let s3 = S3Settings {
        ca_bundle: Some(path("cert")),
        ..S3Settings::default()
    };
    let trusting = S3Store::open(&moto.aws(s3).await, "s3://bucket/p")
        .await
        .unwrap();
    let error = trusting.get("k").await.unwrap_err();
    assert_eq!(
        error.kind(),
        datastore::ErrorKind::NoStore,
        "it answers: {error:?}"
    );

    let mut settings = moto.settings(S3Settings::default());
    settings.patience = impatience();
    let aws = Aws::load(settings).await.unwrap();
    let wary = S3Store::open(&aws, "s3://bucket/p").await.unwrap();
    let error = wary.get("k").await.unwrap_err();
    let text = format!("{:?}", error.cause);
    assert!(text.contains("UnknownIssuer"), "{text}");
}

fn request(definition: String, name: &str) -> JobRequest {
    JobRequest {
        name: name.to_owned(),
        queue: "queue".to_owned(),
        definition,
        parameters: [("metaflow.user".to_owned(), "jane".to_owned())].into(),
        tags: [("app".to_owned(), "metaflow".to_owned())].into(),
        command: None,
        environment: vec![("A".to_owned(), "1".to_owned())],
        resources: Resources {
            vcpu: "1".to_owned(),
            memory: "512".to_owned(),
            gpu: None,
        },
        timeout_seconds: 60,
        share: None,
        array_size: None,
    }
}

#[tokio::test]
async fn a_job_goes_from_queue_to_end() {
    let Some(moto) = Moto::start(&[], "http") else {
        return;
    };
    moto.prepare("EC2");
    let client = batch::Client::new(&moto.aws(S3Settings::default()).await).unwrap();
    let queue = client.job_queue(None, QueueLookup::Describe).await.unwrap();
    assert_eq!((&*queue.name, queue.platform), ("queue", Platform::Ec2));

    let arn = client.job_definition(&definition()).await.unwrap();
    assert!(arn.ends_with(":1"), "{arn}");
    let again = batch::Client::new(&moto.aws(S3Settings::default()).await).unwrap();
    assert_eq!(
        again.job_definition(&definition()).await.unwrap(),
        arn,
        "it is found"
    );

    let name = "jane-F-1-start-2-0-L0-abcd0123";
    let id = client.submit_job(&request(arn, name)).await.unwrap();
    assert_eq!(
        client.find_job("queue", name).await.unwrap(),
        Some(id.clone())
    );
    client
        .terminate_job(&id, "ferroflow: enough")
        .await
        .unwrap();
    let ids = [id.clone(), JobId::new("unknown")];
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = client.describe_jobs(&ids).await.found;
        assert_eq!(found.keys().collect::<Vec<_>>(), [&id]);
        if found[&id].status.is_terminal() {
            assert_eq!(found[&id].name, name);
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_fargate_queue_takes_a_fargate_definition() {
    let Some(moto) = Moto::start(&[], "http") else {
        return;
    };
    moto.prepare("FARGATE");
    let client = batch::Client::new(&moto.aws(S3Settings::default()).await).unwrap();
    let queue = client
        .job_queue(Some("queue"), QueueLookup::Describe)
        .await
        .unwrap();
    assert_eq!(queue.platform, Platform::Fargate);
    let options = serde_json::json!({
        "image": "python:3.11", "iam_role": "arn:aws:iam::123456789012:role/x",
        "execution_role": "arn:aws:iam::123456789012:role/e", "ephemeral_storage": 30,
    });
    let definition = compose(&options, queue.platform);
    let arn = client.job_definition(&definition).await.unwrap();
    assert!(arn.contains(&definition.name()), "{arn}");
}
