//! `kiln`: command line, environment and terminal in; requests to the libraries; displays, messages and exit codes
//! out. The only crate that prints, reads the environment or exits.
//!
//! ```text
//! main ─► arguments (clap) ─► commands::NAME::run ─► Result<(), Failure> ─► failure: report and exit code
//!                                  │ invocation: environment, console, store
//!                                  └ progress: events of the engine to lines or a live display
//! ```

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod console;
mod env;
mod escape;
mod excerpt;
mod failure;
mod format;
mod hints;
mod interrupt;
mod invocation;
mod progress;
mod refused;
mod settings;
mod terminal;

use std::process::ExitCode;

use console::Console;
use env::Environment;
use failure::{Exit, Failure};
use invocation::Invocation;
use terminal::Terminal;

fn main() -> ExitCode {
    let environment = Environment::read();
    let terminal = Terminal::set_up(&environment);
    let console = Console::new(terminal);
    report_panics(console);
    let invocation = Invocation::new(environment, console);
    let result = std::panic::catch_unwind(|| run(&invocation)).unwrap_or_else(|_| {
        // The hook has told what happened.
        Err(Failure::silent(Exit::Bug))
    });
    terminal::restore();
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let report = failure.render(&terminal);
            if !report.is_empty() {
                console.note(report.trim_end());
            }
            ExitCode::from(failure.exit.code())
        }
    };
    terminal::leave();
    code
}

fn run(invocation: &Invocation) -> Result<(), Failure> {
    match arguments::parse(env::arguments())? {
        arguments::Parsed::Command(command) => commands::run(*command, invocation),
        arguments::Parsed::Help(text) => invocation.console.bytes(text.as_bytes()),
    }
}

/// A panic is a bug: say so shortly, with what a report of it needs.
fn report_panics(console: Console) {
    std::panic::set_hook(Box::new(move |panic| {
        terminal::restore();
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map_or_else(String::new, |place| {
            format!(" at {}:{}", place.file(), place.line())
        });
        console.note(&format!(
            "error: kiln {} has a bug: {}{place}\nhint: please report it with the command that you ran",
            env!("CARGO_PKG_VERSION"),
            escape::lines(message),
        ));
    }));
}
