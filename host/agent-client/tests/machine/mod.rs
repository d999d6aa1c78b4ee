//! A real agent without a VM: the program runs here as root with mounts of its own, dials a socket, and finds its
//! layers in a folder. Tests that need it are skipped where it cannot run.

#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kiln_agent_client::protocol::{Exit, LowerRef, RunId, RunSpec};
use kiln_agent_client::{AgentClient, OutputStream, RunOutcome, Terms};
use kiln_erofs::IndexBuilder;
use kiln_layer::{Entry, Kind, Limits, TarReader, TarWriter};

const TOKEN: &str = "token-of-this-test";

pub struct Machine {
    pub client: AgentClient,
    listener: UnixListener,
    agent: Child,
    folder: tempfile::TempDir,
    next_run: AtomicU32,
}

/// A layer in the making.
pub struct Layer {
    tar: TarWriter<Vec<u8>>,
    index: IndexBuilder,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            tar: TarWriter::new(Vec::new()),
            index: IndexBuilder::new(),
        }
    }
}

impl Layer {
    pub fn entry(&mut self, entry: &Entry, mut data: &[u8]) {
        let offset = self.tar.append(entry, &mut data).expect("entry");
        self.index.add(entry, offset, None).expect("entry");
    }

    pub fn add(&mut self, path: &str, kind: Kind, mode: u32, data: &[u8]) {
        self.entry(&Entry::new(path, kind, mode), data);
    }

    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.add(
            path,
            Kind::File {
                size: data.len() as u64,
            },
            mode,
            data,
        );
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub run: RunId,
    pub outcome: RunOutcome,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn is_ok(&self) -> bool {
        self.outcome == RunOutcome::Exited(Exit::Code(0))
    }
}

impl Machine {
    /// Starts an agent; none where that is impossible.
    pub fn start() -> Option<Self> {
        Self::start_with(Terms::new(TOKEN))
    }

