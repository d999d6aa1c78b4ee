//! `kiln doctor`: what this machine can do, and how to mend what it cannot.

use std::path::Path;

use kiln_platform::disk_space;
use kiln_vmm::probe::BackendStatus;
use kiln_vmm::{BackendReport, VmImage};
use serde::Serialize;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::format::size;
use crate::invocation::Invocation;
use crate::terminal::{Style, Terminal};

/// Less than this free is reported: a build of some size needs about as much.
const LOW_SPACE: u64 = 5_000_000_000;

/// Check what this machine can do
///
/// Ends with 3 if no VM can be started. COPY and metadata instructions work without.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

/// All findings. `version` changes when a field changes its meaning.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    kiln: &'static str,
    ok: bool,
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warning,
    Broken,
}

impl Finding {
    fn new(name: &str, state: State, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            detail: detail.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Looks at everything, then prints.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let data = data_folder(invocation);
    let image = vm_image(invocation);
    let (backends, works) = backends(invocation);
    let ok = works
        && image.state != State::Broken
        && data.iter().all(|finding| finding.state != State::Broken);
    let findings = data.into_iter().chain([image]).chain(backends).collect();
    let report = Report {
        version: 1,
        kiln: env!("CARGO_PKG_VERSION"),
        ok,
        findings,
    };
    let text = match arguments.json {
        true => serde_json::to_string(&report).expect("text keys only") + "\n",
        false => rendered(&report, &invocation.console.terminal),
    };
    if arguments.json {
        invocation.console.data(&text)?
    } else {
        invocation.console.bytes(text.as_bytes())?
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Host))
    }
}

fn data_folder(invocation: &Invocation) -> Vec<Finding> {
    const NAME: &str = "data folder";
    let store = match invocation.store("kiln doctor") {
        Ok(store) => store,
        Err(failure) => {
            let told = failure.render(&Terminal::PLAIN);
            let told = told
                .trim_end()
                .trim_start_matches("error: ")
                .replace('\n', "; ");
            return vec![Finding::new(NAME, State::Broken, told)];
        }
    };
    let root = store.root();
    let folder = match store.tmp_file() {
        Ok(_) => Finding::new(NAME, State::Ok, root.display().to_string()),
        Err(error) => Finding::new(NAME, State::Broken, error.to_string())
            .hint("KILN_DATA_DIR can name another"),
    };
    std::iter::once(folder).chain(free_space(root)).collect()
}

fn free_space(root: &Path) -> Option<Finding> {
    let free = disk_space::available(root).ok().flatten()?;
    let text = format!("{} free", size::long(free));
    Some(match free < LOW_SPACE {
        true => Finding::new("disk space", State::Warning, text).hint("`kiln prune` makes room"),
        false => Finding::new("disk space", State::Ok, text),
    })
}

fn vm_image(invocation: &Invocation) -> Finding {
    const NAME: &str = "VM image";
    let found = VmImage::find(&invocation.vm_image_dirs()).and_then(|image| {
        image.check_protocol(kiln_protocol::VERSION)?;
        image.verify()?;
        Ok(image)
    });
    match found {
        Ok(image) => Finding::new(
            NAME,
            State::Ok,
            format!("{} (verified)", image.dir.display()),
        ),
        Err(error) => {
            let failure = Finding::new(NAME, State::Broken, error.to_string());
            failure.hint(crate::hints::of_vm_image(&error))
        }
    }
}

/// The back-ends, and whether one works. One that does not is no failure while another does.
fn backends(invocation: &Invocation) -> (Vec<Finding>, bool) {
    let reports = kiln_vmm::probe(&[], None);
    let chosen = invocation.environment.vmm.as_deref();
    let usable = |report: &BackendReport| {
        report.works() && (!report.on_request_only || chosen == Some(report.kind.name()))
    };
    let works = reports.iter().any(usable);
    let findings = reports.iter().map(|report| {
        let name = format!("back-end {}", report.kind.name());
        let wanted = chosen == Some(report.kind.name());
        match &report.status {
            BackendStatus::Works { detail } if report.on_request_only => Finding::new(
                &name,
                State::Ok,
                format!("{detail} (used only with --vmm={})", report.kind.name()),
            ),
            BackendStatus::Works { detail } if report.capabilities.hardware => {
                Finding::new(&name, State::Ok, detail)
            }
            BackendStatus::Works { detail } => Finding::new(
                &name,
                State::Ok,
                format!("{detail} (emulation: RUNs are slower)"),
            ),
            BackendStatus::Broken { reason, hint } => {
                let state = if works && !wanted {
                    State::Warning
                } else {
                    State::Broken
                };
                Finding {
                    hint: hint.clone(),
                    ..Finding::new(&name, state, reason)
                }
            }
        }
    });
    let mut findings: Vec<Finding> = findings.collect();
    if findings.is_empty() {
        findings.push(Finding::new(
            "back-end",
            State::Broken,
            "this build of kiln has none for this system",
        ));
    }
    (findings, works)
}

fn rendered(report: &Report, terminal: &Terminal) -> String {
    let width = report
        .findings
        .iter()
        .map(|finding| escape::width(&finding.name))
        .max()
        .unwrap_or(0);
    let mut out = format!("kiln {}\n", report.kiln);
    for Finding {
        name,
        state,
        detail,
        hint,
    } in &report.findings
    {
        // Findings go to stdout: colours only if that is a terminal too.
        let paint = |style, text: &str| {
            if terminal.stdout {
                terminal.paint(style, text)
            } else {
                text.to_owned()
            }
        };
        let word = match state {
            State::Ok => paint(Style::Success, "ok     "),
            State::Warning => paint(Style::Warning, "warning"),
            State::Broken => paint(Style::Error, "broken "),
        };
        out += &format!("{word}  {name:width$}  {}\n", escape::line(detail));
        if let Some(hint) = hint {
            out += &format!("{:9}{:width$}  hint: {}\n", "", "", escape::line(hint));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let findings = vec![
            Finding::new("data folder", State::Ok, "/data"),
            Finding::new("back-end x", State::Broken, "no \x1b[31mx\x1b[0m").hint("install x"),
        ];
        Report {
            version: 1,
            kiln: "0.1.0",
            ok: false,
            findings,
        }
    }

    #[test]
    fn findings_are_aligned_and_escaped() {
        insta::assert_snapshot!(rendered(&report(), &Terminal::PLAIN), @r"
        kiln 0.1.0
        ok       data folder  /data
        broken   back-end x   no \u{1b}[31mx\u{1b}[0m
                              hint: install x
        ");
    }

    #[test]
    fn json_is_versioned() {
        let json = serde_json::to_value(report()).expect("serialises");
        assert_eq!(json["version"], 1);
        assert_eq!(json["findings"][1]["state"], "broken");
        assert_eq!(json["findings"][0].get("hint"), None);
    }
}
