//! A context of many files: copied at first, again, and with one of them changed.

use std::path::Path;
use std::time::Duration;

use kiln_e2e::TestEnvironment;

use crate::buildah::{Buildah, STORAGE_DRIVERS};
use crate::context;
use crate::samples::{Row, time};

/// Names of the three rows.
const COPY: &str = "COPY 20,000 files, 200 MB, into scratch";
const AGAIN: &str = "the same again: nothing to do";
const CHANGED: &str = "one file of them changed";

const ROUNDS: usize = 5;

/// Rounds of other builders, which take longer.
const PEER_ROUNDS: usize = 2;

/// Samples of the three rows.
type Samples = [Vec<Duration>; 3];

/// All three, by each builder on the same context.
pub fn copy(_: &str) -> Vec<Row> {
    let context = tempfile::tempdir().expect("temporary folder");
    let root = context.path();
    context::write(root).expect("context");
    let mut columns = vec![("kiln", Ok(kiln(root)))];
    for (driver, title) in STORAGE_DRIVERS {
        columns.push((title, buildah(driver, root)));
    }
    let rows = |(index, name): (usize, &str)| -> Vec<Row> {
        let row = |(builder, samples): &(&'static str, Result<Samples, String>)| match samples {
            Ok(samples) => Row::new(name, builder, samples[index].clone()),
            Err(why) => Row::absent(name, builder, why),
        };
        columns.iter().map(row).collect()
    };
    [COPY, AGAIN, CHANGED]
        .into_iter()
        .enumerate()
        .flat_map(rows)
        .collect()
}

fn kiln(root: &Path) -> Samples {
    let copy = (0..ROUNDS)
        .map(|_| build(&TestEnvironment::new(), root))
        .collect();
    let env = TestEnvironment::new();
    build(&env, root);
    let again = (0..2 * ROUNDS).map(|_| build(&env, root)).collect();
    let changed = |round| {
        context::change(root, round).expect("file is writable");
        build(&env, root)
    };
    [copy, again, (0..ROUNDS).map(changed).collect()]
}

fn buildah(driver: &'static str, root: &Path) -> Result<Samples, String> {
    let buildah = Buildah::new(driver)?;
    let copy = vec![buildah.build(root)?];
    let again = (0..PEER_ROUNDS)
        .map(|_| buildah.build(root))
        .collect::<Result<_, _>>()?;
    let changed = |round| {
        context::change(root, ROUNDS + round).map_err(|error| error.to_string())?;
        buildah.build(root)
    };
    Ok([
        copy,
        again,
        (0..PEER_ROUNDS).map(changed).collect::<Result<_, _>>()?,
    ])
}

fn build(env: &TestEnvironment, context: &Path) -> Duration {
    let context = context.to_str().expect("path is UTF-8");
    time(|| {
        let _ = env.kiln(&["build", "-q", "-t", "bench", context]).success();
    })
}