    pub fn start_with(terms: Terms) -> Option<Self> {
        let agent = agent_program()?;
        let folder = tempfile::Builder::new()
            .prefix("kiln-agent")
            .tempdir()
            .ok()?;
        fs::create_dir_all(folder.path().join("share/layers")).ok()?;
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).ok()?;
        let agent = Command::new(agent)
            .arg(format!("kiln.token={TOKEN}"))
            .arg(format!("kiln.socket={}", socket.display()))
            .arg(format!(
                "kiln.root={}",
                folder.path().join("root").display()
            ))
            .arg(format!(
                "kiln.share={}",
                folder.path().join("share").display()
            ))
            .arg("kiln.scratch=/dev/none")
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let stream = listener.accept().ok()?.0;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        let client =
            AgentClient::handshake(stream.try_clone().ok()?, stream, terms).expect("handshake");
        Some(Self {
            client,
            listener,
            agent,
            folder,
            next_run: AtomicU32::new(1),
        })
    }

    /// Puts a layer with busybox and a few files into the share.
    pub fn base(&self) -> LowerRef {
        let mut layer = Layer::default();
        for folder in ["bin", "etc", "home", "home/web", "old", "old/deep", "tmp"] {
            layer.add(
                folder,
                Kind::Dir,
                if folder == "tmp" { 0o1777 } else { 0o755 },
                b"",
            );
        }
        let busybox = fs::read("/bin/busybox").expect("busybox");
        layer.file("bin/busybox", 0o755, &busybox);
        for (path, text) in [
            (
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/home/web:/bin/sh\n",
            ),
            ("etc/group", "root:x:0:\nweb:x:44:\nextra:x:99:web\n"),
            ("old/file", "old\n"),
            ("old/deep/file", "deep\n"),
            ("not-executable", "text\n"),
        ] {
            layer.file(path, 0o644, text.as_bytes());
        }
        for applet in [
            "sh", "cat", "ls", "id", "mount", "ln", "rm", "mkdir", "true", "dd", "stat", "chmod",
            "kill", "touch", "mv", "mkfifo", "mknod", "chown", "truncate", "sleep", "readlink",
            "grep", "umount",
        ] {
            layer.add(
                &format!("bin/{applet}"),
                Kind::Symlink {
                    target: b"busybox".to_vec(),
                },
                0o777,
                b"",
            );
        }
        layer.add(
            "dangling",
            Kind::Symlink {
                target: b"/nowhere/else".to_vec(),
            },
            0o777,
            b"",
        );
        self.add_layer("base", layer)
    }

    /// Puts a layer into the share.
    pub fn add_layer(&self, name: &str, layer: Layer) -> LowerRef {
        let files = self.folder.path().join("share/layers");
        let tar = layer.tar.finish().expect("tar");
        let mut index = Vec::new();
        layer
            .index
            .finish(tar.len() as u64, &mut index)
            .expect("index");
        fs::write(files.join(format!("{name}.tar")), tar).expect("tar file");
        fs::write(files.join(format!("{name}.erofs")), index).expect("index file");
        LowerRef::Share { name: name.into() }
    }

    /// A spec for a shell script on these layers.
    pub fn script(&self, lowers: &[LowerRef], script: &str) -> RunSpec {
        let words = ["/bin/sh", "-c", script].map(String::from).to_vec();
        let run = RunId(self.next_run.fetch_add(1, Ordering::Relaxed));
        let mut spec = RunSpec::new(run, lowers.to_vec(), words);
        spec.env = vec!["PATH=/bin".into()];
        spec
    }

    pub fn run(&self, spec: &RunSpec) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let outcome = self
            .client
            .run(spec, &mut |stream, bytes| match stream {
                OutputStream::Stdout => stdout.extend_from_slice(bytes),
                OutputStream::Stderr => stderr.extend_from_slice(bytes),
            })
            .expect("the agent answers");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            run: spec.run,
            outcome,
            stdout: text(&stdout),
            stderr: text(&stderr),
        }
    }

    pub fn accept(&self) -> io::Result<UnixStream> {
        let stream = self.listener.accept()?.0;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    }

    /// The changes of a run: entries in their order, with the contents of small files.
    pub fn changes(&self, run: RunId) -> Changes {
        let stream = self
            .client
            .commit(run, 1 << 40, || self.accept())
            .expect("commit");
        let mut reader = stream.into_reader();
        let mut entries = Vec::new();
        let mut contents = BTreeMap::new();
        {
            let mut tar = TarReader::new(&mut reader, Limits::default());
            while let Some(next) = tar.next_entry().expect("entry") {
                let name = String::from_utf8_lossy(&next.entry.path).into_owned();
                if let Kind::File { size } = next.entry.kind
                    && size < 1 << 20
                {
                    let mut text = String::new();
                    tar.read_to_string(&mut text).expect("contents");
                    contents.insert(name, text);
                }
                entries.push(next.entry);
            }
            tar.finish_reading().expect("end");
        }
        let count = reader
            .end()
            .expect("the stream was read to its end")
            .entries;
        assert_eq!(count, entries.len() as u64);
        Changes { entries, contents }
    }
}

pub struct Changes {
    pub entries: Vec<Entry>,
    pub contents: BTreeMap<String, String>,
}

impl Changes {
    pub fn names(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect()
    }

    pub fn get(&self, path: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.path == path.as_bytes())
            .expect(path)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.client.shutdown();
        let _ = self.agent.wait();
    }
}

/// The agent, built; none if this machine cannot run it, which is said once.
fn agent_program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| match find_agent() {
            Ok(program) => Some(program),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        })
        .clone()
}

fn find_agent() -> Result<PathBuf, String> {
    let can_mount = Command::new("unshare")
        .args(["-m", "true"])
        .output()
        .is_ok_and(|out| out.status.success());
    if !can_mount {
        return Err("needs root and mount namespaces".into());
    }
    if !Path::new("/bin/busybox").exists() {
        return Err("needs a static /bin/busybox".into());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "kiln-agent"])
        .current_dir(&workspace)
        .status()
        .map_err(|error| error.to_string())?;
    let program = workspace.join("target/debug/kiln-agent");
    if built.success() && program.exists() {
        Ok(program)
    } else {
        Err("the agent does not build".into())
    }
}
