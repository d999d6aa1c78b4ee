//! A Dockerfile with every kind of change, on a real Debian, against what other tools make of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use kiln_e2e::{
    TestEnvironment, buildah_build, buildah_tree, compare_trees, debian_rootfs, project_dir,
    read_tree, skip_unless, umoci_tree,
};

/// Copies the build's context and adds the archive that it unpacks.
fn make_context(target: &Path) {
    let fixture = project_dir().join("tests/e2e/fixtures/twelve");
    run(Command::new("cp").arg("-a").arg(&fixture).arg(target));
    let archive = target.join("archive");
    std::fs::create_dir_all(archive.join("sub")).unwrap();
    std::fs::write(archive.join("sub/file"), "from the archive\n").unwrap();
    std::os::unix::fs::symlink("file", archive.join("sub/link")).unwrap();
    run(Command::new("tar")
        .args(["--owner=7", "--group=8", "--mtime=@1600000000", "-czf"])
        .arg(target.join("archive.tar.gz"))
        .arg("-C")
        .arg(&archive)
        .arg("sub"));
    std::fs::remove_dir_all(&archive).unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Differs between any two runs of any builder: times of the day written into files.
fn is_volatile(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with("etc/shadow") // the day of the last password change
        || text == "etc/.pwd.lock"
}

#[test]
fn image_is_accepted_by_other_tools_and_equals_what_buildah_builds() {
    if skip_unless(&["skopeo", "umoci", "buildah", "podman", "debootstrap"]) {
        return;
    }
    let mut env = TestEnvironment::new();
    let context = env.dir().join("twelve");
    make_context(&context);
    let rootfs = debian_rootfs();
    let path_env = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let _ = env
        .kiln(&[
            "import",
            "--change",
            path_env,
            rootfs.to_str().unwrap(),
            "debian",
        ])
        .success();

    let built = env
        .kiln(&["build", "--progress=plain", "-t", "twelve", "twelve"])
        .success();
    assert!(built.stderr.contains("DONE"), "{}", built.stderr);

    // Again: every step from the cache, in a world in which no VM can start.
    env.forbid_vm();
    let again = env
        .kiln(&["build", "--progress=plain", "-t", "again", "twelve"])
        .success();
    assert!(!again.stderr.contains("DONE"), "{}", again.stderr);
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
    let ids = env.kiln(&["images", "-q", "--no-trunc"]).success().stdout;
    let (twelve, again) = (image_id(&env, "twelve"), image_id(&env, "again"));
    assert_eq!(twelve, again, "{ids}");

    let oci = env.dir().join("kiln.oci.tar");
    let docker = env.dir().join("kiln.docker.tar");
    let save = |format: &str, path: &Path| {
        let _ = env
            .kiln(&[
                "save",
                "--format",
                format,
                "-o",
                path.to_str().unwrap(),
                "twelve",
            ])
            .success();
    };
    save("oci-archive", &oci);
    save("docker-archive", &docker);
    accepted_by_skopeo_and_podman(&env, &oci, &docker);

    let ours = env.dir().join("ours");
    std::fs::create_dir_all(&ours).unwrap();
    let ours = read_tree(&umoci_tree(&oci, &ours));
    assert!(ours.len() > 1000, "{} entries", ours.len());
    let peer = env.dir().join("buildah");
    std::fs::create_dir_all(&peer).unwrap();
    buildah_build(&context, ("debian", &rootfs), "twelve", &peer)
        .unwrap_or_else(|error| panic!("{error}"));
    let theirs = read_tree(&buildah_tree("twelve", &peer));
    let differences = compare_trees(&ours, &theirs, is_volatile);
    assert!(differences.is_empty(), "{differences:#?}");
    env.assert_store_whole();
}

fn image_id(env: &TestEnvironment, name: &str) -> String {
    env.kiln(&["inspect", "--format", "{{.Id}}", name])
        .success()
        .stdout
}

fn accepted_by_skopeo_and_podman(env: &TestEnvironment, oci: &Path, docker: &Path) {
    for (transport, path) in [("oci-archive", oci), ("docker-archive", docker)] {
        run(Command::new("skopeo")
            .args(["--insecure-policy", "inspect", "--raw"])
            .arg(format!("{transport}:{}", path.display())));
        let root = env.dir().join(format!("podman-{transport}"));
        let podman = || {
            let mut command = Command::new("podman");
            command
                .arg("--root")
                .arg(root.join("root"))
                .arg("--runroot")
                .arg(root.join("run"))
                .args(["--storage-driver", "overlay"]);
            command
        };
        run(podman().arg("load").arg("-i").arg(path));
        run(podman().args(["image", "inspect", "twelve"]));
    }
}
