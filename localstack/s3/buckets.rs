//! CreateBucket, HeadBucket, DeleteBucket, ListBuckets, GetBucketLocation, GetBucketVersioning.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::{
    failure,
    index::{AboutBucket, Record},
    object::seconds,
    page::{Entry, Query, page},
    store::Store,
};

/// Of the API reference.
const MAX_BUCKETS: i32 = 10_000;

/// The region that buckets without a location constraint are in.
const FIRST_REGION: &str = "us-east-1";

impl Store {
    pub(super) fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        let input = request.input;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(failure::not_implemented("x-amz-bucket-object-lock-enabled"));
        }
        let configuration = input.create_bucket_configuration;
        let location = configuration
            .and_then(|c| c.location_constraint)
            .map(|region| region.as_str().to_owned())
            .filter(|region| !region.is_empty());
        let about = AboutBucket {
            created_ms: self.context.clock.now_ms(),
            location,
        };
        self.write(|index| {
            if index.buckets.contains_key(input.bucket.as_str()) {
                return Err(S3Error::with_message(
                    S3ErrorCode::BucketAlreadyOwnedByYou,
                    "Your previous request to create the named bucket succeeded and you already own it.",
                ));
            }
            let bucket = input.bucket.as_str().into();
            Ok((vec![Record::CreateBucket { bucket, about }], ()))
        })?;
        Ok(S3Response::new(dto::CreateBucketOutput {
            location: Some(format!("/{}", input.bucket)),
        }))
    }

    pub(super) fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        let region = self.region_of(&request.input.bucket)?;
        Ok(S3Response::new(dto::HeadBucketOutput {
            bucket_region: Some(region),
            ..Default::default()
        }))
    }

    pub(super) fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        let region = self.region_of(&request.input.bucket)?;
        Ok(S3Response::new(dto::GetBucketLocationOutput {
            location_constraint: (region != FIRST_REGION).then(|| region.into()),
        }))
    }

    /// Versions are never kept.
    pub(super) fn get_bucket_versioning(
        &self,
        request: S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
        self.region_of(&request.input.bucket)?;
        Ok(S3Response::new(dto::GetBucketVersioningOutput::default()))
    }

    pub(super) fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        let name = request.input.bucket;
        self.write(|index| {
            if !index.bucket(&name)?.objects.is_empty() {
                return Err(failure::custom(
                    StatusCode::CONFLICT,
                    "BucketNotEmpty",
                    "The bucket you tried to delete is not empty",
                ));
            }
            let bucket = name.as_str().into();
            Ok((vec![Record::DeleteBucket { bucket }], ()))
        })?;
        Ok(S3Response::with_status(
            dto::DeleteBucketOutput::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    pub(super) fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let input = request.input;
        let max = input.max_buckets.unwrap_or(MAX_BUCKETS);
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: None,
            after: input.continuation_token.as_deref().unwrap_or_default(),
            limit: max.clamp(1, MAX_BUCKETS) as usize,
        };
        self.read(|index| {
            let (entries, truncated) = page(&index.buckets, &query);
            let last = entries.last().map(|entry| entry.name().to_owned());
            let buckets = entries.into_iter().filter_map(|entry| match entry {
                Entry::CommonPrefix(_) => None,
                Entry::Key(name, bucket) => Some(dto::Bucket {
                    bucket_region: Some(self.region(&bucket.about)),
                    creation_date: Some(seconds(bucket.about.created_ms)),
                    name: Some(name.to_owned()),
                }),
            });
            Ok(S3Response::new(dto::ListBucketsOutput {
                buckets: Some(buckets.collect()),
                continuation_token: last.filter(|_| truncated),
                owner: Some(self.owner()),
                prefix: input.prefix.clone(),
            }))
        })
    }

    fn region_of(&self, bucket: &str) -> S3Result<String> {
        self.read(|index| Ok(self.region(&index.bucket(bucket)?.about)))
    }

    fn region(&self, about: &AboutBucket) -> String {
        let said = about.location.clone();
        said.unwrap_or_else(|| self.context.region.clone())
    }
}
