//! Archives with the same bytes for the same files: tar.gz, and zip for Windows.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::cross::{System, Target};
use crate::dist::{FILE_TIME, name_of};
use crate::error::Error;
use crate::process::run;

/// Packs the folder into an archive beside it.
pub fn pack(target: &Target, folder: &Path) -> Result<PathBuf, Error> {
    match target.system {
        System::Windows => zip(folder),
        System::MacOs | System::Linux => tar_gz(folder),
    }
}

/// Sorted, owned by root, of one time; modes are those that the files need, whatever the umask was.
fn tar_gz(folder: &Path) -> Result<PathBuf, Error> {
    let parent = folder.parent().expect("the folder is below target");
    let name = name_of(folder);
    let tar = parent.join(format!("{name}.tar"));
    let mut pack = Command::new("tar");
    pack.args(["--format=ustar", "--sort=name", "--mode=u+rw,go=rX"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{FILE_TIME}"))
        .arg("-cf")
        .arg(&tar)
        .arg("-C")
        .arg(parent)
        .arg(&name);
    run("tar", &mut pack)?;
    let mut gzip = Command::new("gzip");
    run("gzip", gzip.args(["-n", "-9", "-f"]).arg(&tar))?;
    Ok(parent.join(format!("{name}.tar.gz")))
}

fn zip(folder: &Path) -> Result<PathBuf, Error> {
    let parent = folder.parent().expect("the folder is below target");
    let path = parent.join(format!("{}.zip", name_of(folder)));
    let written = write_zip(parent, folder, &path);
    written.map_err(|error| Error::file("write", &path)(error.into()))?;
    Ok(path)
}

fn write_zip(parent: &Path, folder: &Path, path: &Path) -> zip::result::ZipResult<()> {
    let time = DateTime::from_date_and_time(2026, 1, 1, 0, 0, 0)
        .map_err(|_| zip::result::ZipError::InvalidArchive("time".into()))?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(time);
    let mut zip = ZipWriter::new(File::create(path)?);
    for file in files_below(folder)? {
        let name = file.strip_prefix(parent).expect("it is below the folder");
        zip.start_file(name.to_string_lossy(), options)?;
        zip.write_all(&std::fs::read(&file)?)?;
    }
    zip.finish().map(drop)
}

/// Every file below a folder, sorted.
pub fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::target::{RELEASED, WINDOWS};
    use crate::digest::of_file;

    #[test]
    fn archive_does_not_depend_on_times_modes_and_order_of_creation() {
        use std::os::unix::fs::PermissionsExt;
        for target in [WINDOWS, RELEASED[0]] {
            let digests = [["b", "a"], ["a", "b"]].map(|order| {
                let dir = tempfile::tempdir().unwrap();
                let folder = dir.path().join("kiln");
                std::fs::create_dir_all(folder.join("sub")).unwrap();
                for (number, name) in order.iter().enumerate() {
                    let path = folder.join("sub").join(name);
                    std::fs::write(&path, name).unwrap();
                    let mode = if number == 0 { 0o600 } else { 0o644 };
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                    let time =
                        std::time::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
                    let file = File::options().write(true).open(&path).unwrap();
                    file.set_modified(time).unwrap();
                }
                of_file(&pack(&target, &folder).unwrap()).unwrap()
            });
            assert_eq!(digests[0], digests[1], "{}", target.triple);
        }
    }
}
