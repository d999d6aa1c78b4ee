//! What is executed: environment, working directory, the program found in the image.

use std::ffi::{CStr, CString};

use kiln_protocol::{Failure, RunSpec, Stage};
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::identity::Identity;
use crate::failure::{OrFail, failure};
use crate::sys;

/// Where programs are looked for if the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command, ready.
pub(super) struct Command {
    argv: Vec<CString>,
    env: Vec<CString>,
    path: String,
}

/// Enters the working directory, which must be there.
pub(super) fn enter_workdir(workdir: &str) -> Result<(), Failure> {
    let workdir = if workdir.is_empty() { "/" } else { workdir };
    rustix::process::chdir(workdir).or_fail(Stage::WorkingDirectory, || {
        format!("cannot enter the working directory {workdir}")
    })
}

impl Command {
    pub fn new(spec: &RunSpec, identity: &Identity) -> Result<Self, Failure> {
        let mut env = spec
            .env
            .iter()
            .map(|entry| c_string(entry.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        for (name, value) in &spec.secret_env {
            env.push(c_string(&[name.as_bytes(), b"=", &value.0].concat())?);
        }
        let has_home = env
            .iter()
            .any(|entry| entry.as_bytes().starts_with(b"HOME=") && entry.as_bytes().len() > 5);
        if !has_home {
            env.retain(|entry| entry.as_bytes() != b"HOME=");
            env.push(c_string(format!("HOME={}", identity.home).as_bytes())?);
        }
        let path = spec
            .env
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("PATH="));
        let argv = spec
            .argv
            .iter()
            .map(|word| c_string(word.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        if argv.first().is_none_or(|program| program.is_empty()) {
            return Err(failure(Stage::CommandNotFound, "no command was given"));
        }
        Ok(Self {
            argv,
            env,
            path: path.unwrap_or(DEFAULT_PATH).into(),
        })
    }

    /// Becomes the command; returns only why it could not.
    pub fn exec(&self) -> Failure {
        let program = match self.find() {
            Ok(program) => program,
            Err(failure) => return failure,
        };
        let words = |strings: &'_ [CString]| -> Vec<CString> { strings.to_vec() };
        let (argv, env) = (words(&self.argv), words(&self.env));
        let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
        let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
        let error = sys::exec(&program, &argv, &env);
        let name = program.to_string_lossy().into_owned();
        let errno = error.raw_os_error();
        if errno == Some(libc::ENOENT) {
            let message = format!("exec {name}: its interpreter was not found");
            return Failure {
                stage: Stage::CommandNotFound,
                errno,
                message,
            };
        }
        let result: Result<(), _> = Err(error);
        match result.or_fail(Stage::CommandNotExecutable, || format!("exec {name}")) {
            Err(failure) => failure,
            Ok(()) => unreachable!("the result was built as an error"),
        }
    }

    /// The program to execute, by the rules of execvp and in this process's root and rights.
    fn find(&self) -> Result<CString, Failure> {
        let name = self.argv.first().expect("checked when it was made");
        if name.as_bytes().contains(&b'/') {
            let found = check(name).map(|()| name.clone());
            return found.map_err(|error| not_found(name, error));
        }
        let mut refused = Errno::NOENT;
        for folder in self.path.split(':') {
            let folder = if folder.is_empty() { "." } else { folder };
            let candidate = c_string(&[folder.as_bytes(), b"/", name.as_bytes()].concat())?;
            match check(&candidate) {
                Ok(()) => return Ok(candidate),
                Err(Errno::ACCESS) => refused = Errno::ACCESS,
                Err(_) => {}
            }
        }
        Err(not_found(name, refused))
    }
}

/// Whether this is a file that this process may execute.
fn check(path: &CStr) -> Result<(), Errno> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn not_found(name: &CStr, error: Errno) -> Failure {
    let name = name.to_string_lossy();
    let errno = Some(error.raw_os_error());
    match error {
        Errno::NOENT | Errno::NOTDIR if name.contains('/') => Failure {
            stage: Stage::CommandNotFound,
            errno,
            message: format!("exec: {name}: no such file"),
        },
        Errno::NOENT | Errno::NOTDIR => {
            let message = format!("exec: {name}: executable file not found in $PATH");
            Failure {
                stage: Stage::CommandNotFound,
                errno,
                message,
            }
        }
        _ => Failure {
            stage: Stage::CommandNotExecutable,
            errno,
            message: format!("exec: {name}: permission denied"),
        },
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| {
        failure(
            Stage::Request,
            "the command or its environment holds a zero byte",
        )
    })
}
