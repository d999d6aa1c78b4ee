//! The core of the end-to-end tests again, in emulated ARM guests. `cargo xtask test --only aarch64` makes the VM image
//! and the base images; the prefix of the names keeps these tests out of the part for this machine's own guests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use kiln_e2e::{
    Node, TestEnvironment, compare_trees, project_dir, read_tree, skip_unless,
    skip_without_arm_guest, umoci_tree,
};

/// A world with the base for `linux/arm64`; `None` where there is no ARM guest.
fn arm_environment() -> Option<TestEnvironment> {
    let env = TestEnvironment::new();
    if skip_without_arm_guest(&env) {
        return None;
    }
    env.import_foreign_busybox("arm64", "linux/arm64", "busybox");
    Some(env)
}

const CROSS_COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Compiles one of the fixtures into the context, as a static program.
fn compile(env: &TestEnvironment, compiler: &str, name: &str) {
    let program = env.write(&format!("context/{name}"), "");
    let compiled = Command::new(compiler)
        .args(["-static", "-O1", "-o"])
        .arg(&program)
        .arg(project_dir().join(format!("tests/e2e/fixtures/{name}.c")))
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
}

/// The output of a build for `linux/arm64` that must succeed.
fn arm_build(env: &TestEnvironment, dockerfile: &str, args: &[&str]) -> String {
    let mut all = vec!["--platform=linux/arm64"];
    all.extend(args);
    env.build(dockerfile, &all).success().stderr
}

fn inspect(env: &TestEnvironment, format: &str, image: &str) -> String {
    let inspected = env.kiln(&["inspect", "--format", format, image]).success();
    inspected.stdout.trim().to_owned()
}

#[test]
fn arm_guest_runs_both_forms_and_the_next_build_needs_no_vm() {
    let Some(mut env) = arm_environment() else {
        return;
    };
    let dockerfile = "FROM busybox\n\
         ARG TARGETPLATFORM TARGETARCH BUILDPLATFORM\n\
         RUN echo \"<$(uname -m)><$TARGETPLATFORM><$TARGETARCH><$BUILDPLATFORM>\"\n\
         RUN [\"/bin/busybox\", \"uname\", \"-m\"]\n\
         RUN <<END\necho \"a heredoc on $(uname -m)\"\nEND\n\
         CMD [\"uname\", \"-m\"]\n";
    let output = arm_build(&env, dockerfile, &["-t", "app"]);
    let own = own_architecture();
    for words in [
        "linux/arm64 is emulated on this machine".to_owned(),
        format!("<aarch64><linux/arm64><arm64><linux/{own}>"),
        "a heredoc on aarch64".to_owned(),
    ] {
        assert!(output.contains(&words), "{words}: {output}");
    }
    assert_eq!(
        inspect(&env, "{{.Os}}/{{.Architecture}}", "app"),
        "linux/arm64"
    );

    let ran = env.kiln(&["run", "app"]).success();
    assert_eq!(ran.stdout, "aarch64\n");
    let ran = env
        .kiln(&["run", "app", "sh", "-c", "echo out; exit 7"])
        .failure(7);
    assert_eq!(ran.stdout, "out\n");

    env.forbid_vm();
    let again = arm_build(&env, dockerfile, &["-t", "again"]);
    assert!(
        !again.contains("DONE") && !again.contains("emulated"),
        "{again}"
    );
    assert_eq!(
        inspect(&env, "{{.Id}}", "app"),
        inspect(&env, "{{.Id}}", "again")
    );
}

/// This machine's architecture as images name it.
fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Every kind of change that a layer can hold, as far as busybox can make it.
const CHANGES: &str = "FROM busybox AS tools\n\
     RUN mkdir -p /out/bin && printf '#!/bin/sh\\necho tool\\n' > /out/bin/tool && chmod 4755 /out/bin/tool \\\n\
         && ln /out/bin/tool /out/bin/tool-hard && ln -s tool /out/bin/tool-soft\n\
     FROM busybox\n\
     RUN mkdir -p /data/old/deep /data/kept && echo 1 > /data/old/deep/a && echo 2 > /data/kept/b && echo 3 > /data/c\n\
     WORKDIR /srv/app\n\
     COPY --chown=33:100 files/ ./\n\
     COPY --from=tools /out/ /usr/local/\n\
     RUN rm -rf /data/old && mkdir /data/old && echo fresh > /data/old/only && rm /data/c && mv /data/kept /data/moved\n\
     RUN mkfifo pipe && truncate -s 3M sparse && printf x >> sparse && mknod null c 1 3 \\\n\
         && touch \"$(printf 'odd \\377 name')\" && chown 3000000:3000000 sparse && chmod 1777 .\n\
     RUN --mount=type=bind,target=/context echo 12345 > counted && ln counted linked \\\n\
     && /context/capability counted && rm /etc/group \\\n\
         && for i in 1 2 3 4 5 6 7 8; do head -c 100000 /dev/zero | tr '\\0' $i > file-$i; done\n\
     USER www-data\n\
     RUN id > /tmp/id.txt && umask > /tmp/umask.txt && echo \"$HOME\" > /tmp/home.txt\n";

