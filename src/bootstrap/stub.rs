//! How the bootstrap comes into an image that does not have it: a few lines of Python in the
//! job definition's environment, which fetch the binary, check it and become it.

/// Environment variables of the job definition that the stub reads.
pub mod variable {
    /// The stub's text: [`STUB`](super::STUB).
    pub const STUB: &str = "FERROFLOW_STUB";
    /// `s3://bucket/prefix/.ferroflow/bootstrap`: the folder of the binaries, by SHA-256.
    pub const URL: &str = "FERROFLOW_BOOT_URL";
    /// The region of the bucket, which need not be the container's.
    pub const REGION: &str = "FERROFLOW_BOOT_REGION";
    /// JSON object: SHA-256 of the binary by machine, as `uname -m` calls it.
    pub const SHA256: &str = "FERROFLOW_BOOT_SHA256";
}

/// The stub, packed from `stub/stub.py` by `stub/pack.py`.
pub const STUB: &str = include_str!("stub/stub.min.txt");

/// The container's command. `true &&` lets images live whose entrypoint is `eval $@`, which
/// splits the words again: then `sh -c true` succeeds and the outer shell runs the rest.
pub const ENTRY_COMMAND: [&str; 3] = [
    "sh",
    "-c",
    "true && exec \"$(command -v python3||command -v python)\" -c \"$FERROFLOW_STUB\" task",
];
