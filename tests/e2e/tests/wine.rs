//! `kiln.exe` under wine: what needs no VM works on Windows as it does here, to the digest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kiln_e2e::{TestEnvironment, WindowsEnvironment, windows_path};

const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1700000000");

/// A world with a context of which nothing depends on what Windows cannot tell: all modes are 0755.
fn world() -> Option<WindowsEnvironment> {
    let env = WindowsEnvironment::new()?;
    env.write("my context/a.txt", "a\n");
    env.write("my context/dir/with space/B.txt", "b\n");
    env.write("my context/dir/größe.txt", "ü\n");
    env.write("my context/dir/ignored.log", "no\n");
    env.write("my context/.dockerignore", "**/*.log\r\n# comment\r\n");
    open_to_all(&env.dir().join("my context"));
    Some(env)
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

/// The id that a quiet build prints.
fn id_of(mut build: std::process::Command) -> String {
    let output = build.env(EPOCH.0, EPOCH.1).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn wine_version_and_doctor_speak_of_windows() {
    let Some(env) = WindowsEnvironment::new() else {
        return;
    };
    let version = env.kiln(&["version"]).success();
    assert!(version.stdout.contains("windows/amd64"), "{version:?}");
    let doctor = env.kiln(&["doctor"]);
    assert!(doctor.stdout.contains("data folder"), "{doctor:?}");
    let verbatim = doctor.stdout.contains(r"\\?\");
    assert!(!verbatim, "paths as people write them: {}", doctor.stdout);
    assert!(
        doctor.stdout.contains(&windows_path(env.dir())),
        "{doctor:?}"
    );
}

#[test]
fn wine_mistakes_are_shown_in_their_place() {
    let Some(env) = world() else { return };
    env.write("my context/Dockerfile", "FROM scratch\r\nNONSENSE\r\n");
    let failed = env.kiln(&["build", "my context"]).failure(1);
    assert!(failed.stderr.contains("Dockerfile:2:1"), "{failed:?}");
    env.write(
        "my context/Dockerfile",
        "FROM scratch\r\nCOPY dir/ignored.log /\r\n",
    );
    let failed = env.kiln(&["build", "my context"]).failure(1);
    assert!(failed.stderr.contains(".dockerignore line 1"), "{failed:?}");
    env.write(
        "my context/Dockerfile",
        "FROM scratch AS Base\r\nCMD run\r\n",
    );
    let found = env.kiln(&["build", "--check", "my context"]).failure(1);
    assert!(found.stdout.contains("StageNameCasing"), "{found:?}");
    assert!(found.stdout.contains("JSONArgsRecommended"), "{found:?}");
}

#[test]
fn wine_image_has_the_digest_that_it_has_on_linux() {
    let Some(env) = world() else { return };
    let linux = TestEnvironment::new().without_vm();
    let dockerfile = "FROM scratch\nWORKDIR /w\nCOPY . /all/\nCOPY --chmod=600 --chown=1:2 a.txt dir /some/\n\
        COPY <<EOF /here\ntext\nEOF\nENV A=b\nCMD [\"/w/a\"]\n";
    env.write("unix", dockerfile);
    env.write("dos", dockerfile.replace('\n', "\r\n"));
    let context = env.dir().join("my context");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let unix = env.dir().join("unix");
    let here = id_of(linux.command(&["build", "-q", "-f", &path(&unix), &path(&context)]));
    let relative = id_of(env.command(&["build", "-q", "-f", "unix", "my context"]));
    assert_eq!(relative, here);
    let (unix, context) = (windows_path(&unix), windows_path(&context));
    let drive = id_of(env.command(&["build", "-q", "-f", &unix, &context]));
    assert_eq!(drive, here);
    let slashes = context.replace('\\', "/");
    let verbatim = format!(r"\\?\{context}");
    for context in [&slashes, &verbatim] {
        let id = id_of(env.command(&["build", "-q", "-f", &unix, context]));
        assert_eq!(id, here, "{context}");
    }
    let dos_here = id_of(linux.command(&[
        "build",
        "-q",
        "-f",
        &path(&env.dir().join("dos")),
        &path(&env.dir().join("my context")),
    ]));
    let dos = id_of(env.command(&["build", "-q", "-f", "dos", "my context"]));
    assert_eq!(dos, dos_here);
}

#[test]
fn wine_saved_image_loads_here_and_there_and_prune_takes_it_away() {
    let Some(env) = world() else { return };
    env.write(
        "my context/Dockerfile",
        "FROM scratch\nCOPY . /\nLABEL a=b\n",
    );
    let built = env.kiln(&["build", "-t", "app:1", "my context"]).success();
    assert!(built.stderr.contains("DONE"), "{built:?}");
    let again = env.kiln(&["build", "-t", "app:1", "my context"]).success();
    assert!(
        again.stderr.contains("CACHED") && !again.stderr.contains("DONE"),
        "{again:?}"
    );
    let listed = env.kiln(&["images"]).success();
    assert!(listed.stdout.contains("app"), "{listed:?}");
    let id = ["inspect", "--format", "{{.Id}}", "app:1"];
    let made = env.kiln(&id).success().stdout;
    for format in ["docker-archive", "oci-archive"] {
        let archive = windows_path(&env.dir().join(format));
        let save = ["save", "--format", format, "-o", &archive, "app:1"];
        let _ = env.kiln(&save).success();
        let linux = TestEnvironment::new().without_vm();
        let _ = linux
            .kiln(&["load", "-i", env.dir().join(format).to_str().unwrap()])
            .success();
        assert_eq!(linux.kiln(&id).success().stdout.trim(), made.trim());
        let other = WindowsEnvironment::new().unwrap();
        let _ = other.kiln(&["load", "-i", &archive]).success();
        assert_eq!(other.kiln(&id).success().stdout, made);
        let _ = other.kiln(&["system", "check"]).success();
    }
    let _ = env.kiln(&["rmi", "app:1"]).success();
    let _ = env.kiln(&["system", "prune", "--all", "--force"]).success();
    let layers = env.dir().join("data/layers/sha256");
    assert_eq!(std::fs::read_dir(layers).unwrap().count(), 0);
    let _ = env.kiln(&["system", "check"]).success();
}

#[test]
fn wine_two_builds_at_once_share_one_store() {
    let Some(env) = WindowsEnvironment::new() else {
        return;
    };
    for name in ["one", "two"] {
        for number in 0..50 {
            env.write(&format!("{name}/files/{number}"), number.to_string());
        }
        env.write(
            &format!("{name}/Dockerfile"),
            "FROM scratch\nCOPY files /files\n",
        );
    }
    let builds: Vec<_> = (0..4)
        .map(|number| {
            let folder = if number % 2 == 0 { "one" } else { "two" };
            env.spawn(&["build", "-t", &format!("image{number}"), folder])
        })
        .collect();
    for build in builds {
        let output = build.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    }
    let images = env.kiln(&["images", "--format", "{{.Repository}}"]);
    assert_eq!(images.success().stdout.lines().count(), 4);
    let _ = env.kiln(&["system", "check"]).success();
}

#[test]
fn wine_build_that_is_killed_leaves_a_store_that_goes_on() {
    let Some(env) = WindowsEnvironment::new() else {
        return;
    };
    for number in 0..40 {
        env.write(&format!("context/files/{number}"), vec![number; 1 << 20]);
    }
    env.write("context/Dockerfile", "FROM scratch\nCOPY files /files\n");
    let run = env.dir().join("data/run");
    let mut build = env.spawn(&["build", "context"]);
    let staged = || {
        let folders = std::fs::read_dir(&run).into_iter().flatten().flatten();
        folders.filter(|entry| entry.path().is_dir()).count() > 0
    };
    let started = std::time::Instant::now();
    while !staged() && started.elapsed().as_secs() < 30 && build.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // wine runs a program in a process of this host's, so this is a death without a word.
    build.kill().unwrap();
    let _ = build.wait();
    let _ = env.kiln(&["build", "-t", "app", "context"]).success();
    let _ = env.kiln(&["system", "check"]).success();
    let left = std::fs::read_dir(&run).unwrap().count();
    assert_eq!(left, 0, "what the dead build staged is swept");
}
