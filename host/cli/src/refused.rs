//! Flags of docker that Kiln knows of and does not have: each gets a reason, and a way to reach the same end where
//! there is one. Nothing is taken and then ignored.

use crate::failure::Failure;

/// Flag, why it is refused, and what to do instead (may be empty).
type Row = (&'static str, &'static str, &'static str);

const NO_REGISTRY: &str = "this version cannot talk to registries";

const BUILD: &[Row] = &[
    (
        "--pull",
        NO_REGISTRY,
        "bring newer base images in with `kiln load` or `kiln import`",
    ),
    (
        "--push",
        NO_REGISTRY,
        "`kiln save NAME | docker load`, or push the archive with another tool",
    ),
    (
        "--load",
        "images always go to Kiln's own store",
        "for docker: `kiln save NAME | docker load`",
    ),
    (
        "--output",
        "other outputs than Kiln's own store are not done yet",
        "use `kiln save` after the build",
    ),
    (
        "-o",
        "other outputs than Kiln's own store are not done yet",
        "use `kiln save` after the build",
    ),
    (
        "--cache-from",
        "external caches are not done yet",
        "the local cache needs no flag",
    ),
    (
        "--cache-to",
        "external caches are not done yet",
        "the local cache needs no flag",
    ),
    (
        "--no-cache-filter",
        "only the whole cache can be switched off yet",
        "use --no-cache",
    ),
    (
        "--ssh",
        "SSH agents cannot be forwarded yet",
        "give a key with --secret",
    ),
    (
        "--squash",
        "layers cannot be squashed",
        "use a second stage with COPY --from",
    ),
    ("--compress", "there is no daemon to send a context to", ""),
    ("--isolation", "every build runs in its own VM", ""),
    ("--security-opt", "every build runs in its own VM", ""),
    (
        "--allow",
        "every build runs in its own VM, where RUN --security=insecure needs no permission",
        "",
    ),
    (
        "--ulimit",
        "limits of a RUN cannot be changed yet",
        "use `ulimit` in the RUN itself",
    ),
    (
        "--shm-size",
        "the size of /dev/shm cannot be changed yet",
        "use RUN --mount=type=tmpfs,size=…",
    ),
    (
        "--cgroup-parent",
        "the VM has cgroups of its own",
        "use -m and --cpus for the VM",
    ),
    (
        "--cpu-shares",
        "the VM has cgroups of its own",
        "use --cpus for the VM",
    ),
    (
        "--cpu-quota",
        "the VM has cgroups of its own",
        "use --cpus for the VM",
    ),
    (
        "--cpu-period",
        "the VM has cgroups of its own",
        "use --cpus for the VM",
    ),
    (
        "--cpuset-cpus",
        "the VM has cgroups of its own",
        "use --cpus for the VM",
    ),
    (
        "--cpuset-mems",
        "the VM has cgroups of its own",
        "use -m for the VM",
    ),
    ("--memory-swap", "the VM has no swap", "use -m for the VM"),
    (
        "--annotation",
        "annotations are not done yet",
        "use --label",
    ),
    ("--attest", "attestations are not done yet", ""),
    ("--provenance", "attestations are not done yet", ""),
    ("--sbom", "attestations are not done yet", ""),
    (
        "--metadata-file",
        "metadata files are not done yet",
        "use --iidfile and `kiln inspect`",
    ),
    (
        "--builder",
        "there are no builders to choose from: each build has a VM of its own",
        "",
    ),
    ("--call", "checks alone are not done yet", ""),
    ("--policy", "policies are not done yet", ""),
    ("--debug", "debugging a build is not done yet", ""),
    ("-D", "debugging a build is not done yet", ""),
];

const NO_TERMINAL: &str = "the command gets no input and no terminal yet";
const NO_VOLUMES: &str = "folders of the host are never mounted into the VM";
const NO_NETWORK: &str = "the VM has no network yet";
const NO_DAEMON: &str = "nothing runs on after the command";

const RUN: &[Row] = &[
    ("-i", NO_TERMINAL, ""),
    ("--interactive", NO_TERMINAL, ""),
    ("-t", NO_TERMINAL, ""),
    ("--tty", NO_TERMINAL, ""),
    ("-v", NO_VOLUMES, "COPY what is needed into the image"),
    ("--volume", NO_VOLUMES, "COPY what is needed into the image"),
    ("--mount", NO_VOLUMES, "COPY what is needed into the image"),
    ("-p", NO_NETWORK, ""),
    ("-P", NO_NETWORK, ""),
    ("--publish", NO_NETWORK, ""),
    ("-d", NO_DAEMON, ""),
    ("--detach", NO_DAEMON, ""),
    ("--name", NO_DAEMON, ""),
    ("--restart", NO_DAEMON, ""),
    ("--privileged", "the VM is all there is to protect", ""),
    (
        "--pull",
        NO_REGISTRY,
        "bring images in with `kiln load` or `kiln import`",
    ),
    ("--platform", "an image says itself what it is for", ""),
];

const OTHER: &[(&str, Row)] = &[
    ("images", ("--tree", "the tree view is not done yet", "")),
    (
        "inspect",
        ("--type", "there is nothing but images to inspect", ""),
    ),
    ("inspect", ("-s", "sizes are always shown", "")),
    ("inspect", ("--size", "sizes are always shown", "")),
    ("save", ("--platform", "an image is for one platform", "")),
    ("load", ("--platform", "an image is for one platform", "")),
    ("rmi", ("--no-prune", "images have no parents to keep", "")),
    ("prune", ("--volumes", "there are no volumes", "")),
    ("prune", ("--filter", "filters are not done yet", "")),
    ("system", ("--volumes", "there are no volumes", "")),
    ("system", ("--filter", "filters are not done yet", "")),
];

/// The refusal of `flag` (with or without its value) for `command`, if docker has that flag.
#[must_use]
pub fn find(command: &str, flag: &str) -> Option<Failure> {
    let name = flag.split('=').next().unwrap_or(flag);
    let rows = match command {
        "build" => BUILD,
        "run" => RUN,
        _ => &[],
    };
    let others = OTHER
        .iter()
        .filter(|(owner, _)| *owner == command)
        .map(|(_, row)| row);
    let (flag, reason, instead) = rows
        .iter()
        .chain(others)
        .find(|(known, ..)| *known == name)?;
    let failure = Failure::usage(format!("{flag} is not supported: {reason}"));
    Some(if instead.is_empty() {
        failure
    } else {
        failure.hint(*instead)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Terminal;

    #[test]
    fn a_flag_of_docker_is_refused_with_its_reason() {
        let report = find("build", "--push").map(|failure| failure.render(&Terminal::PLAIN));
        assert_eq!(
            report.as_deref(),
            Some(
                "error: --push is not supported: this version cannot talk to registries\n\
                 hint: `kiln save NAME | docker load`, or push the archive with another tool\n"
            )
        );
        assert!(find("build", "--output=type=local").is_some());
        assert!(find("build", "--nonsense").is_none());
        assert!(find("rmi", "--no-prune").is_some());
    }

    #[test]
    fn nothing_that_is_accepted_is_refused() {
        let commands = crate::arguments::command();
        for (command, rows) in [("build", BUILD), ("run", RUN)] {
            let command = commands.find_subcommand(command).expect("exists");
            for (flag, ..) in rows {
                let accepted = command.get_arguments().any(|argument| {
                    let long = argument
                        .get_long()
                        .is_some_and(|long| format!("--{long}") == *flag);
                    long || argument
                        .get_short()
                        .is_some_and(|short| format!("-{short}") == *flag)
                });
                assert!(!accepted, "{flag}");
            }
        }
    }
}
