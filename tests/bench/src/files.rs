//! COPY of many files: at first, again, and with one of them changed.

use std::path::Path;
use std::time::Duration;

use kiln_e2e::TestEnvironment;

use crate::buildah::{Buildah, STORAGE_DRIVERS};
use crate::context;
use crate::samples::{Row, time};

const ROUNDS: usize = 5;

/// Rounds of other builders, which take longer.
const PEER_ROUNDS: usize = 2;

/// Into an empty store.
pub fn copy(name: &str) -> Vec<Row> {
    let context = large_context();
    let root = context.path();
    let kiln = |_| build(&TestEnvironment::new(), root);
    let mut rows = vec![Row::new(name, "kiln", (0..ROUNDS).map(kiln).collect())];
    rows.extend(with_buildah(name, |driver| {
        (0..PEER_ROUNDS)
            .map(|_| Buildah::new(driver)?.build(root))
            .collect()
    }));
    rows
}

/// The same context again.
pub fn unchanged(name: &str) -> Vec<Row> {
    let context = large_context();
    let root = context.path();
    let env = TestEnvironment::new();
    build(&env, root);
    let mut rows = vec![Row::new(
        name,
        "kiln",
        (0..2 * ROUNDS).map(|_| build(&env, root)).collect(),
    )];
    rows.extend(with_buildah(name, |driver| {
        let buildah = Buildah::new(driver)?;
        buildah.build(root)?;
        (0..PEER_ROUNDS).map(|_| buildah.build(root)).collect()
    }));
    rows
}

/// With one file changed.
pub fn changed(name: &str) -> Vec<Row> {
    let context = large_context();
    let root = context.path();
    let env = TestEnvironment::new();
    build(&env, root);
    let change = |round| context::change(root, round).expect("file is writable");
    let kiln = |round| {
        change(round);
        build(&env, root)
    };
    let mut rows = vec![Row::new(name, "kiln", (0..ROUNDS).map(kiln).collect())];
    rows.extend(with_buildah(name, |driver| {
        let buildah = Buildah::new(driver)?;
        buildah.build(root)?;
        let again = |round| {
            change(100 + round);
            buildah.build(root)
        };
        (0..PEER_ROUNDS).map(again).collect()
    }));
    rows
}

fn large_context() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    context::write(folder.path()).expect("context");
    folder
}

fn build(env: &TestEnvironment, context: &Path) -> Duration {
    let context = context.to_str().expect("path is UTF-8");
    time(|| {
        let _ = env.kiln(&["build", "-q", "-t", "bench", context]).success();
    })
}

fn with_buildah(
    name: &str,
    measure: impl Fn(&'static str) -> Result<Vec<Duration>, String>,
) -> Vec<Row> {
    STORAGE_DRIVERS
        .iter()
        .map(|(driver, title)| match measure(driver) {
            Ok(samples) => Row::new(name, title, samples),
            Err(why) => Row::absent(name, title, &why),
        })
        .collect()
}
