//! `kiln version`.

use kiln_oci::Platform;

use crate::failure::{Exit, Failure};
use crate::format::Value;
use crate::format::template::Template;
use crate::invocation::Invocation;

/// Show the version
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print with a Go template (`{{.Version}}`) or `json`
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints it.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let value = Value::Record(vec![
        ("Version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("Os", Value::from(std::env::consts::OS)),
        ("Arch", Value::from(Platform::linux_host().architecture)),
        (
            "AgentProtocol",
            Value::from(u64::from(kiln_protocol::VERSION)),
        ),
    ]);
    let template = match arguments.format.as_deref() {
        None => "kiln {{.Version}}\nOS/Arch: {{.Os}}/{{.Arch}}\nAgent protocol: {{.AgentProtocol}}",
        Some("json") => "{{json .}}",
        Some(text) => text,
    };
    let text = Template::parse(template).and_then(|template| template.render(&value));
    invocation
        .console
        .data(&(text.map_err(|error| Failure::of(Exit::Usage, &error))? + "\n"))
}
