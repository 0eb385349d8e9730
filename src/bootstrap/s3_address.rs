//! Where S3 is: endpoints, regions, and the two styles of URLs.

use crate::environment::Environment;

/// The region that S3 assumes where none is configured.
const DEFAULT_REGION: &str = "us-east-1";

/// `s3://bucket/key`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Url {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key; not empty.
    pub(crate) key: String,
}

impl S3Url {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (bucket, key) = url.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

/// The endpoint of an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// AWS's own, by region.
    Aws,
    /// A URL without a slash at its end.
    Custom(String),
}

impl Endpoint {
    /// The endpoint that the spec names, or else the environment.
    pub(crate) fn new(named: Option<&str>, environment: &Environment) -> Self {
        named
            .filter(|url| !url.is_empty())
            .or_else(|| {
                environment.first(&[
                    "METAFLOW_S3_ENDPOINT_URL",
                    "AWS_ENDPOINT_URL_S3",
                    "AWS_ENDPOINT_URL",
                ])
            })
            .map_or(Self::Aws, |url| {
                Self::Custom(url.trim_end_matches('/').to_owned())
            })
    }

    /// The URL of an object: virtual-host style on AWS, but for a bucket with a dot, whose name
    /// no certificate covers; path style elsewhere.
    pub(crate) fn url(&self, region: &str, bucket: &str, key: &str) -> String {
        let key = encode(key);
        match self {
            Self::Custom(url) => format!("{url}/{bucket}/{key}"),
            Self::Aws => {
                let host = format!("s3.{region}.{}", dns_suffix(region));
                if bucket.contains('.') {
                    format!("https://{host}/{bucket}/{key}")
                } else {
                    format!("https://{bucket}.{host}/{key}")
                }
            }
        }
    }
}

/// The region that the environment names.
pub(crate) fn region(environment: &Environment) -> &str {
    environment
        .first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
        .unwrap_or(DEFAULT_REGION)
}

/// The domain of AWS in a region's partition.
pub(crate) fn dns_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Percent-encodes a key once, as S3's canonical URI wants it.
fn encode(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(format!("%{byte:02X}").chars());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_the_right_style() {
        let aws = |region, bucket| Endpoint::Aws.url(region, bucket, "a b/é+=");
        assert_eq!(
            aws("eu-west-1", "b"),
            "https://b.s3.eu-west-1.amazonaws.com/a%20b/%C3%A9%2B%3D"
        );
        assert_eq!(
            aws("cn-north-1", "x.y"),
            "https://s3.cn-north-1.amazonaws.com.cn/x.y/a%20b/%C3%A9%2B%3D"
        );
        let custom = Endpoint::Custom("http://h:9".into());
        assert_eq!(custom.url("r", "b", "k/l"), "http://h:9/b/k/l");
    }

    #[test]
    fn s3_urls_are_taken_apart() {
        let url = S3Url::parse("s3://b/k/l").unwrap();
        assert_eq!((url.bucket.as_str(), url.key.as_str()), ("b", "k/l"));
        for bad in ["s3://b", "s3://b/", "s3:///k", "http://b/k"] {
            assert_eq!(S3Url::parse(bad), None, "{bad}");
        }
    }
}
