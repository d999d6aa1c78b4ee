//! OCI images as data: digests, image configs, manifests, names, compression and archives.
//!
//! Owns the formats that images travel in. It must not touch the store, the network or the terminal;
//! archives are read from a file the caller opened and written to any writer. Everything that is parsed
//! here may come from a stranger: lengths, depths and counts are bounded and nothing panics.
#![forbid(unsafe_code)]

pub mod archive;
mod compression;
mod config;
mod digest;
mod layer_id;
mod manifest;
mod name;
mod parallel_gzip;
mod platform;
mod runtime_config;
mod time;

pub use compression::{Compression, decompress};
pub use config::{ConfigError, History, ImageConfig, MAX_CONFIG_LEN, RootFs};
pub use digest::{Digest, DigestError, Hasher};
pub use layer_id::{ChainId, DiffId};
pub use manifest::{Descriptor, ImageIndex, Manifest, media_type};
pub use name::{ImageName, NameError};
pub use parallel_gzip::ParallelGzip;
pub use platform::{Platform, PlatformError};
pub use runtime_config::{ContainerConfig, Healthcheck};
pub use time::{parse_rfc3339, to_rfc3339};
