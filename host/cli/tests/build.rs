//! Builds that need no VM, from the command line to the image and to the messages.

mod environment;

use environment::TestEnvironment;

#[test]
fn a_build_from_scratch_needs_no_vm_and_is_cached() {
    let env = TestEnvironment::new();
    env.write(
        "ctx/Dockerfile",
        "FROM scratch\nCOPY hello.txt /\nCMD [\"/hello\"]\n",
    );
    env.write("ctx/hello.txt", "hello\n");
    let first = env.kiln(&["build", "-t", "app", "ctx"]);
    assert_eq!(
        (first.code, first.stdout.as_str()),
        (0, ""),
        "{}",
        first.stderr
    );
    assert!(
        first.stderr.contains("COPY hello.txt /") && first.stderr.contains("DONE"),
        "{}",
        first.stderr
    );
    assert!(
        first.stderr.contains("writing image sha256:"),
        "{}",
        first.stderr
    );
    assert!(
        first
            .stderr
            .contains("naming to docker.io/library/app:latest"),
        "{}",
        first.stderr
    );
    let again = env.kiln(&["build", "-t", "app", "ctx"]);
    assert!(
        again.stderr.contains("CACHED") && !again.stderr.contains("DONE"),
        "{}",
        again.stderr
    );
    env.kiln(&["system", "check"]).stdout();
}

#[test]
fn check_tells_what_is_questionable_and_builds_nothing() {
    let env = TestEnvironment::new();
    env.write(
        "ctx/Dockerfile",
        "FROM scratch AS Base\nCOPY missing /\nCMD run\n",
    );
    let found = env.kiln(&["build", "--check", "-t", "app", "ctx"]);
    assert_eq!((found.code, found.stderr.as_str()), (1, ""));
    let expected = "Check complete, 2 warnings have been found!\n\nwarning: StageNameCasing: ";
    assert!(found.stdout.starts_with(expected), "{}", found.stdout);
    let place = "JSONArgsRecommended";
    assert!(found.stdout.contains(place), "{}", found.stdout);
    assert!(
        found.stdout.contains("Dockerfile:3:1\n"),
        "{}",
        found.stdout
    );
    assert_eq!(env.kiln(&["images", "-q"]).stdout(), "");

    env.write("ctx/Dockerfile", "FROM scratch\nCOPY missing /\n");
    let clean = env.kiln(&["build", "--check", "ctx"]).stdout();
    assert_eq!(clean, "Check complete, no warnings found.\n");

    env.write("ctx/Dockerfile", "FROM scratch\nNONSENSE\n");
    let broken = env.kiln(&["build", "--check", "ctx"]).failure(1);
    assert!(broken.contains("Dockerfile:2:1"), "{broken}");
}

#[test]
fn quiet_prints_the_id_alone_and_iidfile_holds_it() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\nLABEL a=b\n");
    let built = env.kiln(&["build", "-q", "--iidfile", "id", "ctx"]);
    assert_eq!((built.code, built.stderr.as_str()), (0, ""));
    let id = std::fs::read_to_string(env.dir().join("id")).expect("iidfile");
    assert_eq!(built.stdout, format!("{id}\n"));
    env.write("ctx/Dockerfile", "FROM scratch\nNONSENSE\n");
    env.kiln(&["build", "-q", "--iidfile", "id", "ctx"])
        .failure(1);
    assert!(
        !env.dir().join("id").exists(),
        "an old id must not survive a failed build"
    );
}

