//! RUN: its cache key, and what the agent is told to do.

use kiln_agent_client::RunOutcome;
use kiln_oci::{ChainId, Digest, Platform};
use kiln_plan::{CopyFrom, MountKind, Network, RunStep, Security};
use kiln_protocol::{
    BindMount, CacheMount, CacheSharing, Exit, FileMount, HostEntry, LowerRef, Mount, Payload,
    RunId, RunSpec, TreeRef,
};

use crate::error::{Cause, RunFailure};
use crate::key::KeyBuilder;
use crate::request::BuildRequest;
use crate::source::MountTree;

/// Mode of a script that the agent mounts for a heredoc.
const SCRIPT_MODE: u32 = 0o755;

/// The key under which a RUN's layer is remembered. `trees` are the mounts' contents, in the mounts' order.
pub fn key(
    step: &RunStep,
    parent: Option<ChainId>,
    platform: &Platform,
    request: &BuildRequest,
    trees: &[Option<MountTree>],
) -> Digest {
    let mut key = KeyBuilder::new("run", parent);
    key.text(&platform.to_string());
    key.option(
        request
            .source_date_epoch
            .map(|time| time.to_string())
            .as_deref(),
    );
    key.list(step.argv.iter().map(String::as_str));
    key.list(step.env.iter().map(String::as_str));
    key.text(&step.user);
    key.text(&step.workdir);
    key.number(i64::from(step.security == Security::Insecure));
    key.number(i64::from(step.network == Network::None));
    key.number(step.files.len() as i64);
    for file in &step.files {
        key.text(&file.path);
        key.bytes(&file.content);
    }
    key.number(request.extra_hosts.len() as i64);
    for host in &request.extra_hosts {
        key.text(&host.name);
        key.text(&host.address);
    }
    key.number(step.mounts.len() as i64);
    for (mount, tree) in step.mounts.iter().zip(trees) {
        add_mount(&mut key, mount, tree.as_ref());
    }
    key.finish()
}

/// What of a mount may change the result: never a secret's value, never what a cache holds.
fn add_mount(key: &mut KeyBuilder, mount: &kiln_plan::Mount, tree: Option<&MountTree>) {
    key.text(&mount.target);
    key.number(i64::from(mount.read_only));
    match &mount.kind {
        MountKind::Bind { source, .. } => {
            key.text("bind");
            key.text(source);
        }
        MountKind::Cache { id, source, .. } => {
            key.text("cache");
            key.text(id);
            key.text(source);
        }
        MountKind::Tmpfs { size } => {
            key.text("tmpfs");
            key.option(size.map(|size| size.to_string()).as_deref());
        }
        MountKind::Secret { id, env, .. } => {
            key.text("secret");
            key.text(id);
            key.option(env.as_deref());
        }
        MountKind::Ssh { id, .. } => {
            key.text("ssh");
            key.text(id);
        }
    }
    match tree {
        Some(tree) => key.digest(&tree.content),
        None => key.text("no tree"),
    }
}

/// Whose files a mount shows, if any.
pub fn mount_source(kind: &MountKind) -> Option<(&CopyFrom, &str)> {
    match kind {
        MountKind::Bind { from, source } => Some((from, source)),
        MountKind::Cache {
            from: Some(from),
            source,
            ..
        } => Some((from, source)),
        _ => None,
    }
}

/// Refuses early what this version cannot do, before anything is run.
pub fn check_supported(step: &RunStep) -> Result<(), Cause> {
    if step.network == Network::Host {
        return Err(Cause::Unsupported {
            what: "RUN --network=host".to_owned(),
        });
    }
    match step
        .mounts
        .iter()
        .find(|mount| matches!(mount.kind, MountKind::Ssh { required: true, .. }))
    {
        Some(_) => Err(Cause::Unsupported {
            what: "RUN --mount=type=ssh".to_owned(),
        }),
        None => Ok(()),
    }
}

