//! COPY, ADD and WORKDIR as steps of a build: key, look-up, and the making of the layer on a miss.

use std::io::Read;
use std::sync::Arc;

use kiln_dockerfile::Span;
use kiln_layer::Entry;
use kiln_oci::{DiffId, Digest};
use kiln_plan::{CopyFrom, CopySourceKind, CopyStep, WorkdirStep};
use kiln_rootfs::{
    Chmod, CopyError, CopyPlan, CopySource, CopySpec, LayerOutput, MergedView, Selection,
    SourceTree, WriteError,
};
use kiln_store::{LayerRecord, LayerWriter};

use crate::build::{Builder, StepResult};
use crate::error::Cause;
use crate::event::{Event, StepId};
use crate::fetch::{Fetched, fetch};
use crate::key::KeyBuilder;
use crate::request::Cancel;
use crate::stage::StageState;

impl Builder<'_> {
    /// COPY and ADD.
    pub fn copy(
        &mut self,
        step: &CopyStep,
        parent: &StageState,
        id: StepId,
    ) -> Result<StepResult, Cause> {
        let known = self.known_sources_key(step, parent)?;
        if let Some(key) = &known
            && let Some(hit) = self.cached(key)?
        {
            return Ok(hit);
        }
        let mut fetched = Vec::new();
        let sources = self.sources_of(step, id, &mut fetched)?;
        let spec = CopySpec {
            dest: step.dest.clone().into_bytes(),
            chown: step.chown.clone(),
            chmod: step.chmod.as_deref().map(Chmod::parse).transpose()?,
            parents: step.parents,
            excludes: step.excludes.clone(),
            epoch: self.request.source_date_epoch,
        };
        let selection = Selection::new(spec, sources).inspect_err(|error| {
            self.blame = blamed_source(step, error);
        })?;
        let result = self.copied(&selection, parent)?;
        if let Some(known) = &known {
            self.record(known, result.layer, "COPY", 0)?;
        }
        Ok(result)
    }

    /// WORKDIR: a layer only where the folder is missing.
    pub fn workdir(
        &mut self,
        step: &WorkdirStep,
        parent: &StageState,
    ) -> Result<StepResult, Cause> {
        let mut key = KeyBuilder::new("workdir", parent.chain());
        key.text(&step.path);
        key.text(&step.user);
        key.option(self.epoch_text().as_deref());
        let key = key.finish();
        if let Some(hit) = self.cached(&key)? {
            return Ok(hit);
        }
        let below = MergedView::of_store(self.store, &parent.layers);
        let epoch = self.request.source_date_epoch;
        let plan = kiln_rootfs::plan_workdir(step.path.as_bytes(), &step.user, epoch, &below)?;
        if plan.is_empty() {
            return self.record(&key, None, "WORKDIR", 0);
        }
        self.make_layer(&plan, &key)
    }

    /// A context given with `--build-context` as the root of a stage.
    pub fn whole_named_context(&mut self, name: &str) -> Result<StepResult, Cause> {
        let source = CopySource::Path {
            tree: self.sources.named(name)?,
            path: b".".to_vec(),
            unpack: false,
        };
        let spec = CopySpec {
            dest: b"/".to_vec(),
            epoch: self.request.source_date_epoch,
            ..CopySpec::default()
        };
        self.copied(&Selection::new(spec, vec![source])?, &StageState::default())
    }

    /// Copies what was selected, if it was not copied onto the same root before.
    fn copied(&mut self, selection: &Selection, parent: &StageState) -> Result<StepResult, Cause> {
        let mut key = KeyBuilder::new("copy", parent.chain());
        key.option(self.epoch_text().as_deref());
        key.digest(&selection.digest());
        let key = key.finish();
        if let Some(hit) = self.cached(&key)? {
            return Ok(hit);
        }
        let below = MergedView::of_store(self.store, &parent.layers);
        let plan = selection.plan(&below, &self.store.run_dir()?)?;
        self.make_layer(&plan, &key)
    }

    fn epoch_text(&self) -> Option<String> {
        self.request.source_date_epoch.map(|time| time.to_string())
    }

    fn make_layer(&self, plan: &CopyPlan, key: &Digest) -> Result<StepResult, Cause> {
        let layer = self.write_layer(plan)?;
        self.record(key, Some(layer.diff_id), "COPY", layer.tar_size)
    }

    /// Writes a layer into the store.
    pub(crate) fn write_layer(&self, plan: &CopyPlan) -> Result<LayerRecord, Cause> {
        let mut output = Cancellable {
            writer: self.store.begin_layer()?,
            cancel: self.cancel,
        };
        plan.write(&mut output).map_err(|error| match error {
            WriteError::Output(cause) => cause,
            WriteError::Source(error) => error.into(),
        })?;
        Ok(output.writer.commit()?)
    }

    /// A key that needs no file's content: for sources whose content is known by a digest already. It saves
    /// reading layers again to find that nothing changed.
    fn known_sources_key(
        &self,
        step: &CopyStep,
        parent: &StageState,
    ) -> Result<Option<Digest>, Cause> {
        let mut key = KeyBuilder::new("copy of known sources", parent.chain());
        key.option(self.epoch_text().as_deref());
        match &step.from {
            CopyFrom::Context | CopyFrom::NamedContext(_) => key.text("no tree"),
            CopyFrom::Scratch => key.text("scratch"),
            CopyFrom::Stage(_) | CopyFrom::Image(_) => {
                let layers = self.layers_of(&step.from)?;
                key.number(layers.len() as i64);
                layers.iter().for_each(|layer| key.digest(&layer.0));
            }
        }
        for source in &step.sources {
            match (&source.kind, &step.from) {
                (CopySourceKind::Heredoc { name, content }, _) => {
                    key.text(name);
                    key.bytes(content);
                }
                (CopySourceKind::Url(url), _) if step.checksum.is_some() => key.text(url),
                (
                    CopySourceKind::Path(path),
                    CopyFrom::Stage(_) | CopyFrom::Image(_) | CopyFrom::Scratch,
                ) => key.text(path),
                _ => return Ok(None),
            }
        }
        key.text(&step.dest);
        for flag in [&step.chown, &step.chmod, &step.checksum] {
            key.option(flag.as_deref());
        }
        key.list(step.excludes.iter().map(String::as_str));
        for flag in [step.add, step.parents, step.unpack.unwrap_or(step.add)] {
            key.number(i64::from(flag));
        }
        Ok(Some(key.finish()))
    }

    /// The layers of a stage or an image.
    pub(crate) fn layers_of(&self, from: &CopyFrom) -> Result<Vec<DiffId>, Cause> {
        match from {
            CopyFrom::Stage(index) => Ok(self.stages[*index].layers.clone()),
            CopyFrom::Image(name) => self.sources.image(name),
            CopyFrom::Scratch | CopyFrom::Context | CopyFrom::NamedContext(_) => Ok(Vec::new()),
        }
    }

    /// The tree that paths are looked for in.
    pub(crate) fn tree(&mut self, from: &CopyFrom) -> Result<SourceTree, Cause> {
        match from {
            CopyFrom::Context => Ok(SourceTree::Context(self.sources.context()?)),
            CopyFrom::NamedContext(name) => self.sources.named(name),
            CopyFrom::Stage(_) | CopyFrom::Image(_) | CopyFrom::Scratch => {
                let layers = self.layers_of(from)?;
                Ok(SourceTree::Image(Arc::new(MergedView::of_store(
                    self.store, &layers,
                ))))
            }
        }
    }

    fn sources_of(
        &mut self,
        step: &CopyStep,
        id: StepId,
        fetched: &mut Vec<Fetched>,
    ) -> Result<Vec<CopySource>, Cause> {
        let mut sources = Vec::with_capacity(step.sources.len());
        for source in &step.sources {
            sources.push(match &source.kind {
                CopySourceKind::Path(path) => CopySource::Path {
                    tree: self.tree(&step.from)?,
                    path: path.clone().into_bytes(),
                    unpack: step.unpack.unwrap_or(step.add),
                },
                CopySourceKind::Heredoc { name, content } => CopySource::Inline {
                    name: name.clone().into_bytes(),
                    content: content.clone().into(),
                },
                CopySourceKind::Url(url) => {
                    let message = format!("fetching {url}");
                    self.events.event(Event::Status {
                        step: id,
                        message: &message,
                    });
                    let checksum = step.checksum.as_deref().map(parse_checksum).transpose()?;
                    let file = fetch(
                        self.store,
                        &self.request.http,
                        url,
                        checksum.as_ref(),
                        self.cancel,
                    )?;
                    let source = download(&file, step);
                    fetched.push(file);
                    source
                }
                CopySourceKind::Git(_) => {
                    return Err(Cause::Unsupported {
                        what: "ADD of a git repository".to_owned(),
                    });
                }
            });
        }
        Ok(sources)
    }
}