/// The tree of an image of [`CHANGES`], unpacked by another tool, once it is sure that its capability was kept.
fn tree_of_changes(
    env: &TestEnvironment,
    platform: &str,
    compiler: &str,
) -> std::collections::BTreeMap<std::path::PathBuf, Node> {
    compile(env, compiler, "capability");
    env.write("context/files/plain.txt", "plain\n");
    env.write("context/files/deep/er.txt", "deeper\n");
    let _ = env
        .build(CHANGES, &["-t", "changes", "--platform", platform])
        .success();
    let archive = env.dir().join("changes.tar");
    let path = archive.to_str().unwrap();
    let _ = env
        .kiln(&["save", "--format", "oci-archive", "-o", path, "changes"])
        .success();
    let work = env.dir().join("unpacked");
    std::fs::create_dir_all(&work).unwrap();
    let root = umoci_tree(&archive, &work);
    let capability = Command::new("getfattr")
        .args(["--only-values", "-n", "security.capability"])
        .arg(root.join("srv/app/counted"))
        .output()
        .unwrap();
    assert_eq!(capability.stdout[..6], [1, 0, 0, 2, 0, 4]);
    env.assert_store_whole();
    read_tree(&root)
}

#[test]
fn arm_guest_makes_the_same_changes_as_one_of_this_machine() {
    if skip_unless(&["skopeo", "umoci", "getfattr", "gcc", CROSS_COMPILER]) {
        return;
    }
    let Some(env) = arm_environment() else {
        return;
    };
    let foreign = tree_of_changes(&env, "linux/arm64", CROSS_COMPILER);
    let own = TestEnvironment::new();
    own.import_busybox();
    let own = tree_of_changes(&own, &format!("linux/{}", own_architecture()), "gcc");
    let differences = compare_trees(&foreign, &own, |path| path == Path::new("bin/busybox"));
    assert!(differences.is_empty(), "{differences:#?}");
    for gone in ["data/old/deep", "data/c", "data/kept", "etc/group"] {
        assert!(!foreign.contains_key(Path::new(gone)), "{gone}");
    }
    let linked = &foreign[Path::new("srv/app/linked")];
    assert_eq!(
        linked.linked_to.as_deref(),
        Some(Path::new("srv/app/counted"))
    );
    let id = &foreign[Path::new("tmp/id.txt")].content;
    assert!(id.starts_with(b"uid=33"), "{}", String::from_utf8_lossy(id));
}

