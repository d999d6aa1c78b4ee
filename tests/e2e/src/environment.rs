//! Runs `kiln` in a closed environment: own data directory, no variable of the user's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// One test's world. Everything in it is gone when it is dropped.
pub struct TestEnvironment {
    dir: TempDir,
    data_dir: PathBuf,
    pub(crate) vm_image: PathBuf,
}

/// A finished `kiln`.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The same, once it is sure that the command succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, once it is sure that the command failed with this code.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn failure(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The root of the checkout.
#[must_use]
pub fn project_dir() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("tests/e2e is two folders deep")
        .to_path_buf()
}

/// Whether all of these programs are installed; says which one is not, as the reason of a skip.
#[must_use]
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
pub fn skip_unless(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        if !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            println!("skipped: `{program}` is not installed (`cargo xtask setup` installs it)");
            return true;
        }
    }
    false
}

/// Whether the guests of these tests are reached over serial ports: they have no virtio-fs then.
#[must_use]
pub fn over_serial() -> bool {
    std::env::var_os("KILN_VMM").is_some_and(|name| name == "qemu-serial")
}

impl Default for TestEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl TestEnvironment {
    /// A new world with an empty store.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("kiln-e2e-").expect("temporary folder");
        let data_dir = dir.path().join("data");
        let vm_image = std::env::var_os("KILN_VM_IMAGE")
            .map_or_else(|| project_dir().join("vm-image/out"), PathBuf::from);
        Self {
            dir,
            data_dir,
            vm_image,
        }
    }

    /// Keeps the store in this folder instead.
    #[must_use]
    pub fn with_data_dir(mut self, data_dir: PathBuf) -> Self {
        self.data_dir = data_dir;
        self
    }

    /// A world in which no VM can start: what succeeds here needed none.
    #[must_use]
    pub fn without_vm(mut self) -> Self {
        self.forbid_vm();
        self
    }

    /// From here on no VM can start.
    pub fn forbid_vm(&mut self) {
        self.vm_image = self.dir.path().join("no-vm-image");
    }

    /// The store's folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below [`Self::dir`], with the folders it needs, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a name below the folder")).expect("folder");
        std::fs::write(&path, content).expect("file");
        path
    }

    /// `kiln` with these arguments, ready to start.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(kiln_binary());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("KILN_DATA_DIR", &self.data_dir)
            .env("KILN_VM_IMAGE", &self.vm_image)
            .stdin(Stdio::null());
        // Which back-end the tests are about is for whoever runs them to say.
        command.envs(std::env::var_os("KILN_VMM").map(|vmm| ("KILN_VMM", vmm)));
        command
    }

    /// Runs `kiln` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn kiln(&self, args: &[&str]) -> Finished {
        self.command(args).output().expect("kiln starts").into()
    }

    /// Starts `kiln` with its output in pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kiln starts")
    }

    /// Imports the small busybox base under the name `busybox`.
    ///
    /// # Panics
    /// When it cannot be made or imported.
    pub fn import_busybox(&self) {
        self.import_rootfs(&crate::busybox_rootfs(), &[], "busybox");
    }

    /// Imports a root file system as an image with a search path and a shell, with these further flags.
    pub(crate) fn import_rootfs(&self, rootfs: &Path, flags: &[&str], name: &str) {
        let mut all = vec![
            "import",
            "--change",
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "--change",
            "CMD [\"sh\"]",
        ];
        all.extend(flags);
        all.extend([rootfs.to_str().expect("path is UTF-8"), name]);
        let _ = self.kiln(&all).success();
    }

    /// Builds a Dockerfile with the folder `context` (made if missing) as its context, in plain progress.
    #[must_use]
    pub fn build(&self, dockerfile: &str, args: &[&str]) -> Finished {
        self.write("context/Dockerfile", dockerfile);
        let mut all = vec!["build", "--progress=plain"];
        all.extend(args);
        all.push("context");
        self.kiln(&all)
    }

    /// The store verifies.
    ///
    /// # Panics
    /// When it does not.
    pub fn assert_store_whole(&self) {
        let _ = self.kiln(&["system", "check"]).success();
    }
}

/// The binary under test: `KILN_BIN`, else the release build of this checkout.
fn kiln_binary() -> PathBuf {
    let path = std::env::var_os("KILN_BIN")
        .map_or_else(|| project_dir().join("target/release/kiln"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask test`",
        path.display()
    );
    path
}
