//! Processes that die: this test binary is started again as a child and killed.
//!
//! A process of its own, one test at a time: for a moment a child that is being started holds copies of its
//! parent's locks, which would make tests wait for each other.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "../store/support.rs"]
#[expect(dead_code, reason = "shared with the other tests of the store")]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_store::{PruneOptions, Repair, Store};

use support::{TestStore, add_layer, file, staged};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Set for the child; names the store.
const STORE: &str = "KILN_TEST_CRASHING_STORE";
/// What the child is to do.
const ROLE: &str = "KILN_TEST_CRASHING_ROLE";

fn child(root: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture"])
        .env(STORE, root)
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child's half; does nothing in an ordinary run.
#[test]
fn child_process() {
    let (Ok(root), Ok(role)) = (std::env::var(STORE), std::env::var(ROLE)) else {
        return;
    };
    let store = Store::open(Path::new(&root)).unwrap();
    if role == "stage" {
        let mut layer = store.begin_layer().unwrap();
        layer.append(&file("a", 3), &mut &b"abc"[..]).unwrap();
        let _lease = store.lease().unwrap();
        println!("\nready");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    if role == "fill" {
        fill_the_disk(&store);
        println!("\nready");
        return;
    }
    let offset: u64 = role.parse().unwrap();
    println!("\nready");
    for number in 0.. {
        let content = format!("{}", number + offset).repeat(2000);
        let layer = add_layer(&store, "file", content.as_bytes());
        store
            .record(&layer.diff_id.0, Some(layer.diff_id), "RUN")
            .unwrap();
    }
}

fn wait_until_ready(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.map_while(Result::ok).any(|line| line == "ready"),
        "the child has ended"
    );
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn process_killed_while_committing_leaves_a_sound_store() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let test = TestStore::new();
    for round in 0..12u64 {
        let mut first = child(test.root(), "0");
        // In every other round both commit the same layers at the same time.
        let mut second = child(test.root(), ["0", "1000000"][round as usize % 2]);
        wait_until_ready(&mut first);
        wait_until_ready(&mut second);
        std::thread::sleep(Duration::from_millis(5 + round * 7));
        kill(first);
        kill(second);
        let store = test.reopened();
        // Only a layer between its rename and its row may be found, and it is sound.
        for (problem, repair) in store.check(true).unwrap().problems {
            assert_eq!(repair, Repair::Adopted, "round {round}: {problem}");
        }
        assert!(store.check(false).unwrap().problems.is_empty());
        assert!(staged(test.root()).is_empty(), "round {round}");
    }
    let usage = test.store.df().unwrap();
    assert!(usage.build_cache.count > 0, "no child ever committed");
}

#[test]
fn leftovers_and_locks_of_a_killed_process_go_when_the_store_is_opened() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let test = TestStore::new();
    let mut process = child(test.root(), "stage");
    wait_until_ready(&mut process);
    let pid = process.id();
    test.reopened();
    assert!(!staged(test.root()).is_empty(), "a live process was swept");
    let error = test.store.prune(&PruneOptions::default()).unwrap_err();
    let kiln_store::Error::LockBusy { holders } = error else {
        panic!("{error:?}")
    };
    assert!(
        holders.iter().any(|holder| holder.pid == pid),
        "{holders:?}"
    );
    kill(process);
    test.reopened();
    assert!(staged(test.root()).is_empty());
    test.store.prune(&PruneOptions::default()).unwrap();
}

/// Runs in a child with a file system of a few megabytes.
fn fill_the_disk(store: &Store) {
    let content: Vec<u8> = (0..16u32 << 20).map(|number| number as u8 | 1).collect();
    let mut layer = store.begin_layer().unwrap();
    let appended = layer.append(&file("big", content.len()), &mut &content[..]);
    let error = appended
        .and_then(|()| layer.commit().map(drop))
        .unwrap_err();
    assert!(
        matches!(error, kiln_store::Error::NoSpace { .. }),
        "{error:?}"
    );
    assert!(staged(store.root()).is_empty());
    let tar = support::tar(&[("big", &content)]);
    let limits = kiln_store::IngestLimits::default();
    let error = store.ingest_layer(&tar[..], None, limits).unwrap_err();
    assert!(
        matches!(error, kiln_store::Error::NoSpace { .. }),
        "{error:?}"
    );
    let error = store.put_blob(&content[..], None, u64::MAX).unwrap_err();
    assert!(
        matches!(error, kiln_store::Error::NoSpace { .. }),
        "{error:?}"
    );
    assert!(staged(store.root()).is_empty());
    add_layer(store, "small", b"there is room again");
}

#[test]
fn full_disk_is_a_typed_error_and_leaves_nothing() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=6m none \"$1\" && exec \"$2\" --exact child_process --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([dir.path(), &std::env::current_exe().unwrap()])
        .env(STORE, dir.path())
        .env(ROLE, "fill")
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success(),
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        _ => println!("skipped: no private mount can be made here"),
    }
}
