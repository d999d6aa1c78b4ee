//! What was found: its form for people and for programs.

use serde::Serialize;

use crate::escape;
use crate::terminal::{Style, Terminal};

/// All findings. `version` changes when a field changes its meaning; COMPATIBILITY.md has the fields.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// Version of the program.
    pub kiln: &'static str,
    /// Operating system and processor that the program was built for.
    pub host: String,
    /// Builds with RUNs can work here.
    pub ok: bool,
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is; the same text in every version.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was seen, in words.
    pub detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Builds work, and something is amiss.
    Warning,
    /// Builds with RUNs, or what was asked about, cannot work.
    Broken,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(name: &str, state: State, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            detail: detail.into(),
            hint: None,
        }
    }

    /// Adds how to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The report for people.
pub fn rendered(report: &Report, terminal: &Terminal) -> String {
    let width = report
        .findings
        .iter()
        .map(|finding| escape::width(&finding.name))
        .max()
        .unwrap_or(0);
    let mut out = format!("kiln {} ({})\n", report.kiln, report.host);
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
            host: "linux x86_64".to_owned(),
            ok: false,
            findings,
        }
    }

    #[test]
    fn findings_are_aligned_and_escaped() {
        insta::assert_snapshot!(rendered(&report(), &Terminal::PLAIN), @r"
        kiln 0.1.0 (linux x86_64)
        ok       data folder  /data
        broken   back-end x   no \u{1b}[31mx\u{1b}[0m
                              hint: install x
        ");
    }

    #[test]
    fn json_is_versioned() {
        let json = serde_json::to_string(&report()).expect("serialises");
        insta::assert_snapshot!(json, @r#"{"version":1,"kiln":"0.1.0","host":"linux x86_64","ok":false,"findings":[{"name":"data folder","state":"ok","detail":"/data"},{"name":"back-end x","state":"broken","detail":"no \u001b[31mx\u001b[0m","hint":"install x"}]}"#);
    }
}
