//! Remembers what probes found, until the host boots again.
//!
//! Only what was found to work is remembered, and only while its program is the same file: whoever
//! mends a broken back-end should not have to wait for a reboot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::backends::Probe;
use crate::config::BackendKind;
use crate::probe::BackendStatus;

/// Name of the memory inside the cache directory.
const MEMORY_FILE: &str = "vm-backends.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    boot_id: String,
    probes: BTreeMap<String, (Probe, Option<SystemTime>)>,
}

/// The remembered answer for `kind` with guests of an architecture, or else that of `ask`.
pub(crate) fn probe(
    kind: BackendKind,
    guest: Architecture,
    dir: Option<&Path>,
    ask: impl FnOnce() -> Probe,
) -> Probe {
    let boot_id = kiln_platform::process::boot_id();
    let (Some(dir), Some(boot_id)) = (dir, boot_id) else {
        return ask();
    };
    let path = dir.join(MEMORY_FILE);
    let mut memory: Memory = std::fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    if memory.boot_id != boot_id {
        memory = Memory {
            boot_id,
            ..Memory::default()
        };
    }
    let name = format!("{kind} {guest}");
    if let Some((probe, modified)) = memory.probes.get(&name)
        && modified_at(probe.program.as_ref()) == *modified
    {
        return probe.clone();
    }
    let probe = ask();
    if !matches!(probe.status, BackendStatus::Works { .. }) {
        return probe;
    }
    let modified = modified_at(probe.program.as_ref());
    memory.probes.insert(name, (probe.clone(), modified));
    // Not being able to remember only costs time.
    let _ = crate::verified::replace_file(&path, &memory);
    probe
}

fn modified_at(program: Option<&PathBuf>) -> Option<SystemTime> {
    program?.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Facts;

    fn works(program: &Path) -> Probe {
        let status = BackendStatus::Works {
            detail: "7.2".to_owned(),
        };
        Probe {
            program: Some(program.to_owned()),
            status,
            facts: Facts::default(),
        }
    }

    #[test]
    fn answer_is_remembered_while_the_program_stays() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("qemu");
        std::fs::write(&program, b"1").unwrap();
        let ask = |asked: &mut u32| {
            *asked += 1;
            works(&program)
        };
        let mut asked = 0;
        for _ in 0..3 {
            probe(
                BackendKind::QemuTcg,
                Architecture::HOST,
                Some(dir.path()),
                || ask(&mut asked),
            );
        }
        let expected = if kiln_platform::process::boot_id().is_some() {
            1
        } else {
            3
        };
        assert_eq!(asked, expected);
        let old = SystemTime::UNIX_EPOCH;
        std::fs::File::options()
            .write(true)
            .open(&program)
            .unwrap()
            .set_modified(old)
            .unwrap();
        probe(
            BackendKind::QemuTcg,
            Architecture::HOST,
            Some(dir.path()),
            || ask(&mut asked),
        );
        assert_eq!(asked, expected + 1);
    }

    #[test]
    fn missing_program_is_looked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut asked = 0;
        for _ in 0..2 {
            probe(
                BackendKind::QemuTcg,
                Architecture::HOST,
                Some(dir.path()),
                || {
                    asked += 1;
                    let status = BackendStatus::Broken {
                        reason: "not found".to_owned(),
                        hint: None,
                    };
                    Probe {
                        program: None,
                        status,
                        facts: Facts::default(),
                    }
                },
            );
        }
        assert_eq!(asked, 2);
    }
}
