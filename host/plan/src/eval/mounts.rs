//! `RUN --mount`: options expanded, targets absolute, defaults filled in.

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::Run;
use kiln_dockerfile::mount::{self, MountError, MountFlag};

use super::{Evaluator, State};
use crate::error::PlanError;
use crate::graph::{CopyFrom, Mount, MountKind};
use crate::path;

/// Defaults of BuildKit.
const CACHE_MODE: u32 = 0o755;
const SECRET_MODE: u32 = 0o400;
const SSH_MODE: u32 = 0o600;
const SECRET_DIR: &str = "/run/secrets";
const SSH_SOCKET: &str = "/run/buildkit/ssh_agent";

impl Evaluator<'_> {
    pub(super) fn mounts(&mut self, state: &State, run: &Run) -> Result<Vec<Mount>, PlanError> {
        let mut mounts = Vec::new();
        let mut sockets = 0;
        for flag in &run.mounts {
            let mount = self.mount(state, flag, &mut sockets)?;
            mounts.push(mount);
        }
        Ok(mounts)
    }

    fn mount(
        &mut self,
        state: &State,
        flag: &MountFlag,
        sockets: &mut usize,
    ) -> Result<Mount, PlanError> {
        let span = flag.text.span;
        let rules = self.expander;
        let resolved = flag.resolve(&mut |text| self.try_expand(rules, state, text, span));
        let mount::Mount {
            kind,
            target,
            read_only,
        } = resolved.map_err(|error| PlanError::at(span, error))?;
        let joined = target.as_deref().map(|target| path::join("/", target));
        let (target, kind) = match kind {
            mount::MountKind::Bind { from, source } => {
                let from = self.mount_from(from, span)?.unwrap_or(CopyFrom::Context);
                (
                    self.directory(state, target, span)?,
                    MountKind::Bind {
                        from,
                        source: absolute(source),
                    },
                )
            }
            mount::MountKind::Cache {
                id,
                from,
                source,
                sharing,
                mode,
                uid,
                gid,
            } => {
                let target = self.directory(state, target, span)?;
                let kind = MountKind::Cache {
                    id: id.unwrap_or_else(|| target.clone()),
                    from: self
                        .mount_from(from, span)?
                        .filter(|from| *from != CopyFrom::Scratch),
                    source: absolute(source),
                    sharing,
                    mode: mode.unwrap_or(CACHE_MODE),
                    uid: uid.unwrap_or(0),
                    gid: gid.unwrap_or(0),
                };
                (target, kind)
            }
            mount::MountKind::Tmpfs { size } => (
                self.directory(state, target, span)?,
                MountKind::Tmpfs { size },
            ),
            mount::MountKind::Secret {
                id,
                required,
                env,
                mode,
                uid,
                gid,
            } => {
                let named = || path::join(SECRET_DIR, id.rsplit('/').next().unwrap_or(&id));
                let target = joined
                    .or_else(|| env.is_none().then(named))
                    .unwrap_or_default();
                let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
                let mode = mode.unwrap_or(SECRET_MODE);
                (
                    target,
                    MountKind::Secret {
                        id,
                        required,
                        env,
                        mode,
                        uid,
                        gid,
                    },
                )
            }
            mount::MountKind::Ssh {
                id,
                required,
                mode,
                uid,
                gid,
            } => {
                let target = joined.unwrap_or_else(|| format!("{SSH_SOCKET}.{sockets}"));
                *sockets += 1;
                let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
                (
                    target,
                    MountKind::Ssh {
                        id,
                        required,
                        mode: mode.unwrap_or(SSH_MODE),
                        uid,
                        gid,
                    },
                )
            }
        };
        Ok(Mount {
            kind,
            target,
            read_only,
            span,
        })
    }

    /// Seen from the working directory; the root cannot be covered.
    fn directory(
        &self,
        state: &State,
        target: Option<String>,
        span: Span,
    ) -> Result<String, PlanError> {
        let target = path::join(state.workdir(), &target.unwrap_or_default());
        if target == "/" {
            return Err(PlanError::at(span, MountError::InvalidTarget { target }));
        }
        Ok(target)
    }

    fn mount_from(&self, from: Option<String>, span: Span) -> Result<Option<CopyFrom>, PlanError> {
        from.map(|from| self.copy_from(&from, span)).transpose()
    }
}

fn absolute(source: Option<String>) -> String {
    path::join("/", &source.unwrap_or_default())
}
