//! The one task runner: `cargo xtask <task>`.
//!
//! It owns everything that is done *to* the project: set-up, checks, the VM image, tests, benchmarks, release
//! archives. It holds no logic of Kiln itself; what a task needs to know of a format it takes from the crate
//! that owns the format.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to whoever started it"
)]

mod apt;
mod bench;
mod check;
mod cross;
mod digest;
mod dist;
mod error;
mod foreign;
mod fuzz;
mod hello;
mod process;
mod project;
mod setup;
mod tally;
mod test;
mod vm_image;

use std::process::ExitCode;

use error::Error;
use project::Project;

const USAGE: &str = "\
usage: cargo xtask <task>

  hello                     set everything up, build examples/hello into an image and run it
  test [--only PART]        run every test (PART: unit, e2e, aarch64, conformance, serial, krun,
                            wine, dist)
  check [--only PART]       formatting, lints, licences, types on macOS and Windows
                            (PART: format, clippy, lint, licences, cross)
  setup [--tools]           install what building and testing need (apt); --tools also cargo-deny
  setup --arch ARCH         install what building for guests of another architecture needs
  vm-image [--arch ARCH]    build the guest's kernel, initramfs and scratch disk into vm-image/out
  bench                     measure, beside other builders; writes target/bench
  fuzz TARGET [SECONDS]     feed a parser of tests/fuzz/targets with what may break it
  dist [--target T]...      release archives and packages of every target, or of some, into target/dist
                            (--without-vm-image; --quick compiles quickly, into target/dist-quick)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &[String]) -> Result<(), Error> {
    let project = Project::find();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hello"] => hello::run(&project),
        ["test"] => test::run(&project, None),
        ["test", "--only", part] => test::run(&project, Some(part)),
        ["check"] => check::run(&project, None),
        ["check", "--only", part] => check::run(&project, Some(part)),
        ["setup"] => setup::run(&project, setup::Scope::Everything),
        ["setup", "--arch", arch] => setup::cross(arch),
        ["setup", "--tools"] => setup::run(&project, setup::Scope::EverythingAndTools),
        ["vm-image"] => vm_image::build(&project, std::env::consts::ARCH).map(drop),
        ["vm-image", "--arch", arch] => {
            setup::cross(arch)?;
            vm_image::build(&project, arch).map(drop)
        }
        ["bench", rest @ ..] => bench::run(&project, rest),
        ["fuzz", target] => fuzz::run(&project, target, None),
        ["fuzz", target, seconds] => fuzz::run(&project, target, Some(seconds)),
        ["dist", rest @ ..] => dist::run(&project, &dist::Options::parse(rest)?),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            Err(Error::Usage)
        }
    }
}
