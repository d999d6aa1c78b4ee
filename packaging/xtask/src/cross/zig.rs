//! zig as C compiler and linker for every target, and `cargo zigbuild`, which makes cargo use it.
//!
//! Both come from PyPI into an environment of their own below `target/cross`, held to the versions and digests in
//! `packaging/cross/zig.txt`. No SDK of Apple's, no mingw and no musl-tools are needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::cross::cargo_for;
use crate::cross::Target;
use crate::digest::Inputs;
use crate::error::Error;
use crate::process::{note, output, run, succeeds};
use crate::project::Project;
use crate::setup;

/// Oldest macOS that binaries are made for.
pub const MACOS_VERSION: &str = "13.0";

/// The installed tools.
pub struct Zig {
    /// The Python environment.
    environment: PathBuf,
    /// zig's own program.
    program: PathBuf,
    /// Where zig keeps what it compiled of its C libraries.
    cache: PathBuf,
    /// Folder of hand-written descriptions of Apple's frameworks, for there is no SDK.
    frameworks: PathBuf,
}

impl Zig {
    /// Installs the pinned tools unless they are there.
    pub fn get(project: &Project) -> Result<Self, Error> {
        let pins = project.root.join("packaging/cross/zig.txt");
        let mut inputs = Inputs::default();
        inputs.add_file("zig.txt", &pins)?;
        let folder = project.target().join("cross");
        let environment = folder.join(format!("zig-{}", inputs.key()));
        if !environment.is_dir() {
            install(&pins, &environment)?;
        }
        let find =
            "import ziglang, os; print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))";
        let program = output(Command::new(environment.join("bin/python")).args(["-c", find]))?;
        Ok(Self {
            program: PathBuf::from(program.trim()),
            cache: folder.join("zig-cache"),
            frameworks: project.root.join("packaging/macos/stubs"),
            environment,
        })
    }

    /// `cargo <subcommand>` for `target`, with zig behind it.
    pub fn cargo(
        &self,
        project: &Project,
        target: &Target,
        subcommand: &str,
    ) -> Result<Command, Error> {
        let cargo = cargo_for(project, target.triple)?;
        let mut zigbuild = Command::new(self.environment.join("bin/cargo-zigbuild"));
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => zigbuild.env(name, value),
                None => zigbuild.env_remove(name),
            };
        }
        zigbuild
            .current_dir(&project.root)
            .arg(subcommand)
            .args(cargo.get_args())
            .args(["--locked", "--target", target.triple])
            .env("CARGO", cargo.get_program())
            .env("CARGO_ZIGBUILD_ZIG_PATH", &self.program)
            .env("CARGO_ZIGBUILD_CACHE_DIR", &self.cache)
            .env("ZIG_GLOBAL_CACHE_DIR", &self.cache)
            .env("ZIG_LOCAL_CACHE_DIR", &self.cache)
            .env("MACOSX_DEPLOYMENT_TARGET", MACOS_VERSION);
        if target.triple.ends_with("apple-darwin") {
            let flags = format!("-Lframework={}", self.frameworks.display());
            zigbuild.env(variable(target, "RUSTFLAGS"), flags);
        }
        Ok(zigbuild)
    }

    /// `zig cc` for a target as zig names it.
    pub fn cc(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["cc", "-target", target])
            .env("ZIG_GLOBAL_CACHE_DIR", &self.cache)
            .env("ZIG_LOCAL_CACHE_DIR", &self.cache);
        command
    }
}

/// `CARGO_TARGET_<TRIPLE>_<name>`.
pub fn variable(target: &Target, name: &str) -> String {
    let triple = target.triple.replace('-', "_").to_uppercase();
    format!("CARGO_TARGET_{triple}_{name}")
}

fn install(pins: &Path, environment: &Path) -> Result<(), Error> {
    note("installing zig and cargo-zigbuild from PyPI");
    let staged = environment.with_extension("new");
    run("rm", Command::new("rm").arg("-rf").arg(&staged))?;
    // Debian has this part of Python in a package of its own.
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        setup::try_packages(&["python3-venv"])?;
    }
    run(
        "making a Python environment",
        Command::new("python3").args(["-m", "venv"]).arg(&staged),
    )?;
    let mut pip = Command::new(staged.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
    .arg(pins);
    run("installing zig", &mut pip)?;
    // The scripts in it know the folder by its first name, but what is used here is no script of Python's.
    if !environment.is_dir() {
        std::fs::rename(&staged, environment).map_err(Error::file("create", environment))?;
    }
    Ok(())
}
