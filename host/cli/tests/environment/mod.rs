//! A closed world for one test: own data folder, no variable of the user's, no VM.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The world. Everything in it is gone when it is dropped.
pub struct TestEnvironment {
    dir: TempDir,
}

/// A finished `kiln`.
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Its standard output, once it is sure that it succeeded.
    pub fn stdout(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// Its standard error, once it is sure that it ended with this code.
    pub fn failure(self, code: i32) -> String {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stderr
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl TestEnvironment {
    pub fn new() -> Self {
        Self {
            dir: TempDir::with_prefix("kiln-cli-").expect("temporary folder"),
        }
    }

    /// Folder of the test's files, and the working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file with the folders that it needs.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("folder");
        std::fs::write(&path, content).expect("file");
        path
    }

    /// `kiln`, ready to start.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command
            .args(words)
            .current_dir(self.dir())
            .env_clear()
            .env("KILN_DATA_DIR", self.dir().join("data"))
            .env("KILN_VM_IMAGE", self.dir().join("no-vm-image"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `kiln` to its end.
    pub fn kiln(&self, words: &[&str]) -> Finished {
        self.command(words).output().expect("kiln starts").into()
    }

    /// Runs `kiln` with this standard input.
    pub fn kiln_with_input(&self, words: &[&str], input: &[u8]) -> Finished {
        let path = self.write("stdin", input);
        let mut command = self.command(words);
        command
            .stdin(std::fs::File::open(path).expect("file"))
            .output()
            .expect("kiln starts")
            .into()
    }

    /// A root file system with one file, as a tar.
    pub fn rootfs(&self) -> Vec<u8> {
        let content = b"hello\n";
        let mut header = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"hello.txt");
        put(100, b"0000644\x000000000\x000000000\x00");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000000000\0        0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut tar = header.to_vec();
        tar.extend_from_slice(content);
        tar.resize(4 * 512, 0);
        tar
    }

    /// Imports that file system under a name, and returns the image's id.
    pub fn import(&self, name: &str) -> String {
        let tar = self.write("rootfs.tar", self.rootfs());
        let tar = tar.to_str().expect("UTF-8");
        let change = r#"CMD ["/hello"]"#;
        self.kiln(&[
            "import",
            "-c",
            change,
            "-c",
            "LABEL who=me",
            "-m",
            "from a test",
            tar,
            name,
        ])
        .stdout()
    }
}

/// Gives a file or folder these permissions, on systems that have them.
pub fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}
