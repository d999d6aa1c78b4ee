//! The ways to run a VM.

use std::path::{Path, PathBuf};

use crate::config::{BackendKind, VmConfig};
use crate::error::VmError;
use crate::probe::BackendReport;

/// The back-end that a VM is started with.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) kind: BackendKind,
    pub(crate) program: PathBuf,
}

pub(crate) fn choose(_config: &VmConfig) -> Result<Chosen, VmError> {
    Err(VmError::NoBackend {
        reports: Vec::new(),
    })
}

pub(crate) fn probe_all(_dirs: &[PathBuf], _cache: Option<&Path>) -> Vec<BackendReport> {
    Vec::new()
}
