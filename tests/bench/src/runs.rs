//! RUN steps that do nothing: what a step costs of itself.

use std::fmt::Write;
use std::time::Duration;

use kiln_e2e::TestEnvironment;

use crate::samples::{Row, time};

const ROUNDS: usize = 5;

/// Steps of the longer build.
const STEPS: u32 = 10;

/// A build of one RUN, with its VM.
pub fn one(name: &str) -> Vec<Row> {
    let env = world();
    vec![Row::new(
        name,
        "kiln",
        (0..ROUNDS).map(|round| build(&env, 1, round)).collect(),
    )]
}

/// What each RUN adds once the VM is there.
pub fn further(name: &str) -> Vec<Row> {
    let env = world();
    let difference = |round| {
        let (short, long) = (
            build(&env, 1, 100 + round),
            build(&env, 1 + STEPS, 200 + round),
        );
        long.saturating_sub(short) / STEPS
    };
    vec![Row::new(
        name,
        "kiln",
        (0..ROUNDS).map(difference).collect(),
    )]
}

fn world() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.import_busybox();
    build(&env, 1, 1000);
    env
}

/// Builds that many RUNs which no earlier build has made.
fn build(env: &TestEnvironment, steps: u32, round: usize) -> Duration {
    let mut dockerfile = format!("FROM busybox\nENV ROUND={steps}-{round}\n");
    for _ in 0..steps {
        writeln!(dockerfile, "RUN true").expect("strings grow");
    }
    time(|| {
        let _ = env.build(&dockerfile, &[]).success();
    })
}
