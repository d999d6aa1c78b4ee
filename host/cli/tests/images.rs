//! Images in and out of the store: import, list, inspect, tag, remove, save, load. No VM is needed.

mod environment;

use environment::TestEnvironment;

#[test]
fn an_imported_image_is_listed_and_inspected() {
    let env = TestEnvironment::new();
    let id = env.import("app:v1");
    let id = id.trim();
    assert!(id.starts_with("sha256:"), "{id}");

    let list = env.kiln(&["images"]).stdout();
    let mut lines = list.lines();
    assert_eq!(
        lines.next(),
        Some("REPOSITORY   TAG       IMAGE ID       CREATED                  SIZE")
    );
    let row = lines.next().expect("one image");
    assert!(
        row.starts_with(&format!("app          v1        {}   ", &id[7..19])),
        "{row}"
    );
    assert!(row.ends_with("   2.05kB"), "{row}");
    assert_eq!(lines.next(), None);

    assert_eq!(
        env.kiln(&["image", "ls", "-q", "--no-trunc"]).stdout(),
        format!("{id}\n")
    );
    assert_eq!(
        env.kiln(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
            .stdout(),
        "app:v1\n"
    );
    assert_eq!(
        env.kiln(&["images", "-q", "--filter", "reference=other"])
            .stdout(),
        ""
    );
    assert_eq!(
        env.kiln(&[
            "inspect",
            "-f",
            "{{json .Config.Cmd}} {{.RepoTags}}",
            "app:v1"
        ])
        .stdout(),
        "[\"/hello\"] [app:v1]\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&env.kiln(&["inspect", &id[7..12]]).stdout()).expect("JSON");
    assert_eq!(json[0]["Id"], id);
    assert_eq!(json[0]["Config"]["Labels"]["who"], "me");
    let history = env.kiln(&["history", "app:v1"]).stdout();
    assert!(
        history.contains("from a test") && history.contains("2.05kB"),
        "{history}"
    );
}

#[test]
fn names_come_and_go_and_the_image_with_the_last() {
    let env = TestEnvironment::new();
    let id = env.import("app");
    env.kiln(&["tag", "app", "registry.example.com/team/app:v2"])
        .stdout();
    let refused = env.kiln(&["rmi", &id[7..19]]).failure(1);
    assert!(refused.contains("--force"), "{refused}");
    assert_eq!(env.kiln(&["rmi", "app"]).stdout(), "Untagged: app:latest\n");
    let gone = env
        .kiln(&["rmi", "registry.example.com/team/app:v2"])
        .stdout();
    assert!(
        gone.starts_with("Untagged: registry.example.com/team/app:v2\nDeleted: sha256:"),
        "{gone}"
    );
    let missing = env.kiln(&["rmi", "app"]).failure(1);
    assert!(
        missing.starts_with("error: no such image: app\n"),
        "{missing}"
    );
    assert_eq!(env.kiln(&["rmi", "-f", "app"]).stdout(), "");
    env.kiln(&["system", "check"]).stdout();
}

#[test]
fn archives_carry_images_from_store_to_store() {
    let env = TestEnvironment::new();
    let id = env.import("app:v1");
    for format in ["docker-archive", "oci-archive"] {
        let other = TestEnvironment::new();
        let archive = other.dir().join("image.tar");
        env.kiln(&[
            "save",
            "--format",
            format,
            "-o",
            archive.to_str().expect("UTF-8"),
            "app:v1",
        ])
        .stdout();
        assert_eq!(
            other.kiln(&["load", "-i", "image.tar"]).stdout(),
            "Loaded image: app:v1\n"
        );
        assert_eq!(other.kiln(&["images", "-q", "--no-trunc"]).stdout(), id);
        other.kiln(&["system", "check"]).stdout();
    }
    // To a pipe, and from one.
    let archive = env
        .command(&["save", "app"])
        .output()
        .expect("kiln starts")
        .stdout;
    let other = TestEnvironment::new();
    assert_eq!(
        other.kiln_with_input(&["load"], &archive).stdout(),
        "Loaded image: app:v1\n"
    );
}

#[test]
fn broken_archives_are_refused_and_leave_nothing() {
    let env = TestEnvironment::new();
    env.import("app");
    let mut archive = env
        .command(&["save", "app"])
        .output()
        .expect("kiln starts")
        .stdout;
    let at = archive
        .windows(6)
        .position(|bytes| bytes == b"hello\n")
        .expect("the file of the layer");
    archive[at] = b'j';
    let other = TestEnvironment::new();
    let refused = other.kiln_with_input(&["load"], &archive).failure(1);
    assert!(refused.contains("digest"), "{refused}");
    for bytes in [
        b"".as_slice(),
        b"nonsense",
        b"\x1f\x8b\x08nonsense",
        &archive[..2000],
    ] {
        other.kiln_with_input(&["load"], bytes).failure(1);
        other
            .kiln_with_input(&["import", "-", "x"], &bytes[..bytes.len().min(700)])
            .failure(1);
    }
    assert_eq!(other.kiln(&["images", "-q"]).stdout(), "");
    other.kiln(&["system", "check"]).stdout();
}

#[test]
fn room_can_be_seen_and_made() {
    let env = TestEnvironment::new();
    env.import("app");
    let usage = env.kiln(&["system", "df"]).stdout();
    assert!(
        usage.starts_with("TYPE                TOTAL     ACTIVE    SIZE"),
        "{usage}"
    );
    assert!(
        env.kiln(&["system", "df", "-v"]).stdout().contains("app"),
        "named images are listed"
    );
    let refused = env.kiln(&["prune"]).failure(2);
    assert!(refused.contains("--force"), "{refused}");
    assert!(
        env.kiln(&["prune", "-f"])
            .stdout()
            .contains("Total reclaimed space: ")
    );
    assert_ne!(env.kiln(&["images", "-q"]).stdout(), "");
    assert!(
        env.kiln(&["system", "prune", "-af"])
            .stdout()
            .contains("Deleted: sha256:")
    );
    assert_eq!(env.kiln(&["images", "-q"]).stdout(), "");
}
