//! `RUN --mount`: options expanded, targets absolute, defaults filled in.

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::Run;
use kiln_dockerfile::mount::{
    self, BindMount, CacheMount, FileOwner, MountError, MountFlag, SecretMount, SshMount,
};

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
        let mount = resolved.map_err(|error| PlanError::at(span, error))?;
        let (target, read_only) = (mount.target, mount.read_only);
        let (target, kind) = match mount.kind {
            mount::MountKind::Bind(bind) => {
                (self.directory(state, target, span)?, self.bind(bind, span)?)
            }
            mount::MountKind::Cache(cache) => {
                let target = self.directory(state, target, span)?;
                let kind = self.cache(cache, &target, span)?;
                (target, kind)
            }
            mount::MountKind::Tmpfs(size) => (
                self.directory(state, target, span)?,
                MountKind::Tmpfs { size },
            ),
            mount::MountKind::Secret(secret) => {
                (secret_target(&secret, target), secret_kind(secret))
            }
            mount::MountKind::Ssh(ssh) => {
                *sockets += 1;
                (ssh_target(*sockets - 1, target), ssh_kind(ssh))
            }
        };
        Ok(Mount {
            kind,
            target,
            read_only,
            span,
        })
    }

    fn bind(&self, bind: BindMount, span: Span) -> Result<MountKind, PlanError> {
        let from = self
            .mount_from(bind.from, span)?
            .unwrap_or(CopyFrom::Context);
        Ok(MountKind::Bind {
            from,
            source: absolute(bind.source),
        })
    }

    fn cache(&self, cache: CacheMount, target: &str, span: Span) -> Result<MountKind, PlanError> {
        let (mode, uid, gid) = owner(cache.file, CACHE_MODE);
        let from = self.mount_from(cache.from, span)?;
        Ok(MountKind::Cache {
            id: cache.id.unwrap_or_else(|| target.to_owned()),
            from: from.filter(|from| *from != CopyFrom::Scratch),
            source: absolute(cache.source),
            sharing: cache.sharing,
            mode,
            uid,
            gid,
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

/// Mode, user and group, with what was not given filled in.
fn owner(file: FileOwner, mode: u32) -> (u32, u32, u32) {
    (
        file.mode.unwrap_or(mode),
        file.uid.unwrap_or(0),
        file.gid.unwrap_or(0),
    )
}

/// A secret that is only a variable has no target.
fn secret_target(secret: &SecretMount, target: Option<String>) -> String {
    let id = &secret.id;
    match target {
        Some(target) => path::join("/", &target),
        None if secret.env.is_some() => String::new(),
        None => path::join(SECRET_DIR, id.rsplit('/').next().unwrap_or(id)),
    }
}

fn secret_kind(secret: SecretMount) -> MountKind {
    let (mode, uid, gid) = owner(secret.file, SECRET_MODE);
    let SecretMount {
        id, required, env, ..
    } = secret;
    MountKind::Secret {
        id,
        required,
        env,
        mode,
        uid,
        gid,
    }
}

fn ssh_target(number: usize, target: Option<String>) -> String {
    target.map_or_else(
        || format!("{SSH_SOCKET}.{number}"),
        |target| path::join("/", &target),
    )
}

fn ssh_kind(ssh: SshMount) -> MountKind {
    let (mode, uid, gid) = owner(ssh.file, SSH_MODE);
    let SshMount { id, required, .. } = ssh;
    MountKind::Ssh {
        id,
        required,
        mode,
        uid,
        gid,
    }
}
