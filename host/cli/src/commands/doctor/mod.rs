//! `kiln doctor`: what this machine can do, and how to mend what it cannot.
//!
//! Every topic gives findings; none ends the command, so that all that is wrong is told at once. Nothing is changed, but for
//! the data folder, which is made as any command makes it.

mod finding;
mod machine;
mod network;
mod storage;

use finding::{Finding, Report, State};

use crate::failure::{Exit, Failure};
use crate::invocation::Invocation;
use crate::settings;

/// Check what this machine can do
///
/// Ends with 3 if no VM can be started, or if something that was asked about does not work. COPY and metadata instructions
/// work without a VM.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
    /// Ask this registry too whether it can be reached; may be repeated
    #[arg(long = "registry", value_name = "HOST")]
    registries: Vec<String>,
}

/// Looks at everything, then prints.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let (backends, works) = machine::backends(invocation);
    let mut findings = storage::findings(invocation);
    findings.push(machine::vm_image(invocation));
    findings.extend(machine::processor(works));
    findings.extend(machine::entitlement(invocation));
    findings.extend(backends);
    findings.extend(machine::emulated(invocation));
    findings.extend(user_settings(invocation));
    findings.extend(network::proxy(&invocation.environment.http));
    let registries = arguments.registries.iter();
    findings.extend(registries.map(|host| network::registry(&invocation.environment.http, host)));
    let broken = |finding: &Finding| finding.state == State::Broken;
    let report = Report {
        version: 1,
        kiln: env!("CARGO_PKG_VERSION"),
        host: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ok: works && !findings.iter().any(broken),
        findings,
    };
    if arguments.json {
        let text = serde_json::to_string(&report).expect("text keys only") + "\n";
        invocation.console.data(&text)?;
    } else {
        let text = finding::rendered(&report, &invocation.console.terminal);
        invocation.console.bytes(text.as_bytes())?;
    }
    if report.ok {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Host))
    }
}

/// The user's file of settings, if there can be one.
fn user_settings(invocation: &Invocation) -> Option<Finding> {
    const NAME: &str = "settings";
    let path = settings::path(&invocation.environment)?;
    Some(match settings::read(&invocation.environment) {
        Ok(_) if path.exists() => Finding::new(NAME, State::Ok, path.display().to_string()),
        Ok(_) => Finding::new(NAME, State::Ok, format!("none in {}", path.display())),
        Err(failure) => Finding::new(NAME, State::Broken, failure.in_one_line()),
    })
}
