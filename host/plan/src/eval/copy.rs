//! COPY and ADD: words expanded, sources told apart, flags checked.

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::{self, Copy, Heredoc, Word};
use kiln_dockerfile::words::Expander;
use kiln_oci::Digest;

use super::{Evaluator, Outcome, State, chmod, history};
use crate::error::{PlanError, PlanErrorKind};
use crate::graph::{CopyFrom, CopySource, CopySourceKind, CopyStep, StepKind};
use crate::path;

impl Evaluator<'_> {
    pub(super) fn copy(&mut self, state: &State, copy: &Copy) -> Result<Outcome, PlanError> {
        let chown = self.expand_flag(state, copy.chown.as_ref())?;
        let chmod = self.expand_flag(state, copy.chmod.as_ref())?;
        if let (Some(value), Some(word)) = (
            chmod.as_ref().filter(|mode| !chmod::is_valid(mode)),
            &copy.chmod,
        ) {
            return Err(PlanError::at(
                word.span,
                PlanErrorKind::InvalidChmod {
                    value: value.clone(),
                },
            ));
        }
        let sources = self.sources(state, copy)?;
        let written = self.expand(state, &copy.destination)?;
        let excludes = copy.exclude.iter().map(|word| self.expand(state, word));
        let excludes = excludes.collect::<Result<Vec<_>, _>>()?;
        let created_by = created_by(copy, chown.as_deref(), chmod.as_deref(), &sources, &written);
        let step = CopyStep {
            add: copy.add,
            from: match &copy.from {
                None => CopyFrom::Context,
                Some(word) => self.copy_from(&word.text, word.span)?,
            },
            dest: path::join_destination(state.workdir(), &written),
            checksum: self.checksum(state, copy, &sources)?,
            sources,
            chown,
            chmod,
            link: copy.link,
            parents: copy.parents,
            excludes,
            unpack: copy.unpack,
            keep_git_dir: copy.keep_git_dir.unwrap_or(false),
        };
        Ok(Outcome {
            kind: StepKind::Copy(step),
            created_by,
        })
    }

    fn expand_flag(
        &mut self,
        state: &State,
        word: Option<&Word>,
    ) -> Result<Option<String>, PlanError> {
        let expanded = word.map(|word| self.expand(state, word)).transpose()?;
        Ok(expanded.filter(|value| !value.is_empty()))
    }

    /// Paths come before heredocs, as BuildKit copies them.
    fn sources(&mut self, state: &State, copy: &Copy) -> Result<Vec<CopySource>, PlanError> {
        let (mut paths, mut heredocs) = (Vec::new(), Vec::new());
        for source in &copy.sources {
            match source {
                ast::CopySource::Path(word) => {
                    let path = self.expand(state, word)?;
                    paths.push(CopySource {
                        kind: source_kind(copy, path, word.span)?,
                        span: word.span,
                    });
                }
                ast::CopySource::Heredoc(heredoc) => heredocs.push(self.heredoc(state, heredoc)?),
            }
        }
        paths.append(&mut heredocs);
        Ok(paths)
    }

    fn heredoc(&mut self, state: &State, heredoc: &Heredoc) -> Result<CopySource, PlanError> {
        let mut body = heredoc.body();
        self.charge(body.len(), heredoc.mark)?;
        if heredoc.expand {
            let expanded = self.try_expand(Expander::heredoc(), state, &body, heredoc.body_span);
            let word = || heredoc.name.clone();
            body = expanded.map_err(|source| {
                PlanError::at(
                    heredoc.body_span,
                    PlanErrorKind::Expand {
                        word: word(),
                        source,
                    },
                )
            })?;
        }
        let kind = CopySourceKind::Heredoc {
            name: heredoc.name.clone(),
            content: body.into_bytes(),
        };
        Ok(CopySource {
            kind,
            span: heredoc.mark,
        })
    }

    fn checksum(
        &mut self,
        state: &State,
        copy: &Copy,
        sources: &[CopySource],
    ) -> Result<Option<String>, PlanError> {
        let Some(word) = &copy.checksum else {
            return Ok(None);
        };
        let value = self.expand(state, word)?;
        let mut remote = sources
            .iter()
            .filter(|source| !matches!(source.kind, CopySourceKind::Heredoc { .. }));
        let (Some(source), None) = (remote.next(), remote.next()) else {
            return Err(PlanError::at(word.span, PlanErrorKind::ChecksumManySources));
        };
        let valid = match source.kind {
            CopySourceKind::Url(_) => value.parse::<Digest>().is_ok(),
            CopySourceKind::Git(_) => {
                !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            _ => return Err(PlanError::at(source.span, PlanErrorKind::ChecksumLocal)),
        };
        match valid {
            true => Ok(Some(value)),
            false => Err(PlanError::at(
                word.span,
                PlanErrorKind::InvalidChecksum { value },
            )),
        }
    }
}

fn source_kind(copy: &Copy, path: String, span: Span) -> Result<CopySourceKind, PlanError> {
    let web = path.starts_with("http://") || path.starts_with("https://");
    let kind = if is_git(&path, web) {
        CopySourceKind::Git(path)
    } else if web {
        CopySourceKind::Url(path)
    } else {
        return Ok(CopySourceKind::Path(path));
    };
    if copy.add {
        Ok(kind)
    } else {
        Err(PlanError::at(span, PlanErrorKind::CopyFromUrl))
    }
}

/// `git@host:path`, `git://`, `ssh://`, and web addresses of a path that ends in `.git`.
fn is_git(path: &str, web: bool) -> bool {
    let scp_like = path
        .strip_prefix("git@")
        .is_some_and(|rest| rest.contains(':'));
    let address = path.split(['#', '?']).next().unwrap_or(path);
    scp_like
        || path.starts_with("git://")
        || path.starts_with("ssh://")
        || web && address.ends_with(".git")
}

fn created_by(
    copy: &Copy,
    chown: Option<&str>,
    chmod: Option<&str>,
    sources: &[CopySource],
    destination: &str,
) -> String {
    let mut text = if copy.add { "ADD" } else { "COPY" }.to_owned();
    let flags = [
        copy.parents.then(|| " --parents".to_owned()),
        chown.map(|chown| format!(" --chown={chown}")),
        chmod.map(|chmod| format!(" --chmod={chmod}")),
    ];
    text.extend(flags.into_iter().flatten());
    for source in sources {
        match &source.kind {
            CopySourceKind::Path(path) | CopySourceKind::Url(path) | CopySourceKind::Git(path) => {
                text.extend([" ", path]);
            }
            CopySourceKind::Heredoc { name, .. } => text.extend([" <<", name]),
        }
    }
    text.extend([" ", destination, history::SUFFIX]);
    text
}
