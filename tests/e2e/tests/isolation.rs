//! What a RUN may see and do.

use kiln_e2e::TestEnvironment;

/// A build on the busybox base whose output is wanted, not its image.
fn run_output(env: &TestEnvironment, dockerfile: &str) -> String {
    env.build(dockerfile, &["--no-cache"]).success().stderr
}

#[test]
fn ignored_file_cannot_be_read_in_the_guest_by_any_path() {
    let env = TestEnvironment::new();
    env.import_busybox();
    env.write("context/.dockerignore", "secret.txt\nprivate\n");
    env.write("context/secret.txt", "TOP-SECRET-CONTENT");
    env.write("context/private/key", "TOP-SECRET-CONTENT");
    env.write("context/open.txt", "not secret");
    // As a mount; as root of the VM, through the share itself, by every file in it.
    let (as_root, proof) = if kiln_e2e::over_serial() {
        // The share is the agent's; the host's end of it is behind ports that nobody else can open.
        (
            "for port in /sys/class/virtio-ports/*; do IFS=: read major minor <$port/dev; \
             mknod /port c $major $minor; cat /port && exit 1; rm /port; done; \
             ! mount -t virtiofs kiln /mnt",
            "can't open '/port': Device or resource busy",
        )
    } else {
        (
            "mkdir -p /mnt && mount -t virtiofs kiln /mnt && find /mnt -type f | sort && ! find /mnt -type f \
             -exec grep -l 'TOP-[S]ECRET' {} + | grep . && umount /mnt",
            ".erofs",
        )
    };
    let output = run_output(
        &env,
        &format!(
            "FROM busybox\n\
             COPY . /copied\n\
             RUN --mount=type=bind,target=/ctx ls -laR /ctx /copied && cat /ctx/open.txt\n\
             RUN --mount=type=bind,target=/ctx ! cat /ctx/secret.txt && ! cat /ctx/../ctx/secret.txt && ! ls /ctx/private\n\
             RUN --security=insecure {as_root} && echo searched\n"
        ),
    );
    assert!(output.contains("not secret"), "{output}");
    assert!(output.contains("searched"), "{output}");
    assert!(output.contains(proof), "{output}");
    assert!(!output.contains("TOP-SECRET"), "{output}");
}

#[test]
fn run_has_the_confinement_of_docker() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let output = run_output(
        &env,
        "FROM busybox\n\
         RUN grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; id; hostname; cat /etc/hosts; ls /dev | tr '\\n' ' '\n\
         RUN mount -t tmpfs none /tmp 2>&1 || echo mount-refused; echo 1 > /proc/sysrq-trigger || echo sysrq-refused\n\
         RUN ps | wc -l; [ \"$(ls /proc/acpi /proc/scsi 2>/dev/null | wc -l)\" = 0 ] && echo masked; unshare -U true 2>&1 || echo unshare-refused\n",
    );
    assert!(output.contains("CapEff:\t00000000a80425fb"), "{output}");
    assert!(output.contains("Seccomp:\t2"), "{output}");
    for word in [
        "mount-refused",
        "sysrq-refused",
        "masked",
        "unshare-refused",
        "127.0.0.1",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
}

#[test]
fn nothing_is_left_running_after_a_run() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let output = run_output(
        &env,
        "FROM busybox\n\
         RUN sleep 1000 & sh -c 'setsid sleep 2000 &' ; echo started\n\
         RUN --security=insecure ps -o args | grep sleep | grep -v grep; echo looked\n",
    );
    assert!(
        output.contains("started") && output.contains("looked"),
        "{output}"
    );
    assert!(
        !output
            .lines()
            .any(|line| line.ends_with("sleep 1000") && !line.contains("RUN")),
        "{output}"
    );
}

#[test]
fn failing_run_shows_its_line_its_output_its_code_and_its_log() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let failed = env
        .build(
            "FROM busybox\nRUN echo before\nRUN echo why it failed >&2; \\\n    exit 42\n",
            &[],
        )
        .failure(1);
    let text = &failed.stderr;
    for word in ["why it failed", "exit code: 42", "Dockerfile:3", "exit 42"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let log = text
        .split_whitespace()
        .find(|word| word.contains(env.data_dir().to_str().unwrap()))
        .expect("the log's path is told");
    assert!(
        std::fs::read_to_string(log.trim_end_matches(['.', ',', ')']))
            .unwrap()
            .contains("why it failed")
    );
}

#[test]
fn users_groups_and_environment_are_those_of_the_image() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let output = run_output(
        &env,
        "FROM busybox\nENV A=1\nARG B=2\nUSER www-data\nWORKDIR /tmp\n\
         RUN echo \"<$(id -u):$(id -g):$(id -G)><$HOME><$A$B><$(pwd)>\"\n\
         USER 1234:5678\nRUN echo \"<$(id -u):$(id -g):$(id -G)>\"\n",
    );
    assert!(
        output.contains("<33:33:33 100></var/www><12></tmp>"),
        "{output}"
    );
    assert!(output.contains("<1234:5678:5678>"), "{output}");
    let failed = env
        .build("FROM busybox\nUSER nobody-here\nRUN true\n", &[])
        .failure(1);
    assert!(failed.stderr.contains("nobody-here"), "{}", failed.stderr);
}

#[test]
fn command_that_cannot_start_is_told_apart_from_one_that_fails() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let failed = env
        .build("FROM busybox\nRUN [\"/no/such/program\"]\n", &[])
        .failure(1);
    assert!(
        failed.stderr.contains("could not start"),
        "{}",
        failed.stderr
    );
    let failed = env.build("FROM busybox\nRUN exit 127\n", &[]).failure(1);
    assert!(
        failed.stderr.contains("exit code: 127"),
        "{}",
        failed.stderr
    );
}

#[test]
fn secret_reaches_its_run_and_no_layer() {
    let env = TestEnvironment::new();
    env.import_busybox();
    env.write("token", "hush-hush");
    let output = env
        .build(
            "FROM busybox\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token\nRUN ls -la /run/secrets 2>&1 || true\n",
            &["-t", "app", "--secret", "id=token,src=token"],
        )
        .success()
        .stderr;
    assert!(output.contains(" 9"), "{output}");
    let archive = env.dir().join("app.tar");
    let _ = env
        .kiln(&["save", "-o", archive.to_str().unwrap(), "app"])
        .success();
    let bytes = std::fs::read(archive).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"hush-hush"));
}
