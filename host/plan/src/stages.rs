//! Instructions grouped into stages, and what their names refer to.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use kiln_dockerfile::ast::{From, Instruction, InstructionKind};
use kiln_dockerfile::lint::{Rule, Warning};
use kiln_dockerfile::words::{Expander, NoVariables};
use kiln_dockerfile::{Dockerfile, Span, hint};
use kiln_oci::{ImageName, Platform};

use crate::environment::Environment;
use crate::error::{PlanError, PlanErrorKind};
use crate::globals;
use crate::graph::{NamedContext, PlanRequest};

/// The image name that stands for nothing at all.
const SCRATCH: &str = "scratch";

/// A stage before it is known whether it is needed.
pub(crate) struct Draft<'a> {
    pub ordinal: usize,
    pub name: Option<String>,
    pub instruction: &'a Instruction,
    pub base: DraftBase,
    pub platform: Option<Platform>,
    /// ONBUILD instructions of the base, found once the stage is known to be needed.
    pub triggers: Vec<Cow<'a, Instruction>>,
    pub body: Vec<&'a Instruction>,
    /// A named context stands in for the whole stage; its instructions do not count.
    pub replaced: bool,
}

/// What a FROM names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DraftBase {
    Scratch,
    Stage(usize),
    Image(String),
    Context(String),
}

/// What a `--from` names; the same set as in a FROM.
pub(crate) type Reference = DraftBase;

impl<'a> Draft<'a> {
    /// Triggers of the base, then its own instructions; true for triggers.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = (&Instruction, bool)> {
        let triggers = self.triggers.iter().map(|trigger| (trigger.as_ref(), true));
        triggers.chain(self.body.iter().map(|instruction| (*instruction, false)))
    }

    /// What messages call it.
    pub(crate) fn label(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.ordinal.to_string())
    }
}

/// All stages of a Dockerfile.
pub(crate) struct Stages<'a> {
    pub drafts: Vec<Draft<'a>>,
    /// The scope of the FROM lines.
    pub globals: Environment,
    names: HashMap<String, usize>,
    contexts: &'a BTreeMap<String, NamedContext>,
}

/// Groups and names the stages.
pub(crate) fn collect<'a>(
    dockerfile: &'a Dockerfile,
    request: &'a PlanRequest,
    warnings: &mut Vec<Warning>,
) -> Result<Stages<'a>, PlanError> {
    let expander = Expander::new(dockerfile.directives.escape);
    let target = request
        .target
        .clone()
        .or_else(|| last_name(dockerfile))
        .unwrap_or_default();
    let mut stages = Stages {
        drafts: Vec::new(),
        globals: globals::predefined(request, &target),
        names: HashMap::new(),
        contexts: &request.named_contexts,
    };
    for instruction in &dockerfile.instructions {
        match (&instruction.kind, stages.drafts.last_mut()) {
            (InstructionKind::From(from), _) => {
                stages.open(instruction, from, &expander, warnings)?
            }
            (_, Some(draft)) if draft.replaced => {}
            (_, Some(draft)) => draft.body.push(instruction),
            (InstructionKind::Arg(args), None) => {
                for arg in args {
                    globals::declare(&mut stages.globals, arg, request, &expander)?;
                }
            }
            (_, None) => return Err(PlanError::at(instruction.span, PlanErrorKind::NoStageYet)),
        }
    }
    if stages.drafts.is_empty() {
        return Err(PlanError::of_request(PlanErrorKind::NoStages));
    }
    Ok(stages)
}

fn last_name(dockerfile: &Dockerfile) -> Option<String> {
    dockerfile
        .instructions
        .iter()
        .rev()
        .find_map(|instruction| match &instruction.kind {
            InstructionKind::From(from) => Some(from.stage_name()),
            _ => None,
        })?
}

impl<'a> Stages<'a> {
    fn open(
        &mut self,
        instruction: &'a Instruction,
        from: &From,
        expander: &Expander,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), PlanError> {
        let image = globals::expand(expander, &from.image.text, from.image.span, &self.globals)?;
        if image.is_empty() {
            let word = from.image.text.clone();
            return Err(PlanError::at(
                from.image.span,
                PlanErrorKind::BlankBase { word },
            ));
        }
        let platform = self.platform(from, expander)?;
        let name = from.stage_name();
        let replacement = name.as_deref().and_then(|name| self.context(name));
        let replaced = replacement.is_some();
        let base = replacement.unwrap_or_else(|| self.base(&image));
        if matches!(base, DraftBase::Image(_)) {
            self.check_name(&base, from.image.span)?;
        }
        let ordinal = self.drafts.len();
        if let (Some(name), Some(word)) = (&name, &from.name) {
            self.warn_of_name(name, word.span, warnings);
            self.names.insert(name.clone(), ordinal);
        }
        let (triggers, body) = (Vec::new(), Vec::new());
        self.drafts.push(Draft {
            ordinal,
            name,
            instruction,
            base,
            platform,
            triggers,
            body,
            replaced,
        });
        Ok(())
    }

