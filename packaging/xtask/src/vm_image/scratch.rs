//! The scratch-disk template: an empty ext4 file system, packed (`kiln_platform::sparse_pack`) so that archives and
//! packages can carry a disk of many GiB.
//!
//! No journal, since the disk dies with its VM. Metadata of all groups lie together and count as zeroed, so that
//! a disk made of the template is a handful of blocks and mounting it starts no background work.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use kiln_platform::sparse_pack;

use crate::error::Error;
use crate::process::{output, program};
use crate::vm_image::recipe::ScratchRecipe;

/// Time that the file system says it was made at: 2026-01-01, so that the same recipe gives the same bytes.
const MADE_AT: &str = "1767225600";

/// Writes the template; the disk that it is made from is gone afterwards.
pub fn write(recipe: &ScratchRecipe, path: &Path) -> Result<(), Error> {
    let disk = path.with_extension("disk");
    format(recipe, &disk)?;
    sparse_pack::pack(&disk, path).map_err(Error::file("write", path))?;
    std::fs::remove_file(&disk).map_err(Error::file("remove", &disk))
}

/// Makes the sparse file with the file system in it.
fn format(recipe: &ScratchRecipe, path: &Path) -> Result<(), Error> {
    let file = File::create(path).map_err(Error::file("create", path))?;
    file.set_len(recipe.size_gib << 30)
        .map_err(Error::file("write", path))?;
    let extended = format!("hash_seed={},{}", recipe.uuid, recipe.extended_options);
    let mut mkfs = Command::new(program("mkfs.ext4"));
    mkfs.args([
        "-q",
        "-F",
        "-U",
        &recipe.uuid,
        "-O",
        &recipe.features,
        "-E",
        &extended,
    ]);
    mkfs.args(&recipe.options)
        .arg(path)
        .env("E2FSPROGS_FAKE_TIME", MADE_AT);
    output(&mut mkfs).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;
    use crate::vm_image::recipe::Recipe;
    use kiln_vmm::image::file_digest;

    #[test]
    fn template_is_small_and_the_same_each_time() {
        if !crate::process::installed("mkfs.ext4") {
            println!("skipped: `mkfs.ext4` is not installed");
            return;
        }
        let recipe = Recipe::read(&Project::find().vm_image().join("recipe.json")).unwrap();
        let digests = ["a", "b"].map(|name| {
            let path =
                std::env::temp_dir().join(format!("kiln-scratch-{name}-{}", std::process::id()));
            write(&recipe.scratch, &path).unwrap();
            assert!(path.metadata().unwrap().len() < 1 << 20);
            let digest = file_digest(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            digest
        });
        assert_eq!(digests[0], digests[1]);
    }
}
