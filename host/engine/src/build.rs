//! One build from request to image: parse, plan, walk the stages, write the image.

use std::time::Instant;

use kiln_dockerfile::{Dockerfile, Source, Span};
use kiln_oci::{DiffId, Digest, ImageConfig, Platform, RootFs};
use kiln_plan::{
    Base, BuildGraph, NamedContext as PlannedContext, PlanRequest, Stage, Step, StepKind,
};
use kiln_rootfs::CopyError;
use kiln_store::{Lease, Store};

use crate::error::{BuildError, Cause};
use crate::event::{Event, Events, StepHead, StepId};
use crate::key::KeyBuilder;
use crate::log::BuildLog;
use crate::request::{BuildRequest, Cancel, NamedContext, VmSettings};
use crate::resolve::StoreImages;
use crate::session::Sessions;
use crate::source::Sources;
use crate::stage::{StageState, format_time, now, seconds};

/// What a build made.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// The image's id: the digest of its config.
    pub image: Digest,
    /// The names it has now.
    pub names: Vec<String>,
    /// Whether a VM was needed.
    pub vm_started: bool,
    /// The log of what ran, if anything did.
    pub log: Option<std::path::PathBuf>,
}

/// Builds the image that `request` asks for, into `store`.
///
/// # Errors
/// Whatever is wrong with the Dockerfile, the context, the machine; see [`Cause`]. The store is whole afterwards
/// in any case, and everything that was finished is found in the cache by the next build.
pub fn build(
    store: &Store,
    vm: &VmSettings,
    request: &BuildRequest,
    events: &dyn Events,
    cancel: &Cancel,
) -> Result<BuildOutcome, BuildError> {
    let _lease = lease(store, events)?;
    let dockerfile = parse(request)?;
    let images = StoreImages::new(store);
    let graph = plan(&dockerfile, request, &images)?;
    for warning in &graph.warnings {
        tell_warning(events, &dockerfile, warning);
    }
    let heads = step_heads(&dockerfile, &graph);
    events.event(Event::Planned { steps: &heads });
    let mut builder = Builder {
        store,
        request,
        graph: &graph,
        events,
        cancel,
        sources: Sources::new(store, request),
        sessions: Sessions::new(store, vm, cancel),
        log: BuildLog::new(store.log_file(&build_name())),
        stages: Vec::with_capacity(graph.stages.len()),
        next_step: 0,
        blame: None,
    };
    builder.run()
}

/// Keeps others from removing what this build uses; waits for one that is removing things now, and says so.
pub(crate) fn lease(store: &Store, events: &dyn Events) -> Result<Lease, BuildError> {
    match store.lease() {
        Err(kiln_store::Error::LockBusy { holders }) => {
            let holders: Vec<String> = holders
                .iter()
                .map(|holder| format!("process {} ({})", holder.pid, holder.purpose))
                .collect();
            events.event(Event::Waiting {
                holders: &holders.join(", "),
            });
            Ok(store.lease_wait()?)
        }
        lease => Ok(lease?),
    }
}

pub(crate) fn parse(request: &BuildRequest) -> Result<Dockerfile, BuildError> {
    let source = Source::from_bytes(&request.dockerfile.name, &request.dockerfile.bytes);
    kiln_dockerfile::parse(&source).map_err(|error| BuildError {
        span: Some(range(error.span)),
        cause: Cause::Parse(Box::new(error)),
    })
}

pub(crate) fn plan(
    dockerfile: &Dockerfile,
    request: &BuildRequest,
    images: &StoreImages<'_>,
) -> Result<BuildGraph, BuildError> {
    let named_contexts = request.named_contexts.iter().map(|(name, context)| {
        let planned = match context {
            NamedContext::Folder(_) => PlannedContext::Directory,
            NamedContext::Image(image) => PlannedContext::Image(image.clone()),
        };
        (name.clone(), planned)
    });
    let plan_request = PlanRequest {
        build_args: request.build_args.clone(),
        target: request.target.clone(),
        platform: request.platform.clone(),
        build_platform: Platform::linux_host(),
        labels: request.labels.clone(),
        named_contexts: named_contexts.collect(),
    };
    kiln_plan::plan(dockerfile, &plan_request, images).map_err(|error| BuildError {
        span: error.span.map(range),
        cause: Cause::Plan(Box::new(error)),
    })
}