    fn platform(&self, from: &From, expander: &Expander) -> Result<Option<Platform>, PlanError> {
        let Some(word) = &from.platform else {
            return Ok(None);
        };
        let value = globals::expand(expander, &word.text, word.span, &self.globals)?;
        let platform = value.parse::<Platform>();
        platform
            .map(Some)
            .map_err(|_| PlanError::at(word.span, PlanErrorKind::InvalidPlatform { value }))
    }

    /// The base that an expanded FROM names: an earlier stage, a named context, nothing, or an image.
    fn base(&self, image: &str) -> DraftBase {
        if let Some(&stage) = self.names.get(image) {
            return DraftBase::Stage(stage);
        }
        if image == SCRATCH {
            return DraftBase::Scratch;
        }
        self.context(image)
            .unwrap_or_else(|| DraftBase::Image(image.to_owned()))
    }

    /// What `--build-context` puts in the place of `name`.
    fn context(&self, name: &str) -> Option<DraftBase> {
        let familiar = || {
            let name = ImageName::parse(name).ok()?.familiar();
            Some(name.strip_suffix(":latest").unwrap_or(&name).to_owned())
        };
        let key = match self.contexts.contains_key(name) {
            true => name.to_owned(),
            false => familiar()?,
        };
        Some(match self.contexts.get(&key)? {
            NamedContext::Directory => DraftBase::Context(key),
            NamedContext::Image(image) => DraftBase::Image(image.clone()),
        })
    }

    fn check_name(&self, base: &DraftBase, span: Span) -> Result<(), PlanError> {
        match base {
            DraftBase::Image(name) if ImageName::parse(name).is_err() => {
                let hint = self.hint(name);
                let kind = PlanErrorKind::InvalidImageName { name: name.clone() };
                Err(PlanError::at(span, kind).with_hint(hint))
            }
            _ => Ok(()),
        }
    }

    fn warn_of_name(&self, name: &str, span: Span, warnings: &mut Vec<Warning>) {
        let mut warn = |rule, message| {
            warnings.push(Warning {
                rule,
                span,
                message,
            })
        };
        if self.names.contains_key(name) {
            warn(
                Rule::DuplicateStageName,
                format!("duplicate stage name `{name}`, stage names should be unique"),
            );
        }
        if matches!(name, SCRATCH | "context") {
            warn(
                Rule::ReservedStageName,
                format!("stage name should not be `{name}`, it is reserved"),
            );
        }
    }

    /// What the text of a `--from` names. Variables are refused: the graph must be known before they are.
    pub(crate) fn reference(&self, text: &str, span: Span) -> Result<Reference, PlanError> {
        let plain = Expander::new('\\').expand(text, &NoVariables);
        if plain.is_ok_and(|expansion| expansion.text != text) {
            return Err(PlanError::at(span, PlanErrorKind::FromVariable));
        }
        if let Ok(index) = text.parse::<i64>() {
            let stage = usize::try_from(index)
                .ok()
                .filter(|index| *index < self.drafts.len());
            let unknown = || {
                PlanError::at(
                    span,
                    PlanErrorKind::StageIndex {
                        index: text.to_owned(),
                    },
                )
            };
            return stage.map(DraftBase::Stage).ok_or_else(unknown);
        }
        if let Some(&stage) = self.names.get(&text.to_lowercase()) {
            return Ok(DraftBase::Stage(stage));
        }
        let reference = self.base(text);
        self.check_name(&reference, span)?;
        Ok(reference)
    }

    /// The stage that `--target` names, else the last one.
    pub(crate) fn target(&self, request: &PlanRequest) -> Result<usize, PlanError> {
        let Some(name) = request.target.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(self.drafts.len() - 1);
        };
        let number = || {
            name.parse::<usize>()
                .ok()
                .filter(|number| *number < self.drafts.len())
        };
        self.names
            .get(&name.to_lowercase())
            .copied()
            .or_else(number)
            .ok_or_else(|| {
                let kind = PlanErrorKind::UnknownTarget {
                    name: name.to_owned(),
                };
                PlanError::of_request(kind).with_hint(self.hint(name))
            })
    }

    /// A stage whose name is close to `name`.
    pub(crate) fn hint(&self, name: &str) -> Option<String> {
        hint::did_you_mean(name, self.names.keys().map(String::as_str))
    }
}