#[test]
fn a_dockerfile_from_standard_input_has_no_context() {
    let env = TestEnvironment::new();
    let built = env.kiln_with_input(
        &["build", "-q", "-t", "app", "-"],
        b"FROM scratch\nLABEL a=b\n",
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    env.write("ctx/file", "x");
    let built = env.kiln_with_input(
        &["build", "-q", "-f", "-", "ctx"],
        b"FROM scratch\nCOPY file /\n",
    );
    assert_eq!(built.code, 0, "{}", built.stderr);
    env.kiln_with_input(&["build", "-"], b"FROM scratch\nCOPY file /\n")
        .failure(1);
}

#[test]
fn mistakes_are_shown_in_their_place() {
    let env = TestEnvironment::new();
    env.write("Dockerfile", "FROM scratch\nCOPY dist/app /usr/bin/app\n");
    env.write("dist/app", "x");
    env.write(".dockerignore", "dist\n");
    let failed = env.kiln(&["build", "."]).failure(1);
    let report = failed
        .lines()
        .skip_while(|line| !line.starts_with("error:"))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(report.contains(" --> Dockerfile:2:6\n"), "{report}");
    assert!(
        report.contains("2 | COPY dist/app /usr/bin/app\n  |      ^^^^^^^^\n"),
        "{report}"
    );
    assert!(
        report.contains("hint: .dockerignore line 1 (`dist`) excludes it"),
        "{report}"
    );
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_happens() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\n");
    for (words, code, said) in [
        (
            &["build", "--push", "ctx"][..],
            2,
            "--push is not supported",
        ),
        (&["build", "--nonsense", "ctx"], 2, "--nonsense"),
        (&["build", "-t", "UPPER", "ctx"], 2, "UPPER"),
        (&["build", "--network=host", "ctx"], 2, "no network"),
        (&["build", "--progress=loud", "ctx"], 2, "loud"),
        (&["build", "--vmm=nonsense", "ctx"], 2, "nonsense"),
        (&["build", "missing"], 1, "missing"),
        (&["build", "."], 1, "-f FILE"),
        (&["build", "https://example.com/x.git"], 2, "remote"),
        (&["save", "missing"], 1, "no such image"),
        (&["run", "missing"], 125, "missing"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        let failed = env.kiln(words).failure(code);
        assert!(failed.contains(said), "{words:?}: {failed}");
    }
}

#[test]
fn a_run_without_a_vm_says_what_is_missing() {
    let env = TestEnvironment::new();
    env.import("base");
    env.write("ctx/Dockerfile", "FROM base\nRUN true\n");
    let failed = env.kiln(&["build", "ctx"]).failure(3);
    assert!(
        failed.contains("VM image") && failed.contains("hint:") && failed.contains("no-vm-image"),
        "{failed}"
    );
    let doctor = env.kiln(&["doctor", "--json"]);
    assert_eq!(doctor.code, 3, "{}", doctor.stderr);
    let report: serde_json::Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    assert_eq!(
        (&report["version"], &report["ok"]),
        (&1.into(), &false.into())
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let env = TestEnvironment::new();
    let mut child = env
        .command(&["completion", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kiln starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("kiln ends");
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

#[test]
fn modes_of_the_project_are_those_of_the_image_on_every_host() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\nCOPY a.sh b.txt d /\n");
    env.write(".dockerignore", "");
    env.write("ctx/.dockerignore", "kiln.toml\n");
    for name in ["a.sh", "b.txt", "d/e/c.txt"] {
        env.write(&format!("ctx/{name}"), "x");
    }
    let build = || env.kiln(&["build", "-q", "ctx"]).stdout();
    let settle = |modes: &str| {
        env.write(
            "ctx/kiln.toml",
            format!("[context.modes]\n\"**\" = \"0644\"\n\"**/\" = \"0755\"\n{modes}"),
        );
    };
    settle("\"*.sh\" = \"0755\"\n");
    let first = build();
    assert_eq!(build(), first);
    settle("\"*.sh\" = \"0700\"\n");
    assert_ne!(build(), first, "modes are part of the cache key");
    settle("\"*.sh\" = \"0755\"\n");
    // What a host without modes shows, and what one with others does.
    for (file, folder) in [(0o755, 0o755), (0o600, 0o700)] {
        for name in ["a.sh", "b.txt", "d/e/c.txt", "d/e", "d"] {
            let path = env.dir().join("ctx").join(name);
            environment::set_mode(&path, if path.is_dir() { folder } else { file });
        }
        assert_eq!(build(), first);
    }
}

#[test]
fn mistakes_in_a_projects_settings_are_shown_with_their_line() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\nCOPY a /\n");
    env.write("ctx/a", "x");
    env.write("ctx/kiln.toml", "[context]\n\n[vm]\nmemory = \"64g\"\n");
    let told = env.kiln(&["build", "ctx"]).failure(2);
    assert!(
        told.contains("`vm` is not for a project to decide") && told.contains("kiln.toml:3:2"),
        "{told}"
    );
}

#[test]
fn names_that_differ_by_case_alone_are_refused_where_case_does_not_count() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\nCOPY . /\n");
    env.write("ctx/src/Straße", "x");
    env.write("ctx/src/STRAßE", "y");
    let there = std::fs::read_dir(env.dir().join("ctx/src")).expect("the folder is there");
    if there.count() == 1 {
        println!("skipped: this file system does not hold both names");
        return;
    }
    env.kiln(&["build", "ctx"]).stdout();
    env.write("ctx/kiln.toml", "[context]\ncase-insensitive = true\n");
    let told = env.kiln(&["build", "ctx"]).failure(1);
    assert!(
        told.contains("`src/STRAßE` and `src/Straße` are the same name"),
        "{told}"
    );
    env.write("ctx/.dockerignore", "src/STRA*\n");
    env.kiln(&["build", "ctx"]).stdout();
}

#[test]
fn a_source_in_another_case_is_an_error_that_names_the_file() {
    let env = TestEnvironment::new();
    env.write("ctx/Dockerfile", "FROM scratch\nCOPY readme.md /\n");
    env.write("ctx/README.md", "x");
    let told = env.kiln(&["build", "ctx"]).failure(1);
    assert!(
        told.contains("hint: there is `/README.md`: upper and lower case count"),
        "{told}"
    );
}

#[test]
fn crlf_and_byte_order_marks_give_the_same_image_from_the_cache() {
    let env = TestEnvironment::new();
    let dockerfile = "FROM scratch\n# note\nCOPY . `\n  /x/\nLABEL a=b `\n  c=d\nCMD [\"/x\"]\n";
    let dockerfile = format!("# escape=`\n{dockerfile}");
    let ignore = "# none\n*.log\nDockerfile\n.dockerignore\n!keep.log\n";
    for name in ["a.txt", "b.log", "keep.log"] {
        env.write(&format!("ctx/{name}"), "line\r\n");
    }
    let build = |dockerfile: &str, ignore: &str| {
        env.write("ctx/Dockerfile", dockerfile);
        env.write("ctx/.dockerignore", ignore);
        env.kiln(&["build", "--progress=plain", "--iidfile", "id", "ctx"])
            .failure(0)
    };
    let id = || std::fs::read_to_string(env.dir().join("id")).expect("iidfile");
    build(&dockerfile, ignore);
    let lf = id();
    let crlf = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let told = build(&crlf(&dockerfile), &crlf(ignore));
    assert_eq!(id(), lf);
    assert!(told.contains("CACHED") && !told.contains("DONE"), "{told}");
}

#[test]
fn paths_may_hold_blanks_commas_and_any_letter() {
    let env = TestEnvironment::new();
    let odd = "my ctx, the 2nd = für";
    env.write(&format!("{odd}/a b.txt"), "x");
    env.write(
        "docker files/Docker file,1",
        "FROM scratch\nCOPY [\"a b.txt\", \"/to here/\"]\nCOPY --from=lib / /lib/\n",
    );
    env.write("the lib/one two", "y");
    env.write("to ken", "secret");
    let mut command = env.command(&[
        "build",
        "-q",
        "-f",
        "docker files/Docker file,1",
        "--build-context",
        "lib=the lib",
        "--secret",
        "id=t,src=to ken",
        "--iidfile",
        "the id",
        odd,
    ]);
    command.env("KILN_DATA_DIR", env.dir().join("da ta, ünd"));
    let output = command.output().expect("kiln starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(env.dir().join("the id").is_file());
}