/// Names the log of a build: by time, and by process since two may start at once.
fn build_name() -> String {
    format!("{}-{}", now(), std::process::id())
}

fn tell_warning(
    events: &dyn Events,
    dockerfile: &Dockerfile,
    warning: &kiln_dockerfile::lint::Warning,
) {
    let span = warning.span;
    let line = (span != Span::default()).then(|| dockerfile.source.lines(span).0 as usize);
    events.event(Event::Warning {
        line,
        message: &warning.message,
    });
}

/// The steps in the order in which they will be looked at: each stage's FROM, then its instructions.
fn step_heads(dockerfile: &Dockerfile, graph: &BuildGraph) -> Vec<StepHead> {
    let head = |stage: &Stage, source: &kiln_plan::SourceText| StepHead {
        stage: stage
            .name
            .clone()
            .unwrap_or_else(|| format!("stage-{}", stage.ordinal)),
        text: source.text.clone(),
        line: dockerfile.source.lines(source.span).0 as usize,
    };
    graph
        .stages
        .iter()
        .flat_map(|stage| {
            std::iter::once(head(stage, &stage.from)).chain(
                stage
                    .steps
                    .iter()
                    .map(move |step| head(stage, &step.source)),
            )
        })
        .collect()
}

/// A build under way.
pub struct Builder<'a> {
    pub store: &'a Store,
    pub request: &'a BuildRequest,
    pub graph: &'a BuildGraph,
    pub events: &'a dyn Events,
    pub cancel: &'a Cancel,
    pub sources: Sources<'a>,
    pub sessions: Sessions<'a>,
    pub log: BuildLog,
    /// The stages that are done, by their place in the graph.
    pub stages: Vec<StageState>,
    next_step: StepId,
    /// The part of the current instruction that is to blame, where a step knows it better than by the whole.
    pub blame: Option<Span>,
}

/// What a step that was looked at gave.
pub struct StepResult {
    /// The layer, if it has one.
    pub layer: Option<DiffId>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// `None` if it came from the cache, else the size of the new layer's tar.
    pub made: Option<u64>,
}

