//! `kiln run`: a command in an image, in a VM that is gone afterwards.

mod env_file;

use std::io::Write;
use std::path::PathBuf;

use kiln_engine::{Cause, OutputStream, RunRequest};

use crate::console;
use crate::env;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::invocation::{Invocation, VmOptions};

/// docker's code for a container that could not be started for reasons outside of it.
const NOT_STARTED: u8 = 125;

/// Run a command in an image, in a fresh VM
///
/// What the command writes into the image's file system is dropped when it ends. Its exit code is passed on; 125
/// means that the VM could not be started, 126 that the command cannot be executed, 127 that there is no such command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Command and its arguments, in place of the image's own
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
    /// Set an environment variable; without a value it is taken from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set the environment variables in a file, one NAME=VALUE a line
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// User, in place of the image's
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Working directory, in place of the image's
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
    /// Entry point, in place of the image's; it gets none of the image's arguments
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Name of the host
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Remove the container afterwards: always done
    #[arg(long)]
    rm: bool,
    /// Network of the command: only `none` yet
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    #[command(flatten)]
    vm: VmOptions,
}

/// Runs, and ends with the command's exit code.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let not_started = |failure: Failure| match failure.exit {
        Exit::Interrupted | Exit::Bug | Exit::Quiet => failure,
        _ => failure.exiting(Exit::Container(NOT_STARTED)),
    };
    match start(arguments, invocation).map_err(not_started)? {
        0 => Ok(()),
        // The operating system keeps the lowest byte of a code.
        code => Err(Failure::silent(Exit::Container(code.to_le_bytes()[0]))),
    }
}

fn start(arguments: &Arguments, invocation: &Invocation) -> Result<i32, Failure> {
    if let Some(network) = arguments
        .network
        .as_deref()
        .filter(|network| *network != "none")
    {
        return Err(Failure::usage(format!(
            "--network={network} is not supported: the VM has no network yet"
        )));
    }
    let request = arguments.request(invocation)?;
    let settings = invocation.vm_settings(&arguments.vm)?;
    let store = invocation.store(&format!("kiln run {}", arguments.image))?;
    let cancel = interrupt::listen();
    let mut lost = None;
    let mut on_output = |stream: OutputStream, bytes: &[u8]| {
        let written = match stream {
            OutputStream::Stdout => write(&mut std::io::stdout().lock(), bytes),
            OutputStream::Stderr => write(&mut std::io::stderr().lock(), bytes),
        };
        if let (Err(error), OutputStream::Stdout, None) = (written, stream, &lost) {
            // Nobody reads any more: what the command says from now on is of no use.
            lost = Some(error);
            cancel.cancel();
        }
    };
    let result = kiln_engine::run_image(&store, &settings, &request, &mut on_output, &cancel);
    match (result, lost) {
        (Err(error), Some(lost)) if matches!(error.cause, Cause::Interrupted) => {
            Err(console::stdout_failure(lost))
        }
        (result, _) => result.map_err(|error| Failure::of_build(error, None)),
    }
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

impl Arguments {
    fn request(&self, invocation: &Invocation) -> Result<RunRequest, Failure> {
        let mut environment = Vec::new();
        for file in &self.env_files {
            environment.extend(env_file::read(
                &invocation.environment.current_dir.join(file),
            )?);
        }
        for text in &self.env {
            environment.extend(variable(text)?);
        }
        Ok(RunRequest {
            image: self.image.clone(),
            argv: self.command.clone(),
            // An empty one drops the image's.
            entrypoint: self.entrypoint.as_ref().map(|word| match word.as_str() {
                "" => Vec::new(),
                word => vec![word.to_owned()],
            }),
            env: environment,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            hostname: self.hostname.clone().unwrap_or_default(),
        })
    }
}

/// `NAME=VALUE`, or `NAME` with the value that it has here; a variable that is not set here is not set there.
fn variable(text: &str) -> Result<Option<String>, Failure> {
    match text.split_once('=') {
        Some(("", _)) => Err(Failure::usage(format!(
            "`{text}` is not an environment variable: it has no name"
        ))),
        Some(_) => Ok(Some(text.to_owned())),
        None if text.is_empty() => Err(Failure::usage("an environment variable needs a name")),
        None => match env::named(text).map(std::ffi::OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(format!("{text}={value}"))),
            Some(Err(_)) => Err(Failure::usage(format!("the value of {text} is not UTF-8"))),
        },
    }
}
