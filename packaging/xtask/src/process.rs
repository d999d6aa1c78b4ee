//! Starting programs: says what it does, keeps long output in a log, turns a bad end into an [`Error`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;

/// How often a long quiet step says that it is still at it.
const STILL_THERE: Duration = Duration::from_secs(30);

/// Prints the title of a step.
pub fn step(title: &str) {
    println!("==> {title}");
}

/// Prints a detail of the current step.
pub fn note(text: &str) {
    println!("    {text}");
}

/// Runs a program whose output goes to the terminal.
pub fn run(what: &str, command: &mut Command) -> Result<(), Error> {
    let status = command
        .status()
        .map_err(|source| start_error(command, source))?;
    finished(what, status, None)
}

/// Runs a program whose output goes to a log; says every half minute that it is still running.
pub fn run_logged(what: &str, command: &mut Command, log: &Path) -> Result<(), Error> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(Error::file("write", log))?;
    let again = file.try_clone().map_err(Error::file("write", log))?;
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(again)
        .spawn()
        .map_err(|source| start_error(command, source))?;
    let mut told = started;
    loop {
        let ended = child
            .try_wait()
            .map_err(|source| start_error(command, source))?;
        if let Some(status) = ended {
            if !status.success() {
                print_tail(log);
            }
            return finished(what, status, Some(log));
        }
        if told.elapsed() >= STILL_THERE {
            told = Instant::now();
            note(&format!("{what}: {} s so far", started.elapsed().as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a program for what it prints.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| start_error(command, source))?;
    finished(&program_of(command), output.status, None)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program ends well; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program can be found.
pub fn installed(name: &str) -> bool {
    program(name).is_absolute()
}

/// The path of a program, also where only root has it on its search path; its name when it is nowhere.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| name.into())
}

/// `cargo`, the one that started this.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Turns a program's end into a result.
pub fn finished(what: &str, status: ExitStatus, log: Option<&Path>) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    let log = log.map(Path::to_owned);
    Err(Error::Failed {
        what: what.to_owned(),
        status: status.to_string(),
        log,
    })
}

fn start_error(command: &Command, source: std::io::Error) -> Error {
    Error::Start {
        program: program_of(command),
        source,
    }
}

fn program_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// Prints the last lines of a log, which say why a program failed.
fn print_tail(log: &Path) {
    let Ok(bytes) = std::fs::read(log) else {
        return;
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(30)..] {
        eprintln!("    | {line}");
    }
}
