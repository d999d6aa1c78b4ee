//! The task `hello`: from a fresh checkout to a running image, with every step shown.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::process::{note, program, run as run_command, step};
use crate::project::Project;
use crate::setup::{self, Scope};
use crate::{test, vm_image};

/// Programs of busybox that the base offers by name: what a small Dockerfile calls.
const COMMANDS: &[&str] = &[
    "[", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dirname", "echo", "env",
    "expr", "false", "find", "grep", "head", "hostname", "id", "ln", "ls", "mkdir", "mv", "printf",
    "ps", "pwd", "rm", "sed", "seq", "sh", "sleep", "sort", "stat", "tail", "tar", "test", "touch",
    "tr", "true", "uname", "uniq", "wc", "which", "whoami", "xargs",
];

/// The image's name.
const IMAGE: &str = "hello";

/// Builds the example and runs it.
pub fn run(project: &Project) -> Result<(), Error> {
    setup::run(project, Scope::Build)?;
    vm_image::build(project, std::env::consts::ARCH)?;
    test::build_kiln(project)?;
    let work = project.target().join("hello");
    std::fs::create_dir_all(&work).map_err(Error::file("create", &work))?;
    let base = work.join("base.tar");
    step("a base image, from Debian's busybox-static");
    make_base(&work, &base)?;
    let example = project.root.join("examples/hello");
    kiln(
        project,
        &[
            "import",
            "--change",
            "CMD [\"sh\"]",
            &text(&base),
            "busybox",
        ],
    )?;
    step("the example");
    kiln(project, &["build", "-t", IMAGE, &text(&example)])?;
    kiln(project, &["run", "--rm", IMAGE])?;
    step("done");
    note("to go on from here:");
    for (name, value) in environment(project) {
        note(&format!("export {name}={}", value.display()));
    }
    note(&format!("{} images", project.kiln().display()));
    Ok(())
}

/// Shows and runs one command of Kiln.
fn kiln(project: &Project, args: &[&str]) -> Result<(), Error> {
    let shown: Vec<String> = args
        .iter()
        .map(|word| quoted(word, &project.root))
        .collect();
    println!("$ kiln {}", shown.join(" "));
    let mut command = Command::new(project.kiln());
    command.args(args).envs(environment(project));
    run_command(
        &format!("kiln {}", args[0]),
        command.current_dir(&project.root),
    )
}

/// What `kiln` is told in this checkout: where its VM image is, and to keep its store among the build's results.
fn environment(project: &Project) -> [(&'static str, PathBuf); 2] {
    [
        (
            "KILN_VM_IMAGE",
            project.vm_image_out(std::env::consts::ARCH),
        ),
        ("KILN_DATA_DIR", project.target().join("hello/data")),
    ]
}

/// A word as one would type it in the checkout's root.
fn quoted(word: &str, root: &Path) -> String {
    let short = Path::new(word)
        .strip_prefix(root)
        .map_or(word.to_owned(), |path| path.display().to_string());
    if short.contains([' ', '"', '[']) {
        format!("'{short}'")
    } else {
        short
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A root file system with busybox and nothing else, as a tar; needs no root.
fn make_base(work: &Path, tar: &Path) -> Result<(), Error> {
    let root = work.join("base");
    match std::fs::remove_dir_all(&root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &root)(error));
        }
        _ => {}
    }
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/bin"] {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
    }
    let busybox = root.join("bin/busybox");
    let installed: PathBuf = program("busybox");
    std::fs::copy(&installed, &busybox).map_err(Error::file("copy", &installed))?;
    for name in COMMANDS {
        let link = root.join("bin").join(name);
        run_command("ln", Command::new("ln").args(["-s", "busybox"]).arg(&link))?;
    }
    for (name, line) in [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("group", "root:x:0:\n"),
    ] {
        let path = root.join("etc").join(name);
        std::fs::write(&path, line).map_err(Error::file("write", &path))?;
    }
    let mut pack = Command::new("tar");
    pack.args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--sort=name",
        "--mtime=@1767225600",
    ]);
    pack.args(["--mode=u+rw,go+r,go-w", "-cf"])
        .arg(tar)
        .arg("-C")
        .arg(&root)
        .arg(".");
    run_command("tar", &mut pack)
}
