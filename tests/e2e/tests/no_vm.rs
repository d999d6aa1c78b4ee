//! What needs no Linux starts no VM: these tests run in a world in which none can start.

use kiln_e2e::TestEnvironment;

#[test]
fn scratch_and_copy_need_no_vm() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/hello.txt", "hello\n");
    let built = env.build(
        "FROM scratch\nCOPY hello.txt /greeting\nCMD [\"/greeting\"]\n",
        &["-t", "hello"],
    );
    let _ = built.success();
    let again = env
        .build(
            "FROM scratch\nCOPY hello.txt /greeting\nCMD [\"/greeting\"]\n",
            &["-t", "hello"],
        )
        .success();
    assert!(
        again.stderr.contains("CACHED") && !again.stderr.contains("DONE"),
        "{}",
        again.stderr
    );
    let config = env
        .kiln(&["inspect", "--format", "{{json .Config.Cmd}}", "hello"])
        .success();
    assert_eq!(config.stdout.trim(), r#"["/greeting"]"#);
    env.assert_store_whole();
}

#[test]
fn run_without_a_vm_image_says_where_it_was_looked_for() {
    let env = TestEnvironment::new().without_vm();
    let failed = env
        .build("FROM scratch\nRUN [\"/bin/true\"]\n", &[])
        .failure(3);
    assert!(failed.stderr.contains("VM image"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint:"), "{}", failed.stderr);
    assert!(failed.stderr.contains("no-vm-image"), "{}", failed.stderr);
}

#[test]
fn image_of_another_platform_needs_no_vm_until_something_runs() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/hello.txt", "hello\n");
    let dockerfile = "FROM scratch\nARG TARGETPLATFORM\nARG TARGETVARIANT\n\
         COPY hello.txt /greeting\nLABEL for=$TARGETPLATFORM variant=$TARGETVARIANT\n";
    for (platform, expected) in [
        ("linux/arm64", "linux arm64  linux/arm64 "),
        ("linux/arm/v7", "linux arm v7 linux/arm/v7 v7"),
        ("linux/riscv64", "linux riscv64  linux/riscv64 "),
    ] {
        let _ = env
            .build(dockerfile, &["-t", "app", "--platform", platform])
            .success();
        let format = "{{.Os}} {{.Architecture}} {{.Variant}} {{.Config.Labels.for}} {{.Config.Labels.variant}}";
        let shown = env.kiln(&["inspect", "--format", format, "app"]).success();
        assert_eq!(shown.stdout.trim_end_matches('\n'), expected, "{platform}");
    }
    let run = "FROM scratch\nRUN [\"/bin/true\"]\n";
    for (platform, code, words) in [
        ("linux/arm64", 3, "no VM image for aarch64 found"),
        ("linux/386", 3, "no VM image for x86_64 found"),
        (
            "linux/riscv64",
            2,
            "commands cannot be run on linux/riscv64",
        ),
    ] {
        let failed = env.build(run, &["--platform", platform]).failure(code);
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
        assert!(failed.stderr.contains("hint:"), "{}", failed.stderr);
    }
}

#[test]
fn base_of_another_platform_is_refused_with_both_named() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/file", "file\n");
    let _ = env
        .build(
            "FROM scratch\nCOPY file /\n",
            &["-t", "base", "--platform=linux/s390x"],
        )
        .success();
    for (dockerfile, place) in [
        ("FROM base\nLABEL a=b\n", "Dockerfile:1:6"),
        ("FROM scratch\nCOPY --from=base /file /\n", "Dockerfile:2"),
    ] {
        let failed = env
            .build(dockerfile, &["--platform=linux/arm64"])
            .failure(1);
        for words in [
            "image `base` is for linux/s390x, not for linux/arm64",
            "use --platform=linux/s390x",
            place,
        ] {
            assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
        }
        let _ = env.build(dockerfile, &["--platform=linux/s390x"]).success();
    }
    let _ = env
        .build(
            "FROM --platform=linux/s390x base\nLABEL a=b\n",
            &["--platform=linux/arm64"],
        )
        .success();
}