/// What the agent is told.
pub fn spec(
    step: &RunStep,
    run: RunId,
    lowers: Vec<LowerRef>,
    trees: Vec<Option<TreeRef>>,
    request: &BuildRequest,
) -> Result<RunSpec, Cause> {
    let mut spec = RunSpec::new(run, lowers, step.argv.clone());
    spec.env = step.env.iter().chain(&step.uncached_env).cloned().collect();
    spec.user.clone_from(&step.user);
    spec.workdir.clone_from(&step.workdir);
    spec.extra_hosts = request
        .extra_hosts
        .iter()
        .map(|host| HostEntry {
            address: host.address.clone(),
            name: host.name.clone(),
        })
        .collect();
    spec.security = match step.security {
        Security::Sandbox => kiln_protocol::Security::Sandbox,
        Security::Insecure => kiln_protocol::Security::Insecure,
    };
    for (mount, tree) in step.mounts.iter().zip(trees) {
        add_agent_mount(&mut spec, mount, tree, request)?;
    }
    spec.mounts.extend(step.files.iter().map(|file| Mount {
        target: file.path.clone(),
        kind: kiln_protocol::MountKind::File(FileMount {
            contents: Payload(file.content.clone()),
            mode: SCRIPT_MODE,
            uid: 0,
            gid: 0,
        }),
    }));
    Ok(spec)
}

fn add_agent_mount(
    spec: &mut RunSpec,
    mount: &kiln_plan::Mount,
    tree: Option<TreeRef>,
    request: &BuildRequest,
) -> Result<(), Cause> {
    let kind = match &mount.kind {
        MountKind::Bind { .. } => kiln_protocol::MountKind::Bind(BindMount {
            tree: tree.unwrap_or(TreeRef {
                lowers: Vec::new(),
                path: String::new(),
            }),
            writable: !mount.read_only,
        }),
        MountKind::Cache {
            id,
            sharing,
            mode,
            uid,
            gid,
            ..
        } => kiln_protocol::MountKind::Cache(CacheMount {
            id: id.clone(),
            read_only: mount.read_only,
            sharing: cache_sharing(*sharing),
            base: tree,
            mode: *mode,
            uid: *uid,
            gid: *gid,
        }),
        MountKind::Tmpfs { size } => kiln_protocol::MountKind::Tmpfs { size: *size },
        MountKind::Secret {
            id,
            required,
            env,
            mode,
            uid,
            gid,
        } => {
            let Some(secret) = request.secrets.get(id) else {
                return if *required {
                    Err(Cause::SecretMissing { id: id.clone() })
                } else {
                    Ok(())
                };
            };
            if let Some(name) = env {
                spec.secret_env
                    .push((name.clone(), Payload(secret.0.clone())));
            }
            if mount.target.is_empty() {
                return Ok(());
            }
            kiln_protocol::MountKind::File(FileMount {
                contents: Payload(secret.0.clone()),
                mode: *mode,
                uid: *uid,
                gid: *gid,
            })
        }
        // One that is required was refused before; without an agent to forward, BuildKit mounts nothing.
        MountKind::Ssh { .. } => return Ok(()),
    };
    spec.mounts.push(Mount {
        target: mount.target.clone(),
        kind,
    });
    Ok(())
}

fn cache_sharing(sharing: kiln_dockerfile::mount::Sharing) -> CacheSharing {
    use kiln_dockerfile::mount::Sharing;
    match sharing {
        Sharing::Shared => CacheSharing::Shared,
        Sharing::Private => CacheSharing::Private,
        Sharing::Locked => CacheSharing::Locked,
    }
}

/// How the run failed, if it did.
pub fn failure(outcome: &RunOutcome) -> Option<RunFailure> {
    match outcome {
        RunOutcome::Exited(Exit::Code(0)) => None,
        RunOutcome::Exited(Exit::Code(code)) => Some(RunFailure::Code(*code)),
        RunOutcome::Exited(Exit::Signal(signal)) => Some(RunFailure::Signal(*signal)),
        RunOutcome::Failed(failure) => Some(RunFailure::NotStarted(failure.clone())),
    }
}
