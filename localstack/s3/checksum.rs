//! The `x-amz-checksum-*` family.
//! Facts: "Checking object integrity in Amazon S3" of the user guide; without any, S3 keeps a CRC-64/NVME of its own.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use crc_fast::CrcAlgorithm;
use s3s::{
    S3Result,
    checksum::ChecksumHasher,
    crypto::Checksum as _,
    crypto::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256},
    dto,
};
use serde::{Deserialize, Serialize};

use super::failure;

/// One of S3's algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

/// Whether the checksum of a multipart object is one of its bytes, or one of its parts' checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    FullObject,
    Composite,
}

/// A checksum as it is kept: base64, with `-<parts>` behind it when composite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) value: Box<str>,
}

impl Algorithm {
    const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// AWS's spelling.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => dto::ChecksumAlgorithm::CRC32,
            Self::Crc32c => dto::ChecksumAlgorithm::CRC32C,
            Self::Crc64nvme => dto::ChecksumAlgorithm::CRC64NVME,
            Self::Sha1 => dto::ChecksumAlgorithm::SHA1,
            Self::Sha256 => dto::ChecksumAlgorithm::SHA256,
        }
    }

    /// The header that carries the value.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// What a client asked for.
    pub(super) fn parse(wanted: &dto::ChecksumAlgorithm) -> S3Result<Self> {
        let known = |one: &Self| one.as_str().eq_ignore_ascii_case(wanted.as_str());
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            failure::invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        })
    }

    /// What a multipart upload gets when it names no type.
    pub(super) fn usual_kind(self) -> Kind {
        match self {
            Self::Crc64nvme => Kind::FullObject,
            _ => Kind::Composite,
        }
    }

    /// Whether a type exists for the algorithm.
    pub(super) fn allows(self, kind: Kind) -> bool {
        match kind {
            Kind::FullObject => self.crc().is_some(),
            Kind::Composite => self != Self::Crc64nvme,
        }
    }

    pub(super) fn hasher(self) -> Hasher {
        let mut inner = ChecksumHasher::default();
        match self {
            Self::Crc32 => inner.crc32 = Some(Crc32::new()),
            Self::Crc32c => inner.crc32c = Some(Crc32c::new()),
            Self::Crc64nvme => inner.crc64nvme = Some(Crc64Nvme::new()),
            Self::Sha1 => inner.sha1 = Some(Sha1::new()),
            Self::Sha256 => inner.sha256 = Some(Sha256::new()),
        }
        Hasher {
            algorithm: self,
            inner,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::FullObject => dto::ChecksumType::FULL_OBJECT,
            Self::Composite => dto::ChecksumType::COMPOSITE,
        }
    }
}

/// Computes one checksum.
pub(super) struct Hasher {
    algorithm: Algorithm,
    inner: ChecksumHasher,
}

impl Hasher {
    pub(super) fn update(&mut self, data: &[u8]) {
        self.inner.update(data);
    }

    pub(super) fn finish(self) -> Checksum {
        let all = self.inner.finalize();
        let value = all
            .checksum_crc32
            .or(all.checksum_crc32c)
            .or(all.checksum_crc64nvme)
            .or(all.checksum_sha1)
            .or(all.checksum_sha256);
        Checksum {
            algorithm: self.algorithm,
            value: value.unwrap_or_default().into(),
        }
    }
}

impl Checksum {
    pub(super) fn kind(&self) -> Kind {
        if self.value.contains('-') {
            Kind::Composite
        } else {
            Kind::FullObject
        }
    }

    /// For an answer.
    pub(super) fn to_dto(&self) -> dto::Checksum {
        let mut all = dto::Checksum::default();
        let value = Some(self.value.to_string());
        match self.algorithm {
            Algorithm::Crc32 => all.checksum_crc32 = value,
            Algorithm::Crc32c => all.checksum_crc32c = value,
            Algorithm::Crc64nvme => all.checksum_crc64nvme = value,
            Algorithm::Sha1 => all.checksum_sha1 = value,
            Algorithm::Sha256 => all.checksum_sha256 = value,
        }
        all.checksum_type = Some(self.kind().as_str().to_owned().into());
        all
    }

