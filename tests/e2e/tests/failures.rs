//! Crashes, signals and full disks: a clear error, nothing left behind, a store that verifies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kiln_e2e::{TestEnvironment, skip_unless};

/// A build that is inside of a long RUN.
fn build_in_a_long_run(env: &TestEnvironment) -> Child {
    env.import_busybox();
    env.write(
        "context/Dockerfile",
        "FROM busybox\nRUN echo one > /one\nRUN touch /two; echo in-the-run; sleep 600\n",
    );
    let child = env
        .command(&["build", "--progress=plain", "context"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(env.dir().join("progress")).unwrap())
        .spawn()
        .unwrap();
    let progress = env.dir().join("progress");
    wait_until("the RUN runs", || {
        // The command's own text has the word too, the output line begins with a time.
        std::fs::read_to_string(&progress)
            .unwrap()
            .lines()
            .any(|line| line.ends_with(" in-the-run"))
    });
    child
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(90),
            "not within 90 s: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose command line names this environment's data directory, or that descend from its builds.
fn processes(env: &TestEnvironment, program: &str) -> Vec<i32> {
    let needle = env.data_dir().to_str().unwrap().to_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command).into_owned();
        let ours =
            text.contains(&needle) || String::from_utf8_lossy(&environment).contains(&needle);
        if ours && text.contains(program) {
            found.push(pid);
        }
    }
    found
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// What a VM or a build leaves in the data directory while it runs: sockets, scratch disks, staged layers.
fn leftovers(env: &TestEnvironment) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![env.data_dir().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if is_temporary(&entry.path()) {
                found.push(entry.path());
            }
        }
    }
    found
}

fn is_temporary(path: &Path) -> bool {
    let text = path.to_string_lossy();
    [
        "socket",
        ".sock",
        "scratch",
        "console.log",
        "staged",
        "/tmp/",
    ]
    .iter()
    .any(|word| {
        text.rsplit_once("/data/")
            .is_some_and(|(_, rest)| rest.contains(word))
    })
}

fn assert_nothing_is_left(env: &TestEnvironment) {
    wait_until("every process has ended", || processes(env, "").is_empty());
    assert_eq!(leftovers(env), Vec::<PathBuf>::new());
}

#[test]
fn interrupt_stops_run_vm_and_build_and_leaves_nothing() {
    let env = TestEnvironment::new();
    let mut build = build_in_a_long_run(&env);
    signal(
        i32::try_from(build.id()).unwrap(),
        rustix::process::Signal::INT,
    );
    let start = Instant::now();
    assert_eq!(build.wait().unwrap().code(), Some(130));
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_nothing_is_left(&env);
    env.assert_store_whole();
}

#[test]
fn killed_vm_is_a_clear_error_and_the_finished_step_stays_cached() {
    let env = TestEnvironment::new();
    let mut build = build_in_a_long_run(&env);
    let vms = processes(&env, "qemu-system");
    assert_eq!(vms.len(), 1, "one VM for one build");
    signal(vms[0], rustix::process::Signal::KILL);
    assert_eq!(build.wait().unwrap().code(), Some(3));
    let text = std::fs::read_to_string(env.dir().join("progress")).unwrap();
    assert!(text.contains("virtual machine"), "{text}");
    assert_nothing_is_left(&env);
    env.assert_store_whole();
    let again = env
        .build("FROM busybox\nRUN echo one > /one\n", &[])
        .success();
    assert!(!again.stderr.contains("DONE"), "{}", again.stderr);
}

#[test]
fn killed_kiln_takes_its_vm_along_and_leaves_a_whole_store() {
    let env = TestEnvironment::new();
    let mut build = build_in_a_long_run(&env);
    build.kill().unwrap();
    build.wait().unwrap();
    wait_until("every process has ended", || processes(&env, "").is_empty());
    let built = env
        .build("FROM busybox\nRUN echo one > /one\n", &[])
        .success();
    assert!(!built.stderr.contains("DONE"), "{}", built.stderr);
    assert_eq!(
        leftovers(&env),
        Vec::<PathBuf>::new(),
        "the next build sweeps"
    );
    env.assert_store_whole();
}

#[test]
fn kiln_killed_at_any_moment_of_a_commit_leaves_a_whole_store() {
    let env = TestEnvironment::new().without_vm();
    for number in 0..400 {
        env.write(&format!("context/files/{number}"), vec![b'x'; 64 << 10]);
    }
    env.write("context/Dockerfile", "FROM scratch\nCOPY files /files\n");
    for delay in [2, 5, 10, 20, 30, 45, 60, 80, 100, 130, 160, 200] {
        let mut build = env.spawn(&["build", "--no-cache", "context"]);
        std::thread::sleep(Duration::from_millis(delay));
        let _ = build.kill();
        build.wait().unwrap();
        env.assert_store_whole();
    }
    let _ = env.kiln(&["build", "-t", "done", "context"]).success();
    assert_eq!(leftovers(&env), Vec::<PathBuf>::new());
}

#[test]
fn full_disk_is_a_clear_error_and_leaves_a_whole_store() {
    if skip_unless(&["mount", "umount"]) || !rustix::process::geteuid().is_root() {
        println!("skipped: a small file system can be mounted by root only");
        return;
    }
    let env = TestEnvironment::new();
    let disk = env.dir().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12m", "none"])
        .arg(&disk)
        .status()
        .unwrap();
    if !mounted.success() {
        println!("skipped: tmpfs cannot be mounted here");
        return;
    }
    let _unmount = Unmount(disk.clone());
    let env = env.with_data_dir(disk.join("data"));
    for number in 0..32 {
        env.write(&format!("context/files/{number}"), vec![number; 1 << 20]);
    }
    env.write("context/small", "small");
    let failed = env
        .build("FROM scratch\nCOPY small /small\nCOPY files /files\n", &[])
        .failure(3);
    assert!(failed.stderr.contains("space"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint:"), "{}", failed.stderr);
    env.assert_store_whole();
    assert_eq!(leftovers(&env), Vec::<PathBuf>::new());
    let again = env
        .build("FROM scratch\nCOPY small /small\n", &["-t", "small"])
        .success();
    assert!(!again.stderr.contains("DONE"), "{}", again.stderr);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
