//! `kiln build`: flags, environment and files to a [`BuildRequest`], the engine, and what is left to tell.

mod check;
mod dockerfile;
mod options;
mod secret;

use std::io::Write;
use std::path::PathBuf;

use kiln_engine::{BuildError, BuildOutcome, BuildRequest};
use kiln_oci::Platform;

pub use options::{platform as parse_platform, source_date_epoch_of_environment, tag as tag_name};

use crate::failure::Failure;
use crate::interrupt;
use crate::invocation::{Invocation, VmOptions};
use crate::progress::{Display, Mode};

/// Build an image from a Dockerfile
///
/// PATH is the build context: the folder whose files COPY and ADD can use. With `-` the Dockerfile is read from
/// standard input and there is no context.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder with the files of the build, or `-`
    #[arg(value_name = "PATH")]
    context: PathBuf,
    /// Name the image (`app`, `registry.example.com/team/app:v1`); may be repeated
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// Dockerfile to use, `-` for standard input [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a variable that the Dockerfile declares with ARG; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_args: Vec<String>,
    /// Stop at this stage
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Add a label to the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Platform of the image (`linux/amd64`, `linux/arm64`)
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Give a secret to RUN --mount=type=secret (`id=ID,src=FILE` or `id=ID,env=VARIABLE`)
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
    /// Give FROM and COPY --from another folder or image (`NAME=FOLDER`, `NAME=docker-image://IMAGE`)
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    build_contexts: Vec<String>,
    /// Add a line to /etc/hosts of every RUN
    #[arg(long = "add-host", value_name = "HOST:IP")]
    extra_hosts: Vec<String>,
    /// Tell what is questionable in the Dockerfile and build nothing; exits with 1 if there is anything
    #[arg(long, conflicts_with_all = ["quiet", "iidfile"])]
    check: bool,
    /// Use no earlier result
    #[arg(long)]
    no_cache: bool,
    /// Show progress in this way
    #[arg(long, value_name = "HOW", value_enum)]
    progress: Option<Mode>,
    /// Print only the image's id
    #[arg(short, long, conflicts_with = "progress")]
    quiet: bool,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Network of the RUNs: only `none` yet
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Remove intermediate containers: there never are any
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    rm: Option<bool>,
    /// Always remove intermediate containers: there never are any
    #[arg(long, hide = true)]
    force_rm: bool,
    #[command(flatten)]
    vm: VmOptions,
}

/// Builds.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let mode = arguments.mode(invocation)?;
    let request = arguments.request(invocation)?;
    let settings = invocation.vm_settings(&arguments.vm)?;
    if arguments.check {
        let store = invocation.store("kiln build --check")?;
        let display = Display::new(mode, invocation.console.terminal);
        return check::run(&store, &request, &display, &invocation.console);
    }
    if let Some(file) = &arguments.iidfile {
        // An old id must not be taken for the result of this build.
        remove_stale(file)?;
    }
    let store = invocation.store(&format!("kiln build {}", arguments.context.display()))?;
    let cancel = interrupt::listen();
    let display = Display::new(mode, invocation.console.terminal);
    let result = kiln_engine::build(&store, &settings, &request, &display, &cancel);
    display.finish();
    let outcome = result.map_err(|error| failed(error, &request))?;
    finish(arguments, invocation, &outcome)
}

fn failed(error: BuildError, request: &BuildRequest) -> Failure {
    Failure::of_build(
        error,
        Some((&request.dockerfile.name, &request.dockerfile.bytes)),
    )
}

fn finish(
    arguments: &Arguments,
    invocation: &Invocation,
    outcome: &BuildOutcome,
) -> Result<(), Failure> {
    if let Some(file) = &arguments.iidfile {
        let written = std::fs::File::create(file)
            .and_then(|mut out| out.write_all(outcome.image.to_string().as_bytes()));
        written.map_err(|error| {
            Failure::host(format!("cannot write {}", file.display())).because(&error)
        })?;
    }
    if arguments.quiet {
        invocation.console.data(&format!("{}\n", outcome.image))?;
    }
    Ok(())
}

fn remove_stale(file: &std::path::Path) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::host(format!("cannot remove the old {}", file.display())).because(&error))
        }
        _ => Ok(()),
    }
}

impl Arguments {
    fn mode(&self, invocation: &Invocation) -> Result<Mode, Failure> {
        use clap::ValueEnum;
        match (self.quiet, self.progress, &invocation.environment.progress) {
            (true, ..) => Ok(Mode::Quiet),
            (_, Some(mode), _) => Ok(mode),
            (_, None, None) => Ok(Mode::Auto),
            (_, None, Some(text)) => Mode::from_str(text, false).map_err(|_| {
                Failure::usage(format!("KILN_PROGRESS is `{text}`"))
                    .hint("it can be auto, tty, plain or quiet")
            }),
        }
    }

    fn request(&self, invocation: &Invocation) -> Result<BuildRequest, Failure> {
        if let Some(network) = self.network.as_deref().filter(|network| *network != "none") {
            return Err(Failure::usage(format!(
                "--network={network} is not supported: the VM has no network yet"
            ))
            .hint("RUNs work with what the context and the base image hold: --network=none"));
        }
        if self.rm == Some(false) {
            return Err(Failure::usage(
                "--rm=false is not supported: there are no intermediate containers to keep",
            ));
        }
        let current_dir = &invocation.environment.current_dir;
        let input = dockerfile::read(&self.context, self.file.as_deref(), current_dir)?;
        let build_args = options::build_args(&self.build_args)?;
        let source_date_epoch = options::source_date_epoch(&build_args, &invocation.environment)?;
        let platform = match &self.platform {
            Some(text) => options::platform(text)?,
            None => Platform::linux_host(),
        };
        Ok(BuildRequest {
            context: input.context,
            dockerfile: input.dockerfile,
            tags: self
                .tags
                .iter()
                .map(|tag| options::tag(tag))
                .collect::<Result<_, _>>()?,
            build_args,
            labels: options::labels(&self.labels)?,
            target: self.target.clone(),
            platform,
            secrets: self
                .secrets
                .iter()
                .map(|text| secret::read(text, current_dir))
                .collect::<Result<_, _>>()?,
            named_contexts: options::named_contexts(&self.build_contexts, current_dir)?,
            no_cache: self.no_cache,
            source_date_epoch,
            http: invocation.environment.http.clone(),
            extra_hosts: self
                .extra_hosts
                .iter()
                .map(|text| options::extra_host(text))
                .collect::<Result<_, _>>()?,
        })
    }
}
