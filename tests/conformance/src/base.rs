//! The one base image of the corpus, imported under each name that its Dockerfiles use.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::kiln::Kiln;

const NAMES: &[&str] = &["busybox", "alpine", "centos:7"];

const CHANGES: &[&str] = &[
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "CMD [\"sh\"]",
];

/// Makes the base in `work` and imports it. Returns its tar.
pub fn import(kiln: &Kiln, corpus: &Path, work: &Path) -> Result<PathBuf, Error> {
    let tar = work.join("base.tar");
    let mut make = Command::new("sh");
    make.arg(corpus.join("make-base.sh")).arg(&tar);
    // Debian's busybox-static; where it is not installed the script fetches the package.
    if let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    {
        make.arg(busybox);
    }
    run("make-base.sh", &mut make)?;
    for name in NAMES {
        let mut import = kiln.command();
        import.arg("import");
        for change in CHANGES {
            import.args(["--change", change]);
        }
        run("kiln import", import.arg(&tar).arg(name))?;
    }
    Ok(tar)
}

fn run(program: &str, command: &mut Command) -> Result<(), Error> {
    let program = program.to_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::Program { program, output })
        }
        Err(error) => Err(Error::Program {
            program,
            output: error.to_string(),
        }),
    }
}
