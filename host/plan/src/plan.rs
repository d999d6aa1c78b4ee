//! The one entry: collects the stages, keeps what the target needs, and evaluates that in order.

use std::collections::{BTreeMap, BTreeSet};

use kiln_dockerfile::ast::InstructionKind;
use kiln_dockerfile::lint::{Rule, Warning};
use kiln_dockerfile::{Dockerfile, Span};

use crate::error::{PlanError, PlanErrorKind};
use crate::eval::{Evaluated, Evaluator};
use crate::graph::{BaseResolver, BuildGraph, PlanRequest};
use crate::{globals, reach, stages};

/// Most instructions in all needed stages together, triggers included.
pub const MAX_STEPS: usize = 50_000;

/// Most bytes that the steps' environments and commands may take. A few lines can ask for far more than they hold.
pub const MAX_TEXT: usize = 128 << 20;

/// Plans the build of `dockerfile`.
///
/// # Errors
/// When the Dockerfile does not make sense with this request, or a base image cannot be had.
pub fn plan(
    dockerfile: &Dockerfile,
    request: &PlanRequest,
    resolver: &dyn BaseResolver,
) -> Result<BuildGraph, PlanError> {
    let mut warnings = dockerfile.warnings.clone();
    let mut stages = stages::collect(dockerfile, request, &mut warnings)?;
    let target = stages.target(request)?;
    let reach = reach::from_target(&mut stages, target, request, resolver)?;

    let indexes: BTreeMap<usize, usize> = reach
        .stages
        .iter()
        .enumerate()
        .map(|(index, ordinal)| (*ordinal, index))
        .collect();
    let mut evaluator = Evaluator::new(dockerfile.directives.escape, request, &stages, &indexes);
    let mut done: Vec<Evaluated> = Vec::with_capacity(indexes.len());
    for ordinal in &reach.stages {
        let evaluated =
            evaluator.stage(&stages.drafts[*ordinal], reach.images.get(ordinal), &done)?;
        done.push(evaluated);
    }
    warnings.extend(evaluator.into_warnings());
    warnings.extend(unused_build_args(dockerfile, request));

    let target = indexes
        .get(&target)
        .copied()
        .ok_or_else(|| PlanError::of_request(PlanErrorKind::NoStages))?;
    let mut stages: Vec<_> = done.into_iter().map(|evaluated| evaluated.stage).collect();
    stages[target].config.labels.extend(request.labels.clone());
    Ok(BuildGraph {
        stages,
        target,
        warnings,
    })
}

/// One warning for all build arguments that no ARG declares.
fn unused_build_args(dockerfile: &Dockerfile, request: &PlanRequest) -> Option<Warning> {
    let declared: BTreeSet<&str> = dockerfile
        .instructions
        .iter()
        .filter_map(|instruction| match &instruction.kind {
            InstructionKind::Arg(args) => Some(args),
            _ => None,
        })
        .flatten()
        .map(|arg| arg.name.text.as_str())
        .collect();
    let unused = request.build_args.keys().map(String::as_str);
    let unused: Vec<_> = unused
        .filter(|name| !declared.contains(name) && !globals::is_known(name))
        .collect();
    (!unused.is_empty()).then(|| Warning {
        rule: Rule::UnusedBuildArg,
        span: Span::default(),
        message: format!(
            "one or more build-args [{}] were not consumed",
            unused.join(" ")
        ),
    })
}
