//! Measures what Kiln promises to be quick at, beside buildah on the same machine.
//!
//! ```text
//! kiln-bench OUT [FILTER…]      FILTER: part of a measurement's name
//!   KILN_BIN, KILN_VM_IMAGE     the program and the VM image under test
//! ```
//!
//! Prints a table of medians and writes `report.md` and `report.json` into the folder OUT. Nothing is compared
//! with a limit: figures of a shared machine are for reading, not for failing.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark reports to the terminal"
)]

mod boot;
mod buildah;
mod context;
mod files;
mod report;
mod runs;
mod samples;

use std::path::PathBuf;
use std::process::ExitCode;

use samples::Row;

/// A measurement: its name and what takes it.
type Measurement = (&'static str, fn(&str) -> Vec<Row>);

const MEASUREMENTS: &[Measurement] = &[
    ("VM: start to Hello", boot::hello),
    ("VM: start to Hello, emulated", boot::emulated_hello),
    ("RUN true: whole build, one step", runs::one),
    ("RUN true: each further step", runs::further),
    ("COPY of 20,000 files, a no-op, a change", files::copy),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(out) = args.next().map(PathBuf::from) else {
        eprintln!("usage: kiln-bench OUT [FILTER…]");
        return ExitCode::from(2);
    };
    let filters: Vec<String> = args.collect();
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            println!("measuring: {name}");
            rows.extend(measure(name));
        }
    }
    println!("\n{}", report::markdown(&rows));
    match report::write(&out, &rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "error: cannot write the report into {}: {error}",
                out.display()
            );
            ExitCode::from(3)
        }
    }
}
