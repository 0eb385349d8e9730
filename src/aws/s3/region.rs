//! Where a bucket is.

use aws_sdk_s3::config::{Builder, retry::RetryConfig};

use crate::failure::Failure;

/// Tries: without an answer the configured region is taken.
const TRIES: u32 = 2;

/// The region of a bucket, by HeadBucket. A refusal tells it, too (S3 API reference, HeadBucket),
/// so no permission is needed.
pub(super) async fn of_bucket(sdk: &aws_sdk_s3::Client, bucket: &str) -> Option<String> {
    let retries = RetryConfig::standard().with_max_attempts(TRIES);
    let call = sdk.head_bucket().bucket(bucket).customize();
    match call
        .config_override(Builder::new().retry_config(retries))
        .send()
        .await
    {
        Ok(answer) => answer.bucket_region().map(str::to_owned),
        Err(error) => Failure::from(error).bucket_region,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::{Aws, Credentials, CredentialsFrom, Settings};

    /// What becomes of one answer.
    async fn region(answer: &'static str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Settings {
            region: Some("us-west-2".to_owned()),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            credentials: CredentialsFrom::Given(Credentials {
                access_key_id: "a".to_owned(),
                secret_access_key: "b".to_owned(),
                session_token: None,
                expiry: None,
            }),
            ..Settings::default()
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4_096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let aws = Aws::load(settings).await.unwrap();
        let region = of_bucket(&aws.s3_client("us-west-2").unwrap(), "bucket").await;
        server.join().unwrap();
        region
    }

    #[tokio::test]
    async fn every_answer_tells_the_region() {
        for answer in [
            "HTTP/1.1 200 OK\r\nx-amz-bucket-region: eu-west-1\r\n\r\n",
            "HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-1\r\n\r\n",
            "HTTP/1.1 403 Forbidden\r\nx-amz-bucket-region: eu-west-1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\nx-amz-bucket-region: eu-west-1\r\n\r\n",
        ] {
            assert_eq!(
                region(answer).await.as_deref(),
                Some("eu-west-1"),
                "{answer}"
            );
        }
        assert_eq!(region("HTTP/1.1 404 Not Found\r\n\r\n").await, None);
    }
}