impl Builder<'_> {
    fn run(&mut self) -> Result<BuildOutcome, BuildError> {
        let graph = self.graph;
        let built = graph
            .stages
            .iter()
            .try_for_each(|stage| self.run_stage(stage));
        let vm_started = self.sessions.started();
        // A VM that does not end well has nothing left that the build needs.
        let _ = self.sessions.stop();
        let log = self.log.flushed();
        built?;
        self.sources.remember();
        let image = self.write_image()?;
        let names: Vec<String> = self.request.tags.iter().map(ToString::to_string).collect();
        self.events.event(Event::Built {
            image,
            names: &names,
        });
        Ok(BuildOutcome {
            image,
            names,
            vm_started,
            log,
        })
    }

    fn run_stage(&mut self, stage: &Stage) -> Result<(), BuildError> {
        let from = range(stage.from.span);
        let mut state = self
            .observed(|builder, _| builder.base(stage))
            .map_err(|cause| self.failed(cause, from))?;
        for step in &stage.steps {
            self.run_step(step, &stage.platform, &mut state)
                .map_err(|cause| self.failed(cause, range(step.source.span)))?;
        }
        self.stages.push(state);
        Ok(())
    }

    fn failed(&self, cause: Cause, span: std::ops::Range<usize>) -> BuildError {
        let cause = match cause {
            Cause::Copy(CopyError::NotFound {
                path,
                ignored_by: Some(rule),
                ..
            }) => Cause::Ignored {
                path,
                file: self.sources.ignore_name(),
                rule,
            },
            cause => cause,
        };
        BuildError {
            cause,
            span: Some(self.blame.map_or(span, range)),
        }
    }

    /// Tells the events of the next step around `work`.
    fn observed<T: Observed>(
        &mut self,
        work: impl FnOnce(&mut Self, StepId) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let step = self.next_step;
        self.next_step += 1;
        let start = Instant::now();
        self.events.event(Event::Started { step });
        if self.cancel.is_cancelled() {
            return Err(Cause::Interrupted);
        }
        let result = work(self, step);
        let elapsed = start.elapsed();
        self.events.event(match &result {
            Err(_) => Event::Failed { step, elapsed },
            Ok(result) if result.cached() => Event::Cached { step },
            Ok(result) => Event::Finished {
                step,
                elapsed,
                layer_size: result.layer_size(),
            },
        });
        result
    }

    /// The state that a stage starts in.
    fn base(&mut self, stage: &Stage) -> Result<StageState, Cause> {
        match &stage.base {
            Base::Scratch => Ok(StageState {
                created: self.request.source_date_epoch.unwrap_or(0),
                ..StageState::default()
            }),
            Base::Stage(index) => Ok(self.stages[*index].clone()),
            Base::Image { config, .. } => Ok(StageState::from_image(config)),
            Base::NamedContext(name) => {
                let mut state = StageState::default();
                let result = self.whole_named_context(name)?;
                state.push(&stage.from.text, result.layer, result.created);
                Ok(state)
            }
        }
    }

    fn run_step(
        &mut self,
        step: &Step,
        platform: &Platform,
        state: &mut StageState,
    ) -> Result<(), Cause> {
        let parent: &StageState = state;
        let result = self.observed(|builder, id| match &step.kind {
            StepKind::Metadata => builder.metadata(step, parent),
            StepKind::Workdir(workdir) => builder.workdir(workdir, parent),
            StepKind::Copy(copy) => builder.copy(copy, parent, id),
            StepKind::Run(run) => builder.run_command(run, step, parent, platform, id),
        })?;
        let created = self.request.source_date_epoch.unwrap_or(result.created);
        state.push(&step.created_by, result.layer, created);
        Ok(())
    }

    /// A step of which only its time is remembered, so that the same build gives the same image again.
    fn metadata(&mut self, step: &Step, parent: &StageState) -> Result<StepResult, Cause> {
        let mut key = KeyBuilder::new("metadata", parent.chain());
        key.text(&step.created_by);
        key.number(parent.history.len() as i64);
        let key = key.finish();
        if let Some(hit) = self.cached(&key)? {
            return Ok(hit);
        }
        self.record(&key, None, &step.created_by, 0)
    }

    /// What the cache holds for a key.
    pub fn cached(&self, key: &Digest) -> Result<Option<StepResult>, Cause> {
        if self.request.no_cache {
            return Ok(None);
        }
        self.remembered(key)
    }

    fn remembered(&self, key: &Digest) -> Result<Option<StepResult>, Cause> {
        Ok(self.store.lookup(key)?.map(|hit| StepResult {
            layer: hit.diff_id,
            created: seconds(hit.created),
            made: None,
        }))
    }

    /// Remembers what a step made.
    pub fn record(
        &self,
        key: &Digest,
        layer: Option<DiffId>,
        note: &str,
        size: u64,
    ) -> Result<StepResult, Cause> {
        self.store.record(key, layer, note)?;
        // Its time must be the one that later builds find, or their images would have another id.
        let created = self
            .remembered(key)?
            .map_or_else(now, |remembered| remembered.created);
        Ok(StepResult {
            layer,
            created,
            made: Some(size),
        })
    }

    fn write_image(&self) -> Result<Digest, BuildError> {
        let stage = &self.graph.stages[self.graph.target];
        let state = &self.stages[self.graph.target];
        let created = self.request.source_date_epoch.unwrap_or(state.created);
        let config = ImageConfig {
            created: Some(format_time(created)),
            author: stage.author.clone(),
            architecture: stage.platform.architecture.clone(),
            os: stage.platform.os.clone(),
            variant: stage.platform.variant.clone(),
            config: stage.config.clone(),
            rootfs: RootFs {
                diff_ids: state.layers.clone(),
                ..RootFs::default()
            },
            history: state.history.clone(),
        };
        let id = self.store.put_image(&config)?;
        for name in &self.request.tags {
            self.store.tag(name, id)?;
        }
        Ok(id.0)
    }
}

/// What the events want to know of a step's result.
trait Observed {
    fn cached(&self) -> bool;
    fn layer_size(&self) -> Option<u64>;
}

impl Observed for StepResult {
    fn cached(&self) -> bool {
        self.made.is_none()
    }

    fn layer_size(&self) -> Option<u64> {
        self.made.filter(|_| self.layer.is_some())
    }
}

/// A base is there already, whatever it is.
impl Observed for StageState {
    fn cached(&self) -> bool {
        true
    }

    fn layer_size(&self) -> Option<u64> {
        None
    }
}

/// A span as the command line takes it.
pub(crate) fn range(span: Span) -> std::ops::Range<usize> {
    span.start as usize..span.end as usize
}
