//! `kiln system check`.

use kiln_store::{CheckReport, Problem, Repair};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Verify every byte of the store
///
/// Ends with 1 if something is not as it should be. What is repaired is made anew by the next build that needs it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Repair what can be repaired, and remove what cannot
    #[arg(long)]
    repair: bool,
}

/// Checks.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let store = invocation.store("kiln system check")?;
    let report = store.check(arguments.repair)?;
    let problems = report
        .problems
        .iter()
        .map(|(problem, repair)| told(problem, *repair));
    invocation.console.data(&problems.collect::<String>())?;
    let CheckReport {
        layers,
        blobs,
        images,
        unfinished,
        problems,
    } = report;
    let mut looked = format!("{images} images, {layers} layers, {blobs} blobs checked");
    if unfinished > 0 {
        looked += &format!(" ({unfinished} of a build that was cut short, or goes on)");
    }
    let left = problems
        .iter()
        .filter(|(_, repair)| *repair == Repair::None)
        .count();
    match (problems.len(), left) {
        (0, _) => {
            invocation.console.note(&format!("{looked}: all is well"));
            Ok(())
        }
        (found, 0) => {
            invocation
                .console
                .note(&format!("{looked}: {found} problems repaired"));
            Ok(())
        }
        (_, left) => {
            let failure = Failure::build(format!("{looked}: {left} problems"));
            Err(if arguments.repair {
                failure
            } else {
                failure.hint("use --repair")
            })
        }
    }
}

fn told(problem: &Problem, repair: Repair) -> String {
    let done = match repair {
        Repair::None => "",
        Repair::Removed => ": removed",
        Repair::Rebuilt => ": rebuilt",
        Repair::Adopted => ": recorded again",
    };
    let names = match problem {
        Problem::ImageIncomplete { names, .. } if !names.is_empty() => {
            let names: Vec<String> = names.iter().map(kiln_oci::ImageName::familiar).collect();
            format!(" ({})", names.join(", "))
        }
        _ => String::new(),
    };
    format!("{problem}{names}{done}\n")
}
