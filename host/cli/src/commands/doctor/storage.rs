//! Where data are kept: whether they can be written, what room there is, and on what they lie.

use std::path::Path;

use kiln_platform::disk_space;
use kiln_platform::file_system::{self, FileSystem, Kind};

use super::finding::{Finding, State};
use crate::format::size;
use crate::invocation::Invocation;

/// Less than this free is reported: a build of some size needs about as much.
const LOW_SPACE: u64 = 5_000_000_000;

/// All of it.
pub fn findings(invocation: &Invocation) -> Vec<Finding> {
    const NAME: &str = "data folder";
    let store = match invocation.store("kiln doctor") {
        Ok(store) => store,
        Err(failure) => return vec![Finding::new(NAME, State::Broken, failure.in_one_line())],
    };
    let root = store.root();
    let folder = match store.tmp_file() {
        Ok(_) => Finding::new(NAME, State::Ok, root.display().to_string()),
        Err(error) => Finding::new(NAME, State::Broken, error.to_string())
            .hint("KILN_DATA_DIR can name another"),
    };
    let found = file_system::of(root).ok().flatten();
    std::iter::once(folder)
        .chain(free_space(root))
        .chain(found.as_ref().map(lies_on))
        .collect()
}

fn free_space(root: &Path) -> Option<Finding> {
    let free = disk_space::available(root).ok().flatten()?;
    let text = format!("{} free", size::long(free));
    Some(match free < LOW_SPACE {
        true => Finding::new("disk space", State::Warning, text).hint("`kiln prune` makes room"),
        false => Finding::new("disk space", State::Ok, text),
    })
}

fn lies_on(found: &FileSystem) -> Finding {
    const NAME: &str = "file system";
    let name = &found.name;
    let why = match found.kind {
        Kind::Local => return Finding::new(NAME, State::Ok, name),
        Kind::Network => "is on another machine: slow, and locks may not hold",
        Kind::Memory => "is memory: images are gone with the next start of this machine",
        Kind::Limited => "has no holes and no large files: layers may not fit",
        Kind::UserSpace => "is served by a program: locks may not hold",
    };
    Finding::new(NAME, State::Warning, format!("{name} {why}"))
        .hint("set KILN_DATA_DIR to a folder on a disk of this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_of_this_machine_are_good() {
        let state = |kind| {
            let found = FileSystem {
                name: "x".to_owned(),
                kind,
            };
            let finding = lies_on(&found);
            (finding.state, finding.hint.is_some())
        };
        assert_eq!(state(Kind::Local), (State::Ok, false));
        for kind in [Kind::Network, Kind::Memory, Kind::Limited, Kind::UserSpace] {
            assert_eq!(state(kind), (State::Warning, true), "{kind:?}");
        }
    }
}