/// The source that an error is about.
fn blamed_source(step: &CopyStep, error: &CopyError) -> Option<Span> {
    let CopyError::NotFound { path, .. } = error else {
        return None;
    };
    let is_it = |source: &&kiln_plan::CopySource| match &source.kind {
        CopySourceKind::Path(written) => {
            kiln_context::clean(&[b"/", written.as_bytes()].concat()) == path.as_bytes()
        }
        _ => false,
    };
    step.sources.iter().find(is_it).map(|source| source.span)
}

fn download(file: &Fetched, step: &CopyStep) -> CopySource {
    CopySource::Download {
        name: file.name.clone().into_bytes(),
        file: Arc::new(file.file.path().to_owned()),
        size: file.size,
        digest: file.digest,
        mtime: file.modified,
        unpack: step.unpack.unwrap_or(false),
    }
}

fn parse_checksum(text: &str) -> Result<Digest, Cause> {
    text.parse().map_err(|_| Cause::ChecksumForm {
        text: text.to_owned(),
    })
}

/// A layer writer that stops between two entries when the build is cancelled.
struct Cancellable<'a> {
    writer: LayerWriter,
    cancel: &'a Cancel,
}

impl LayerOutput for Cancellable<'_> {
    type Error = Cause;

    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), Cause> {
        if self.cancel.is_cancelled() {
            return Err(Cause::Interrupted);
        }
        Ok(self.writer.append(entry, data)?)
    }
}