    /// The checksum of an object from those of its parts, which have the same algorithm and come with their lengths.
    pub(super) fn of_parts(
        algorithm: Algorithm,
        kind: Kind,
        parts: &[(&Self, u64)],
    ) -> Option<Self> {
        match (kind, algorithm.crc()) {
            (Kind::FullObject, Some(crc)) => combined(algorithm, crc, parts),
            (Kind::FullObject, None) => None,
            (Kind::Composite, _) => {
                let mut hasher = algorithm.hasher();
                for (part, _) in parts {
                    hasher.update(&BASE64_STANDARD.decode(&*part.value).ok()?);
                }
                let value = format!("{}-{}", hasher.finish().value, parts.len()).into();
                Some(Self { algorithm, value })
            }
        }
    }
}

fn combined(
    algorithm: Algorithm,
    crc: CrcAlgorithm,
    parts: &[(&Checksum, u64)],
) -> Option<Checksum> {
    let mut sum = 0;
    let mut width = 0;
    for (number, (part, length)) in parts.iter().enumerate() {
        let bytes = BASE64_STANDARD.decode(&*part.value).ok()?;
        width = bytes.len();
        let value = bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        sum = if number == 0 {
            value
        } else {
            crc_fast::checksum_combine(crc, sum, value, *length)
        };
    }
    let bytes = sum.to_be_bytes();
    let value = BASE64_STANDARD.encode(bytes.get(8 - width..)?).into();
    Some(Checksum { algorithm, value })
}

/// The values that a request carries in its headers. S3 takes at most one.
pub(super) fn the_only(values: [(Algorithm, Option<String>); 5]) -> S3Result<Option<Checksum>> {
    let mut given = values.into_iter().filter_map(|(algorithm, value)| {
        let value = value?.into();
        Some(Checksum { algorithm, value })
    });
    let first = given.next();
    if given.next().is_some() {
        return Err(failure::invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    Ok(first)
}

/// The checksum that is given in the fields of an input.
macro_rules! given_checksum {
    ($input:expr) => {
        $crate::s3::checksum::the_only([
            (
                $crate::s3::checksum::Algorithm::Crc32,
                $input.checksum_crc32.clone(),
            ),
            (
                $crate::s3::checksum::Algorithm::Crc32c,
                $input.checksum_crc32c.clone(),
            ),
            (
                $crate::s3::checksum::Algorithm::Crc64nvme,
                $input.checksum_crc64nvme.clone(),
            ),
            (
                $crate::s3::checksum::Algorithm::Sha1,
                $input.checksum_sha1.clone(),
            ),
            (
                $crate::s3::checksum::Algorithm::Sha256,
                $input.checksum_sha256.clone(),
            ),
        ])
    };
}

/// Puts a checksum, if there is one, into the fields of an output.
macro_rules! answer_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let all = checksum.to_dto();
            $output.checksum_crc32 = all.checksum_crc32;
            $output.checksum_crc32c = all.checksum_crc32c;
            $output.checksum_crc64nvme = all.checksum_crc64nvme;
            $output.checksum_sha1 = all.checksum_sha1;
            $output.checksum_sha256 = all.checksum_sha256;
        }
    };
}

pub(super) use {answer_checksum, given_checksum};

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, data: &[u8]) -> Checksum {
        let mut hasher = algorithm.hasher();
        hasher.update(data);
        hasher.finish()
    }

    #[test]
    fn checksums_of_parts_add_up_to_the_checksum_of_the_whole() {
        let (a, b, c) = (b"first part, ".as_slice(), b"second".as_slice(), b"!");
        let whole = [a, b, c].concat();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64nvme] {
            let sums = [a, b, c].map(|data| of(algorithm, data));
            let parts: Vec<_> = sums.iter().zip([12, 6, 1]).collect();
            let sum = Checksum::of_parts(algorithm, Kind::FullObject, &parts);
            assert_eq!(sum, Some(of(algorithm, &whole)), "{algorithm:?}");
        }
    }

    #[test]
    fn a_composite_checksum_is_of_the_parts_checksums() {
        let sums = [b"a", b"b"].map(|data| of(Algorithm::Sha256, data));
        let parts: Vec<_> = sums.iter().zip([1, 1]).collect();
        let sum = Checksum::of_parts(Algorithm::Sha256, Kind::Composite, &parts).unwrap();
        let raw = sums.map(|sum| BASE64_STANDARD.decode(&*sum.value).unwrap());
        let expected = of(Algorithm::Sha256, &raw.concat());
        assert_eq!(*sum.value, format!("{}-2", expected.value));
        assert_eq!(sum.kind(), Kind::Composite);
    }
}
