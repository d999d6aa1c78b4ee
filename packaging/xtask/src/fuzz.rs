//! The task `fuzz`: builds one target of `tests/fuzz` with coverage counters and runs it.
//!
//! The stable compiler can do that: the counters are an LLVM pass, and libFuzzer is built from its C++ source. What
//! the fuzzer learns is kept in `tests/fuzz/corpus`, what breaks the target in `tests/fuzz/artifacts`.

use std::fs;
use std::process::Command;

use crate::error::Error;
use crate::process::{cargo, note, run as run_command, step};
use crate::project::Project;

/// How long a target runs when nothing else is asked for.
const SECONDS: &str = "60";

/// Memory at which a target is ended: what it parses is small.
const MEMORY_MIB: u32 = 1500;

/// Counters for each edge, as cargo-fuzz asks for them.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// Runs `target`, the name of a file in `tests/fuzz/targets`.
pub fn run(project: &Project, target: &str, seconds: Option<&str>) -> Result<(), Error> {
    let folder = project.root.join("tests/fuzz");
    if !folder
        .join("targets")
        .join(format!("{target}.rs"))
        .is_file()
    {
        return Err(Error::UnknownPart {
            part: target.to_owned(),
            known: "the files in tests/fuzz/targets",
        });
    }
    step(&format!("building the fuzz target {target}"));
    // With a target of its own, build scripts and macros go without counters.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let build_folder = project.target().join("fuzz");
    let mut build = cargo();
    build
        .args(["build", "--release", "--bin", target])
        .args(["--target", &triple, "--target-dir"])
        .arg(&build_folder)
        .env("RUSTFLAGS", FLAGS)
        .current_dir(&folder);
    run_command("building the fuzz target", &mut build)?;

    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for path in [&corpus, &artifacts] {
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
    }
    let seconds = seconds.unwrap_or(SECONDS);
    step(&format!("running it for {seconds} s"));
    note(&format!(
        "inputs that break it go to {}",
        artifacts.display()
    ));
    let mut fuzz = Command::new(build_folder.join(triple).join("release").join(target));
    fuzz.arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=10", "-max_len=16384", "-print_final_stats=1"])
        .arg(&corpus)
        .arg(folder.join("seeds").join(target))
        .current_dir(&folder);
    run_command("fuzzing", &mut fuzz)
}
