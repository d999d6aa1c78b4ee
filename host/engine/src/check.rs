//! What is to be said about a Dockerfile without building it.

use std::ops::Range;

use kiln_dockerfile::Span;
use kiln_store::Store;

use crate::build::{lease, parse, plan, range};
use crate::error::BuildError;
use crate::event::Events;
use crate::request::BuildRequest;
use crate::resolve::StoreImages;

/// A rule that the Dockerfile breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name, as `docker build --check` has it.
    pub rule: &'static str,
    /// The bytes of the Dockerfile that it is about, where it is about some.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
}

/// Parses and plans what `request` asks for, and returns what the linter and the planner have to say, in the order of
/// the file. Neither the context nor a VM is looked at; nothing is built.
///
/// # Errors
/// What no build could start with: the Dockerfile cannot be parsed or planned, or a base image is not in the store.
pub fn check(
    store: &Store,
    request: &BuildRequest,
    events: &dyn Events,
) -> Result<Vec<Finding>, BuildError> {
    let _lease = lease(store, events)?;
    let dockerfile = parse(request)?;
    let graph = plan(&dockerfile, request, &StoreImages::new(store))?;
    let mut warnings = graph.warnings;
    // Those about no line stand at zero, and so come first.
    warnings.sort_by_key(|warning| (warning.span.start, warning.rule));
    let findings = warnings.into_iter().map(|warning| Finding {
        rule: warning.rule.name(),
        span: (warning.span != Span::default()).then(|| range(warning.span)),
        message: warning.message,
    });
    Ok(findings.collect())
}
