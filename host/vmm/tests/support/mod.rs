//! Makes a VM image whose /init is `tests/guest/init.rs`, and talks to it.
//!
//! Needs QEMU, a guest kernel (`KILN_TEST_KERNEL`, or the one in `vm-image/out/<arch>`), `rustc`, and
//! `mkfs.ext4`; where one is missing, [`TestImage::make`] says which.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kiln_vmm::image::{self, ImageFile, ImageManifest, MANIFEST_FILE, MANIFEST_VERSION};
use kiln_vmm::{Architecture, BackendKind, GuestStream, Vm, VmConfig, VmImage};

/// Far more than a boot takes on a loaded machine.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(30);

/// A VM image in a temporary directory.
pub struct TestImage {
    pub dir: tempfile::TempDir,
    /// The back-end to boot it with; `None` for the best one.
    pub backend: Option<BackendKind>,
}

impl TestImage {
    /// Makes the image, or tells what is missing for it.
    pub fn make() -> Result<Self, String> {
        let kernel = find_kernel()?;
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = |name: &str| dir.path().join(name);
        std::fs::copy(&kernel, path("vmlinux"))
            .map_err(|error| format!("cannot copy {}: {error}", kernel.display()))?;
        let init = build_init(dir.path())?;
        std::fs::write(path("initramfs"), cpio(&init)).map_err(|error| error.to_string())?;
        make_scratch(&path("scratch.img"))?;
        kiln_platform::sparse_pack::pack(&path("scratch.img"), &path("scratch.pack"))
            .map_err(|error| format!("cannot pack the scratch disk: {error}"))?;
        let image = Self { dir, backend: None };
        image.write_manifest();
        Ok(image)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Describes the files as they are now.
    pub fn write_manifest(&self) {
        let file = |name: &str| {
            let path = self.path().join(name);
            let size = path.metadata().unwrap().len();
            ImageFile {
                file: name.to_owned(),
                sha256: image::file_digest(&path).unwrap(),
                size,
            }
        };
        let manifest = ImageManifest {
            manifest_version: MANIFEST_VERSION,
            protocol_version: 0,
            arch: Architecture::HOST,
            kernel: file("vmlinux"),
            initramfs: file("initramfs"),
            scratch: file("scratch.pack"),
        };
        let text = serde_json::to_vec_pretty(&manifest).unwrap();
        std::fs::write(self.path().join(MANIFEST_FILE), text).unwrap();
    }

    /// How to start it; this very program becomes the helper.
    pub fn config(&self) -> VmConfig {
        let image = VmImage::open(self.path()).unwrap();
        let helper = std::env::current_exe().unwrap();
        let mut config = VmConfig::new(image, self.path().join("run"), helper);
        config.memory_mib = 512;
        config.backend = self.backend;
        config.cache_dir = Some(self.path().join("cache"));
        config
    }

    /// Boots and waits for the guest's greeting.
    pub fn boot(&self) -> (Vm, Guest) {
        boot(&self.config())
    }

    /// What is left in the runtime directory.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        match std::fs::read_dir(self.path().join("run")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Boots and waits for the guest's greeting.
pub fn boot(config: &VmConfig) -> (Vm, Guest) {
    let mut vm = Vm::start(config).unwrap();
    let mut guest = match vm.accept(BOOT_TIMEOUT) {
        Ok(stream) => Guest::new(stream),
        Err(error) => panic!("{error}\n{}", vm.console()),
    };
    assert_eq!(guest.line(), format!("hello {}", vm.token()));
    (vm, guest)
}

/// One stream to the guest, which obeys commands on it.
pub struct Guest {
    pub lines: BufReader<GuestStream>,
    pub stream: GuestStream,
}

impl Guest {
    pub fn new(stream: GuestStream) -> Self {
        Self {
            lines: BufReader::with_capacity(1 << 20, stream.try_clone().unwrap()),
            stream,
        }
    }

    pub fn say(&mut self, command: &str) {
        writeln!(self.stream, "{command}").unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, command: &str) -> String {
        self.say(command);
        self.line()
    }

    pub fn echo(&mut self, data: &[u8]) -> Vec<u8> {
        self.say(&format!("echo {}", data.len()));
        self.stream.write_all(data).unwrap();
        let mut back = vec![0; data.len()];
        self.lines.read_exact(&mut back).unwrap();
        back
    }

    /// Reads `total` bytes of what `send` sends and checks each.
    pub fn check_sent(&mut self, total: usize, write: usize) {
        let mut buf = vec![0; 1 << 20];
        let mut at = 0;
        while at < total {
            let limit = buf.len().min(total - at);
            let read = self.lines.read(&mut buf[..limit]).unwrap();
            assert!(read > 0, "the stream ended at {at} of {total}");
            for (i, byte) in buf[..read].iter().enumerate() {
                assert_eq!(*byte, ((at + i) % write % 251) as u8, "byte {}", at + i);
            }
            at += read;
        }
    }
}

fn find_kernel() -> Result<PathBuf, String> {
    if let Some(kernel) = std::env::var_os("KILN_TEST_KERNEL") {
        return Ok(kernel.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vm-image/out");
    let image = VmImage::find(Architecture::HOST, &[root]).map_err(|error| {
        format!("{error} in vm-image/out and KILN_TEST_KERNEL is not set: no guest kernel")
    })?;
    Ok(image.kernel())
}

fn build_init(dir: &Path) -> Result<Vec<u8>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = dir.join("libkiln_mux.rlib");
    rustc(
        &folder.join("../../guest-agent/mux/src/lib.rs"),
        &library,
        &["--crate-name=kiln_mux", "--crate-type=rlib"],
    )?;
    let out = dir.join("init");
    let with_library = format!("kiln_mux={}", library.display());
    rustc(
        &folder.join("tests/guest/init.rs"),
        &out,
        &["--extern", &with_library],
    )?;
    std::fs::read(&out).map_err(|error| format!("cannot read the test's init: {error}"))
}

/// Compiles one crate for the guest.
fn rustc(source: &Path, out: &Path, more: &[&str]) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "-O", "-Ctarget-feature=+crt-static"])
        .args(["-Cpanic=abort", "-Cstrip=symbols"])
        .args(more)
        .arg("-o")
        .args([out, source])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "rustc cannot build a static program here ({status})"
        )),
        Err(error) => Err(format!("rustc does not run: {error}")),
    }
}

