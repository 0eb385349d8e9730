//! The code package: a tar in one gzip member, made from a list of members.
//!
//! Python lists what belongs into a package (`python/ferroflow/package.py`, by upstream's own code); here it is made.
//! The tar is, byte for byte, the one that upstream's `TarPackagingBackend` would write
//! (metaflow/packaging_sys/tar_backend.py); only its compression differs, which runs on all processors. The same
//! members give the same bytes, whatever the machine's number of processors. What is packed passes through a few
//! buffers of fixed size into a file, and nothing is read again while no file has changed ([`Cache`]).
//!
//! Nothing here uploads: that is the work of whoever asked for the package.

mod archive;
mod bytecode;
mod cache;
mod compress;
mod error;
mod fingerprint;
mod header;
mod make;
mod member;
mod noise;
mod owners;

#[cfg(test)]
mod tests;

pub use bytecode::{Compiled, members as bytecode};
pub use cache::Cache;
pub use error::PackageError;
pub use make::{Package, make};
pub use member::{Member, Source};
