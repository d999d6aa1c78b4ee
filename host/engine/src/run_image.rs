//! `kiln run`: an image's command in a VM of its own, whose changes are dropped.

use kiln_agent_client::RunOutcome;
use kiln_oci::{ContainerConfig, ImageConfig};
use kiln_protocol::{Exit, RunSpec};
use kiln_store::Store;

use crate::error::{BuildError, Cause};
use crate::event::OutputStream;
use crate::request::{Cancel, VmSettings};
use crate::resolve;
use crate::session::{Session, guest_for};

/// Added to a signal's number when a command ended by it, as shells do.
const SIGNAL_BASE: i32 = 128;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Name or id of the image.
    pub image: String,
    /// Arguments; take the place of the image's CMD when there are any.
    pub argv: Vec<String>,
    /// Takes the place of the image's ENTRYPOINT, and drops its CMD.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`, over those of the image.
    pub env: Vec<String>,
    /// Takes the place of the image's USER.
    pub user: Option<String>,
    /// Takes the place of the image's WORKDIR.
    pub workdir: Option<String>,
    /// Host name; empty for the default.
    pub hostname: String,
}

/// Runs the image's command and gives its exit code: 125 to 127 when it could not be started, as `docker run` does.
///
/// # Errors
/// The image is not there, or the machine cannot run a VM.
pub fn run_image(
    store: &Store,
    vm: &VmSettings,
    request: &RunRequest,
    on_output: &mut dyn FnMut(OutputStream, &[u8]),
    cancel: &Cancel,
) -> Result<i32, BuildError> {
    let _lease = store.lease_wait()?;
    let config = resolve::find(store, &request.image)?.ok_or_else(|| Cause::ImageMissing {
        name: request.image.clone(),
    })?;
    let argv = command(request, &config.config);
    if argv.is_empty() {
        return Err(Cause::NoCommand {
            image: request.image.clone(),
        }
        .into());
    }
    let platform = config.runs_on();
    let guest = guest_for(&platform)?;
    if guest.is_foreign() {
        let line = format!("kiln: {platform} is emulated on this machine, which is slower\n");
        on_output(OutputStream::Stderr, line.as_bytes());
    }
    let mut session = Session::new(store, vm, guest, cancel);
    let outcome = run_in(&mut session, request, &config, argv, on_output);
    // The command is over; how the VM ends changes nothing.
    let _ = session.stop();
    match outcome? {
        RunOutcome::Exited(Exit::Code(code)) => Ok(code),
        RunOutcome::Exited(Exit::Signal(signal)) => Ok(SIGNAL_BASE + signal),
        RunOutcome::Failed(failure) => {
            on_output(
                OutputStream::Stderr,
                format!("kiln: {failure}\n").as_bytes(),
            );
            Ok(failure.exit_code())
        }
    }
}

fn run_in(
    session: &mut Session<'_>,
    request: &RunRequest,
    config: &ImageConfig,
    argv: Vec<String>,
    on_output: &mut dyn FnMut(OutputStream, &[u8]),
) -> Result<RunOutcome, Cause> {
    session.boot()?;
    let lowers = session.lowers(&config.rootfs.diff_ids)?;
    let image = &config.config;
    let mut spec = RunSpec::new(session.next_run(), lowers, argv);
    spec.env = merged_env(&image.env, &request.env);
    spec.user = request.user.clone().unwrap_or_else(|| image.user.clone());
    spec.workdir = request
        .workdir
        .clone()
        .unwrap_or_else(|| image.working_dir.clone());
    spec.hostname.clone_from(&request.hostname);
    session.run(&spec, on_output)
}

/// The command line that ENTRYPOINT, CMD and the request make together.
fn command(request: &RunRequest, image: &ContainerConfig) -> Vec<String> {
    let entrypoint = request.entrypoint.as_ref().or(image.entrypoint.as_ref());
    let arguments = match (&request.argv, &request.entrypoint) {
        (argv, _) if !argv.is_empty() => argv.clone(),
        (_, Some(_)) => Vec::new(),
        _ => image.cmd.clone().unwrap_or_default(),
    };
    entrypoint
        .into_iter()
        .flatten()
        .cloned()
        .chain(arguments)
        .collect()
}

fn merged_env(image: &[String], own: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let overridden = |entry: &String| own.iter().any(|other| name(other) == name(entry));
    image
        .iter()
        .filter(|entry| !overridden(entry))
        .chain(own)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_replace_cmd_and_entrypoint_drops_it() {
        let image = ContainerConfig {
            entrypoint: Some(words("/entry -x")),
            cmd: Some(words("cmd")),
            ..ContainerConfig::default()
        };
        for (argv, entrypoint, expected) in [
            ("", None, "/entry -x cmd"),
            ("a b", None, "/entry -x a b"),
            ("", Some("/bin/sh"), "/bin/sh"),
            ("-c x", Some("/bin/sh"), "/bin/sh -c x"),
        ] {
            let request = RunRequest {
                argv: words(argv),
                entrypoint: entrypoint.map(words),
                ..RunRequest::default()
            };
            assert_eq!(command(&request, &image), words(expected));
        }
    }

    #[test]
    fn own_variables_win_over_those_of_the_image() {
        let env = merged_env(&words("PATH=/bin A=1"), &words("A=2 B=3"));
        assert_eq!(env, words("PATH=/bin A=2 B=3"));
    }
}