#[test]
fn arm_guest_confines_a_run_as_docker_does() {
    let Some(env) = arm_environment() else {
        return;
    };
    let output = arm_build(
        &env,
        "FROM busybox\n\
         RUN grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; cat /etc/hosts\n\
         RUN mount -t tmpfs none /tmp 2>&1 || echo mount-refused; unshare -U true 2>&1 || echo unshare-refused\n\
         RUN hostname other 2>&1 || echo hostname-refused; date -s 2000-01-01 2>&1 || echo date-refused\n\
         RUN cat /dev/kmsg 2>&1 || echo kmsg-refused; dd if=/dev/null of=/dev/vda 2>/dev/null; mknod d b 254 0 && cat d || echo disk-refused\n\
         RUN --security=insecure mount -t tmpfs none /tmp && echo insecure-mounts\n\
         USER www-data\nRUN echo \"<$(id -u):$(id -g):$(id -G)><$HOME>\"\n",
        &[],
    );
    assert!(output.contains("CapEff:\t00000000a80425fb"), "{output}");
    assert!(output.contains("Seccomp:\t2"), "{output}");
    for word in [
        "mount-refused",
        "unshare-refused",
        "hostname-refused",
        "date-refused",
        "kmsg-refused",
        "disk-refused",
        "insecure-mounts",
        "127.0.0.1",
        "<33:33:33 100></var/www>",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
}

/// What the filter must answer to the calls of `syscalls.c`: EPERM, ENOSYS, or what the kernel itself says.
const ANSWERS: &str = "keyctl=1 add_key=1 request_key=1 kcmp=1 io_uring_setup=1 io_uring_register=1 \
     open_by_handle_at=1 mount_setattr=1 setns=1 pidfd_getfd=1 clone-user=1 socket-vsock=1 personality-odd=1 \
     clone3=38 far-number=38 pidfd_open=22 statx=22 getrandom=22 openat2=7 socket-unix=0 personality-ask=0 ";

#[test]
fn arm_guest_filters_system_calls_by_the_numbers_that_its_programs_use() {
    if skip_unless(&[CROSS_COMPILER]) {
        return;
    }
    let Some(env) = arm_environment() else {
        return;
    };
    compile(&env, CROSS_COMPILER, "syscalls");
    let dockerfile = "FROM busybox\nRUN --mount=type=bind,target=/c /c/syscalls | tr '\\n' ' '\n";
    let output = arm_build(&env, dockerfile, &[]);
    assert!(output.contains(ANSWERS), "{output}");
    let free = arm_build(
        &env,
        &dockerfile.replace("RUN ", "RUN --security=insecure "),
        &[],
    );
    assert!(free.contains("kcmp=3 "), "{free}");
}

#[test]
fn arm_guest_failure_shows_its_line_its_output_and_its_code() {
    let Some(env) = arm_environment() else {
        return;
    };
    for (dockerfile, words) in [
        (
            "FROM busybox\nRUN echo why it failed >&2; \\\n    exit 42\n",
            ["why it failed", "exit code: 42", "Dockerfile:2"],
        ),
        (
            "FROM busybox\nRUN [\"/no/such/program\"]\n",
            ["could not start", "no/such/program", "Dockerfile:2"],
        ),
        (
            "FROM busybox\nRUN sh -c 'kill -SEGV $$'; exit $?\n",
            ["exit code: 139", "kill -SEGV", "Dockerfile:2"],
        ),
    ] {
        let failed = env
            .build(dockerfile, &["--platform=linux/arm64"])
            .failure(1);
        for word in words {
            assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
        }
    }
}

#[test]
fn arm_guest_and_one_of_this_machine_share_a_build() {
    let Some(env) = arm_environment() else {
        return;
    };
    // A name stands for one image: the tools are of this machine, the result is not.
    let own = kiln_e2e::busybox_rootfs();
    let _ = env
        .kiln(&[
            "import",
            "--change",
            "ENV PATH=/bin",
            own.to_str().unwrap(),
            "tools",
        ])
        .success();
    let output = arm_build(
        &env,
        "FROM --platform=$BUILDPLATFORM tools AS build\n\
         ARG TARGETARCH\n\
         RUN echo \"made on $(uname -m) for $TARGETARCH\" > /made\n\
         FROM busybox\n\
         COPY --from=build /made /made\n\
         RUN --mount=type=bind,from=build,target=/build cmp /made /build/made && echo \"$(cat /made), checked on $(uname -m)\"\n",
        &["-t", "app"],
    );
    let own = std::env::consts::ARCH;
    let words = format!("made on {own} for arm64, checked on aarch64");
    assert!(output.contains(&words), "{output}");
    assert_eq!(output.matches("VM ready").count(), 2, "{output}");
    assert_eq!(inspect(&env, "{{.Architecture}}", "app"), "arm64");
}

#[test]
fn arm_guest_runs_32_bit_programs_under_the_same_confinement() {
    let Some(env) = arm_environment() else {
        return;
    };
    env.import_foreign_busybox("armhf", "linux/arm/v7", "busybox32");
    let output = env
        .build(
            "FROM busybox32\n\
             ARG TARGETPLATFORM\n\
             RUN od -A n -t x1 -N 5 /bin/busybox && echo \"<$TARGETPLATFORM>\" && grep Seccomp: /proc/self/status\n\
             RUN mount -t tmpfs none /tmp 2>&1 || echo mount-refused; unshare -U true 2>&1 || echo unshare-refused\n",
            &["-t", "app", "--platform=linux/arm/v7"],
        )
        .success()
        .stderr;
    for word in [
        " 7f 45 4c 46 01",
        "<linux/arm/v7>",
        "Seccomp:\t2",
        "mount-refused",
        "unshare-refused",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
    let variant = inspect(&env, "{{.Architecture}} {{.Variant}}", "app");
    assert_eq!(variant, "arm v7");
}
