//! wine, to run Windows programs: set up below `target/cross`, so that nobody's own wine is touched.
//!
//! wine before 10 lacks bcryptprimitives.dll, of which Rust's standard library takes one function; a library with
//! just that (`packaging/wine`) is put where wine has none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::Zig;
use crate::error::Error;
use crate::process::{installed, note, output, run};
use crate::project::Project;
use crate::setup;

/// Debian's and Ubuntu's packages.
const PACKAGES: &[&str] = &["wine", "wine64"];

/// Where the 64-bit program is, by distribution and version; the wrapper asks for 32-bit libraries in vain.
const PROGRAMS: &[&str] = &["/usr/lib/wine/wine64", "wine64", "wine"];

/// The library that old versions lack.
const MISSING_LIBRARY: &str = "bcryptprimitives.dll";

/// wine with a Windows of its own. Ends what still runs in it when dropped.
pub struct Wine {
    program: PathBuf,
    prefix: PathBuf,
}

impl Wine {
    /// Finds or installs wine; says why if there is none, and gives nothing then.
    pub fn get(project: &Project, zig: &Zig) -> Result<Option<Self>, Error> {
        if !setup::try_packages(PACKAGES)? {
            note("skipped: wine cannot be installed here (packages wine and wine64)");
            return Ok(None);
        }
        let program = PROGRAMS.iter().find(|name| installed(name));
        let Some(program) = program.map(|name| crate::process::program(name)) else {
            note("skipped: wine is installed and its program is not where it is looked for");
            return Ok(None);
        };
        let wine = Self {
            program,
            prefix: project.target().join("cross/wine"),
        };
        wine.set_up(project, zig)?;
        let version = output(
            wine.in_prefix(&mut Command::new(&wine.program))
                .arg("--version"),
        )?;
        note(version.trim());
        Ok(Some(wine))
    }

    /// What starts a Windows program, given as its first argument.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The variables that wine needs.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("WINEPREFIX", self.prefix.clone().into()),
            // Names of files are bytes here and Unicode there.
            ("LC_ALL", "C.UTF-8".into()),
            ("WINEDEBUG", "-all".into()),
            // Neither .NET nor a browser is needed, and each asks to be installed in a window.
            ("WINEDLLOVERRIDES", "mscoree,mshtml=".into()),
        ]
    }

    /// Lets a command run in this Windows.
    pub fn in_prefix<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.environment())
    }

    fn set_up(&self, project: &Project, zig: &Zig) -> Result<(), Error> {
        let system = self.prefix.join("drive_c/windows/system32");
        if !system.join("kernel32.dll").is_file() {
            std::fs::create_dir_all(&self.prefix).map_err(Error::file("create", &self.prefix))?;
            note("setting up a Windows");
            let mut boot = Command::new(&self.program);
            boot.args(["wineboot", "--init"]);
            run("setting up wine", self.in_prefix(&mut boot))?;
        }
        let library = system.join(MISSING_LIBRARY);
        if library.is_file() {
            return Ok(());
        }
        let mut cc = zig.cc("x86_64-windows-gnu");
        cc.args(["-O2", "-shared", "-s", "-o"])
            .arg(&library)
            .arg(project.root.join("packaging/wine/bcryptprimitives.c"))
            .arg("-ladvapi32");
        run("compiling bcryptprimitives.dll", &mut cc)
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Its server lingers, and would be counted to whoever waits for every child.
        let mut server = Command::new("wineserver");
        let _ = self.in_prefix(&mut server).arg("-k").status();
    }
}