/// A 256 MiB ext4 without a journal, stored sparsely.
fn make_scratch(path: &Path) -> Result<(), String> {
    let run = |program: &str| {
        Command::new(program)
            .args([
                "-q",
                "-F",
                "-O",
                "^has_journal",
                "-E",
                "lazy_itable_init=1,nodiscard",
            ])
            .arg(path)
            .arg("256M")
            .status()
    };
    let status = run("mkfs.ext4").or_else(|_| run("/sbin/mkfs.ext4"));
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("mkfs.ext4 failed ({status})")),
        Err(error) => Err(format!("mkfs.ext4 does not run: {error}")),
    }
}

/// An initramfs (cpio, "newc") with /init and /dev/console.
pub fn cpio(init: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    type Entry<'a> = (&'a str, u32, (u32, u32), &'a [u8]);
    let entries: [Entry<'_>; 5] = [
        ("dev", 0o040_755, (0, 0), b""),
        ("dev/console", 0o020_600, (5, 1), b""),
        ("proc", 0o040_755, (0, 0), b""),
        ("init", 0o100_755, (0, 0), init),
        ("TRAILER!!!", 0, (0, 0), b""),
    ];
    for (number, (name, mode, (major, minor), data)) in entries.into_iter().enumerate() {
        archive.extend_from_slice(b"070701");
        let fields = [
            number as u32 + 1,
            mode,
            0,
            0,
            1,
            0,
            data.len() as u32,
            0,
            0,
            major,
            minor,
            name.len() as u32 + 1,
            0,
        ];
        for field in fields {
            archive.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        archive.extend_from_slice(name.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}
