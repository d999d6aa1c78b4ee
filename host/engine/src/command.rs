//! RUN as a step of a build: look-up, boot, run, commit.

use std::time::Instant;

use kiln_oci::Platform;
use kiln_plan::{CopyFrom, RunStep, Step};
use kiln_protocol::TreeRef;
use kiln_rootfs::MergedView;
use kiln_vmm::Architecture;

use crate::build::{Builder, StepResult};
use crate::error::Cause;
use crate::event::{Event, StepId};
use crate::log::Tail;
use crate::source::{MountFiles, MountTree};
use crate::stage::StageState;
use crate::{run, session};

impl Builder<'_> {
    /// RUN.
    pub fn run_command(
        &mut self,
        command: &RunStep,
        step: &Step,
        parent: &StageState,
        platform: &Platform,
        id: StepId,
    ) -> Result<StepResult, Cause> {
        run::check_supported(command)?;
        let trees = self.mount_trees(command)?;
        let key = run::key(command, parent.chain(), platform, self.request, &trees);
        if let Some(hit) = self.cached(&key)? {
            return Ok(hit);
        }
        let guest = session::guest_for(platform)?;
        self.boot(guest, platform, id)?;
        let trees = self.tree_refs(guest, trees)?;
        let session = self.sessions.of(guest);
        let lowers = session.lowers(&parent.layers)?;
        let run_id = session.next_run();
        let spec = run::spec(command, run_id, lowers, trees, self.request)?;
        self.log.step(&step.source.text);
        let mut tail = Tail::default();
        let (events, log) = (self.events, &mut self.log);
        let outcome = session.run(&spec, &mut |stream, bytes| {
            tail.push(bytes);
            log.write(bytes);
            events.event(Event::Output {
                step: id,
                stream,
                bytes,
            });
        })?;
        if let Some(outcome) = run::failure(&outcome) {
            return Err(Cause::RunFailed {
                command: command.argv.join(" "),
                outcome,
                tail: tail.finish(),
                log: self.log.flushed(),
            });
        }
        let layer = session.commit(run_id)?;
        self.record(&key, Some(layer.diff_id), &step.source.text, layer.tar_size)
    }

    fn boot(
        &mut self,
        guest: Architecture,
        platform: &Platform,
        step: StepId,
    ) -> Result<(), Cause> {
        let session = self.sessions.of(guest);
        if session.started() {
            return Ok(());
        }
        let emulated = guest.is_foreign().then_some(platform);
        self.events.event(Event::VmStarting { step, emulated });
        let start = Instant::now();
        let backend = session.boot()?;
        self.events.event(Event::VmReady {
            backend,
            elapsed: start.elapsed(),
        });
        Ok(())
    }

    /// What each mount shows, in the mounts' order; nothing is written for it yet.
    fn mount_trees(&mut self, command: &RunStep) -> Result<Vec<Option<MountTree>>, Cause> {
        let mut trees = Vec::with_capacity(command.mounts.len());
        for mount in &command.mounts {
            trees.push(match run::mount_source(&mount.kind) {
                None => None,
                Some((from @ (CopyFrom::Context | CopyFrom::NamedContext(_)), path)) => {
                    Some(MountTree::of_folder(self.tree(from)?, path)?)
                }
                Some((from, path)) => Some(MountTree::of_layers(self.layers_of(from)?, path)),
            });
        }
        Ok(trees)
    }

    /// The same for the guest, with every layer where it can see it.
    fn tree_refs(
        &mut self,
        guest: Architecture,
        trees: Vec<Option<MountTree>>,
    ) -> Result<Vec<Option<TreeRef>>, Cause> {
        let mut refs = Vec::with_capacity(trees.len());
        for tree in trees {
            let Some(tree) = tree else {
                refs.push(None);
                continue;
            };
            let layers = match tree.files {
                MountFiles::Layers(layers) => layers,
                MountFiles::Selected(selection) => {
                    let scratch = self.store.run_dir()?;
                    let plan = selection.plan(&MergedView::empty(), &scratch)?;
                    vec![self.write_layer(&plan)?.diff_id]
                }
            };
            refs.push(Some(TreeRef {
                lowers: self.sessions.of(guest).lowers(&layers)?,
                path: tree.path,
            }));
        }
        Ok(refs)
    }
}
