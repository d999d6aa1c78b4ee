//! Which stages the target needs, found from the target backwards.
//!
//! Base images are only asked for here, so an unused stage may name an image that does not exist. ONBUILD triggers of
//! a base may name more stages, so they are put in place as soon as their stage is known to be needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kiln_dockerfile::ast::{Instruction, InstructionKind};
use kiln_dockerfile::{Span, parse_trigger};
use kiln_oci::ImageConfig;

use crate::error::{PlanError, PlanErrorKind};
use crate::eval::config_weight;
use crate::graph::{BaseResolver, PlanRequest};
use crate::plan::{MAX_STEPS, MAX_TEXT};
use crate::stages::{DraftBase, Stages};

/// What the target needs.
pub(crate) struct Reach {
    /// Stages in order of the Dockerfile, which is a build order: nothing may come from a later one.
    pub stages: BTreeSet<usize>,
    /// Configs of the base images, by stage.
    pub images: BTreeMap<usize, ImageConfig>,
    /// About how many bytes their texts take.
    weight: usize,
}

/// Finds everything that `target` needs and puts ONBUILD triggers in place.
pub(crate) fn from_target(
    stages: &mut Stages<'_>,
    target: usize,
    request: &PlanRequest,
    resolver: &dyn BaseResolver,
) -> Result<Reach, PlanError> {
    let mut reach = Reach {
        stages: BTreeSet::new(),
        images: BTreeMap::new(),
        weight: 0,
    };
    let mut needs: BTreeMap<usize, Vec<(usize, Span)>> = BTreeMap::new();
    let mut waiting = vec![target];
    let mut steps = 0;
    while let Some(stage) = waiting.pop() {
        if !reach.stages.insert(stage) {
            continue;
        }
        resolve_base(stages, stage, request, resolver, &mut reach)?;
        steps += stages.drafts[stage].instructions().count();
        if steps > MAX_STEPS {
            return Err(PlanError::of_request(PlanErrorKind::TooManySteps {
                limit: MAX_STEPS,
            }));
        }
        let needed = needed_by(stages, stage)?;
        waiting.extend(needed.iter().map(|(stage, _)| *stage));
        needs.insert(stage, needed);
    }
    refuse_later_stages(stages, &needs)?;
    Ok(reach)
}

fn resolve_base<'a>(
    stages: &mut Stages<'a>,
    stage: usize,
    request: &PlanRequest,
    resolver: &dyn BaseResolver,
    reach: &mut Reach,
) -> Result<(), PlanError> {
    let draft = &stages.drafts[stage];
    let span = from_span(draft.instruction);
    let triggers = match &draft.base {
        DraftBase::Scratch | DraftBase::Context(_) => Vec::new(),
        DraftBase::Stage(base) => stages.drafts[*base]
            .body
            .iter()
            .copied()
            .filter_map(on_build)
            .collect(),
        DraftBase::Image(name) => {
            let config = image(stages, stage, name, request, resolver)?;
            reach.weight += image_weight(&config);
            if reach.weight > MAX_TEXT {
                return Err(PlanError::at(
                    span,
                    PlanErrorKind::TooLarge { limit: MAX_TEXT },
                ));
            }
            let triggers = match draft.replaced {
                true => Vec::new(),
                false => image_triggers(&config, span)?,
            };
            reach.images.insert(stage, config);
            triggers
        }
    };
    stages.drafts[stage].triggers = triggers;
    Ok(())
}

fn image(
    stages: &Stages<'_>,
    stage: usize,
    name: &str,
    request: &PlanRequest,
    resolver: &dyn BaseResolver,
) -> Result<ImageConfig, PlanError> {
    let draft = &stages.drafts[stage];
    let span = from_span(draft.instruction);
    let platform = draft.platform.as_ref().unwrap_or(&request.platform);
    let found = resolver
        .image(name, platform)
        .map_err(|error| PlanError::at(span, error))?;
    let name = name.to_owned();
    let Some(config) = found else {
        let hint = stages.hint(&name);
        let kind = PlanErrorKind::ImageNotFound { name };
        return Err(PlanError::at(span, kind).with_hint(hint));
    };
    let found = config.runs_on();
    if platform.preference(&found).is_none() {
        let wanted = platform.clone();
        let kind = PlanErrorKind::OtherPlatform {
            name,
            found,
            wanted,
        };
        return Err(PlanError::at(span, kind));
    }
    Ok(config)
}

fn image_weight(config: &ImageConfig) -> usize {
    let history = config
        .history
        .iter()
        .filter_map(|entry| entry.created_by.as_ref());
    config_weight(&config.config) + history.map(String::len).sum::<usize>()
}

fn on_build(instruction: &Instruction) -> Option<Cow<'_, Instruction>> {
    match &instruction.kind {
        InstructionKind::OnBuild(on_build) => Some(Cow::Borrowed(&*on_build.instruction)),
        _ => None,
    }
}

fn image_triggers<'a>(
    config: &ImageConfig,
    span: Span,
) -> Result<Vec<Cow<'a, Instruction>>, PlanError> {
    let triggers = config.config.on_build.iter().map(|trigger| {
        let failed = |source| PlanErrorKind::Trigger {
            trigger: trigger.clone(),
            source,
        };
        let parsed = parse_trigger(trigger, span);
        parsed
            .map(Cow::Owned)
            .map_err(|error| PlanError::at(span, failed(Box::new(error))))
    });
    triggers.collect()
}

/// The place of a FROM's image.
pub(crate) fn from_span(instruction: &Instruction) -> Span {
    match &instruction.kind {
        InstructionKind::From(from) => from.image.span,
        _ => instruction.span,
    }
}

/// The stages that `stage` needs, with the places that say so.
fn needed_by(stages: &Stages<'_>, stage: usize) -> Result<Vec<(usize, Span)>, PlanError> {
    let draft = &stages.drafts[stage];
    let mut needed = Vec::new();
    if let DraftBase::Stage(base) = draft.base {
        needed.push((base, from_span(draft.instruction)));
    }
    for (instruction, _) in draft.instructions() {
        let mut refer = |text: &str, span| {
            if let DraftBase::Stage(other) = stages.reference(text, span)? {
                needed.push((other, span));
            }
            Ok::<_, PlanError>(())
        };
        match &instruction.kind {
            InstructionKind::Copy(copy) => {
                if let Some(from) = &copy.from {
                    refer(&from.text, from.span)?;
                }
            }
            InstructionKind::Run(run) => {
                for mount in &run.mounts {
                    if let Some(from) = mount.from() {
                        refer(from, mount.text.span)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(needed)
}

fn refuse_later_stages(
    stages: &Stages<'_>,
    needs: &BTreeMap<usize, Vec<(usize, Span)>>,
) -> Result<(), PlanError> {
    for (&stage, needed) in needs {
        let Some(&(later, span)) = needed.iter().find(|(other, _)| *other >= stage) else {
            continue;
        };
        let name = stages.drafts[later].label();
        let kind = match leads_to(needs, later, stage) {
            true => PlanErrorKind::Circular { name },
            false => PlanErrorKind::StageNotYetDefined { name },
        };
        return Err(PlanError::at(span, kind));
    }
    Ok(())
}

fn leads_to(needs: &BTreeMap<usize, Vec<(usize, Span)>>, from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(stage) = waiting.pop() {
        if stage == to {
            return true;
        }
        if seen.insert(stage) {
            waiting.extend(
                needs
                    .get(&stage)
                    .into_iter()
                    .flatten()
                    .map(|(other, _)| *other),
            );
        }
    }
    false
}