#[test]
fn changed_file_rebuilds_its_copy_only() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/a", "1");
    env.write("context/b", "1");
    let dockerfile = "FROM scratch\nCOPY a /a\nCOPY b /b\n";
    let _ = env.build(dockerfile, &[]).success();
    env.write("context/b", "2");
    let again = env.build(dockerfile, &[]).success();
    assert_eq!(
        again.stderr.matches("CACHED").count(),
        2,
        "{}",
        again.stderr
    );
    assert_eq!(again.stderr.matches("DONE").count(), 1, "{}", again.stderr);
}

#[test]
fn missing_source_names_the_ignore_rule_that_hides_it() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/dist/app", "app");
    env.write("context/.dockerignore", "# build output\n\ndist\n");
    let failed = env
        .build("FROM scratch\nCOPY dist/app /app\n", &[])
        .failure(1);
    assert!(
        failed.stderr.contains("Dockerfile:2:6"),
        "{}",
        failed.stderr
    );
    assert!(
        failed.stderr.contains(".dockerignore line 3"),
        "{}",
        failed.stderr
    );
}

#[test]
fn unknown_instruction_and_flag_are_errors_with_their_line() {
    let env = TestEnvironment::new().without_vm();
    for (dockerfile, place) in [
        ("FROM scratch\nRUNN true\n", "Dockerfile:2:1"),
        ("FROM scratch\nCOPY --colour=red a /a\n", "Dockerfile:2:6"),
        ("FROM nothing-of-this-name\n", "Dockerfile:1:6"),
        ("FROM scratch AS a\nCOPY --from=c / /\n", "Dockerfile:2"),
    ] {
        let failed = env.build(dockerfile, &[]).failure(1);
        assert!(failed.stderr.contains(place), "{}", failed.stderr);
    }
}

#[test]
fn same_input_gives_the_same_image_in_two_stores() {
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let env = TestEnvironment::new().without_vm();
            let file = env.write("context/f", "content");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
            std::fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(time)
                .unwrap();
            env.write(
                "context/Dockerfile",
                "FROM scratch\nWORKDIR /a/b\nCOPY f .\nLABEL x=y\n",
            );
            let output = env
                .command(&["build", "-q", "context"])
                .env("SOURCE_DATE_EPOCH", "1700000000")
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].starts_with("sha256:"), "{}", ids[0]);
}

#[test]
fn two_builds_at_once_share_one_store() {
    let env = TestEnvironment::new().without_vm();
    for name in ["one", "two"] {
        for number in 0..200 {
            env.write(&format!("{name}/files/{number}"), number.to_string());
        }
        env.write(
            &format!("{name}/Dockerfile"),
            "FROM scratch\nCOPY files /files\n",
        );
    }
    let builds: Vec<_> = (0..6)
        .map(|number| {
            env.spawn(&[
                "build",
                "-t",
                &format!("image{number}"),
                if number % 2 == 0 { "one" } else { "two" },
            ])
        })
        .collect();
    for build in builds {
        let output = build.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let images = env
        .kiln(&["images", "--format", "{{.Repository}}"])
        .success();
    assert_eq!(images.stdout.lines().count(), 6, "{}", images.stdout);
    env.assert_store_whole();
}

#[test]
fn saved_image_loads_into_an_empty_store_with_the_same_id() {
    let env = TestEnvironment::new().without_vm();
    env.write("context/f", "content");
    let _ = env
        .build("FROM scratch\nCOPY f /f\nENV A=b\n", &["-t", "app:1"])
        .success();
    for format in ["docker-archive", "oci-archive"] {
        let archive = env.dir().join(format);
        let archive = archive.to_str().unwrap();
        let _ = env
            .kiln(&["save", "--format", format, "-o", archive, "app:1"])
            .success();
        let other = TestEnvironment::new().without_vm();
        let loaded = other.kiln(&["load", "-i", archive]).success();
        assert!(loaded.stdout.contains("app:1"), "{}", loaded.stdout);
        let id = |env: &TestEnvironment| {
            env.kiln(&["inspect", "--format", "{{.Id}}", "app:1"])
                .success()
                .stdout
        };
        assert_eq!(id(&env), id(&other), "{format}");
        other.assert_store_whole();
    }
}
