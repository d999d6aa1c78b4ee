//! Single instructions: commands, mounts, copies, config and history.

mod planning;

use kiln_dockerfile::mount::Sharing;
use kiln_plan::{CopyFrom, CopySourceKind, MountKind, Network, Security, StepKind};
use planning::{config, copies, planned, request, runs, strings, target, try_planned};

fn argv(run: &str) -> Vec<String> {
    let graph = planned(&format!("FROM busybox\n{run}"));
    runs(target(&graph))[0].argv.clone()
}

#[test]
fn commands_take_the_shell_and_their_heredocs() {
    let cases: [(&str, &[&str]); 8] = [
        ("RUN echo $x  'y'", &["/bin/sh", "-c", "echo $x  'y'"]),
        (r#"RUN ["a", "b c"]"#, &["a", "b c"]),
        ("RUN", &["/bin/sh", "-c", ""]),
        ("SHELL [\"bash\", \"-lc\"]\nRUN a", &["bash", "-lc", "a"]),
        ("RUN <<EOF\necho $a\nEOF", &["/bin/sh", "-c", "echo $a\n"]),
        (
            "RUN <<-EOF\n\techo a\n\tEOF",
            &["/bin/sh", "-c", "echo a\n"],
        ),
        (
            "RUN cat <<A <<'B'\n1\nA\n2\nB",
            &["/bin/sh", "-c", "cat <<A <<'B'\n1\nA\n2\nB"],
        ),
        (
            "RUN <<'EOF'\n#!/bin/awk\nx\nEOF",
            &["/bin/sh", "-c", "/dev/pipes/EOF"],
        ),
    ];
    for (run, expected) in cases {
        assert_eq!(argv(run), expected, "{run}");
    }
}

#[test]
fn script_heredoc_becomes_a_file() {
    let graph = planned("FROM busybox\nRUN <<EOF\n#!/bin/awk\nx\nEOF");
    let step = &target(&graph).steps[0];
    assert_eq!(step.source.text, "RUN <<EOF (#!/bin/awk...)");
    let run = runs(target(&graph))[0];
    assert_eq!(run.files[0].path, "/dev/pipes/EOF");
    assert_eq!(run.files[0].content, b"#!/bin/awk\nx\n");
}

#[test]
fn runs_know_user_directory_network_and_security() {
    let text = "FROM base\nRUN a\nUSER 1:2\nWORKDIR sub/\nRUN --network=none --security=insecure b";
    let graph = planned(text);
    let steps = runs(target(&graph));
    assert_eq!(
        (steps[0].user.as_str(), steps[0].workdir.as_str()),
        ("app", "/home/app")
    );
    assert_eq!(steps[0].argv[0], "/bin/bash");
    assert_eq!(
        (steps[0].network, steps[0].security),
        (Network::Default, Security::Sandbox)
    );
    assert_eq!(
        (steps[1].user.as_str(), steps[1].workdir.as_str()),
        ("1:2", "/home/app/sub")
    );
    assert_eq!(
        (steps[1].network, steps[1].security),
        (Network::None, Security::Insecure)
    );
    assert_eq!(
        runs(target(&planned("FROM scratch\nRUN a")))[0].workdir,
        "/"
    );
}

#[test]
fn mounts_have_their_defaults_and_absolute_targets() {
    let text = "FROM busybox AS s\nFROM busybox\nWORKDIR /w\nARG N=npm\n\
        RUN --mount=target=src,from=s,source=out \
        --mount=type=cache,target=/root/.$N,sharing=locked,uid=7 \
        --mount=type=tmpfs,dst=/t,size=1k,ro \
        --mount=type=secret,id=a/tok --mount=type=secret,id=e,env=TOKEN --mount=type=secret,target=/s/x,required \
        --mount=type=ssh --mount=type=ssh,id=k,mode=0660 --mount=type=bind,rw,target=/rw x";
    let graph = planned(text);
    let mounts = &runs(target(&graph))[0].mounts;
    let targets: Vec<_> = mounts
        .iter()
        .map(|mount| (mount.target.as_str(), mount.read_only))
        .collect();
    let expected = [
        ("/w/src", true),
        ("/root/.npm", false),
        ("/t", true),
        ("/run/secrets/tok", true),
        ("", true),
        ("/s/x", true),
        ("/run/buildkit/ssh_agent.0", true),
        ("/run/buildkit/ssh_agent.1", true),
        ("/rw", false),
    ];
    assert_eq!(targets, expected);
    assert_eq!(
        mounts[0].kind,
        MountKind::Bind {
            from: CopyFrom::Stage(0),
            source: "/out".to_owned()
        }
    );
    let MountKind::Cache {
        id,
        from,
        sharing,
        mode,
        uid,
        ..
    } = &mounts[1].kind
    else {
        panic!("a cache")
    };
    assert_eq!(
        (id.as_str(), from, *sharing, *mode, *uid),
        ("/root/.npm", &None, Sharing::Locked, 0o755, 7)
    );
    assert_eq!(mounts[2].kind, MountKind::Tmpfs { size: Some(1024) });
    let MountKind::Secret {
        id,
        env,
        required,
        mode,
        ..
    } = &mounts[4].kind
    else {
        panic!("a secret")
    };
    assert_eq!(
        (id.as_str(), env.as_deref(), *required, *mode),
        ("e", Some("TOKEN"), false, 0o400)
    );
    assert!(matches!(&mounts[5].kind, MountKind::Secret { id, required: true, .. } if id == "x"));
    assert!(matches!(&mounts[7].kind, MountKind::Ssh { id, mode: 0o660, .. } if id == "k"));
    assert_eq!(
        mounts[8].kind,
        MountKind::Bind {
            from: CopyFrom::Context,
            source: "/".to_owned()
        }
    );
}

#[test]
fn mounts_that_make_no_sense_are_refused() {
    let cases = [
        (
            "type=bind,target=/a,mode=0600",
            "mount option `mode` is not for type `bind`",
        ),
        (
            "target=/a,sharing=locked",
            "mount option `sharing` is not for type `bind`",
        ),
        (
            "type=cache,target=/a,sharing=both",
            "invalid value for mount option `sharing`: both",
        ),
        ("type=secret", "a secret mount needs"),
        (
            "type=secret,id=a,source=b",
            "a secret mount takes `id` or `source`",
        ),
        (
            "type=secret,id=a,from=busybox",
            "mount option `from` is not for type `secret`",
        ),
        ("target", "mount option `target` needs a value"),
        ("targt=/a", "unexpected mount option `targt`"),
        (
            "type=cache,target=/a,uid=-1",
            "invalid value for mount option `uid`: -1",
        ),
        (
            "type=tmpfs,target=/a,size=1x",
            "invalid value for mount option `size`: 1x",
        ),
    ];
    for (mount, expected) in cases {
        let message = try_planned(&format!("FROM busybox\nRUN --mount={mount} x"), &request())
            .expect_err(mount);
        assert!(message.contains(expected), "{mount}: {message}");
    }
}

#[test]
fn copies_are_expanded_and_their_destination_absolute() {
    let text = "FROM busybox\nWORKDIR /w\nARG A=x M=u=rwX\n\
        COPY --chown=$A:1 --chmod=$M --link --parents --exclude=*.$A --exclude=y $A ./b/ c/.\n\
        ADD --unpack=false [\"a b\", \"/\"]\nCOPY . .\nCOPY a b";
    let graph = planned(text);
    let steps = copies(target(&graph));
    let first = steps[0];
    assert_eq!(
        (first.chown.as_deref(), first.chmod.as_deref()),
        (Some("x:1"), Some("u=rwX"))
    );
    assert_eq!((first.add, first.link, first.parents), (false, true, true));
    assert_eq!(first.excludes, ["*.x", "y"]);
    let kinds: Vec<_> = first
        .sources
        .iter()
        .map(|source| source.kind.clone())
        .collect();
    assert_eq!(
        kinds,
        [
            CopySourceKind::Path("x".to_owned()),
            CopySourceKind::Path("./b/".to_owned())
        ]
    );
    let destinations: Vec<_> = steps.iter().map(|copy| copy.dest.as_str()).collect();
    assert_eq!(destinations, ["/w/c/", "/", "/w/", "/w/b"]);
    assert_eq!((steps[1].add, steps[1].unpack), (true, Some(false)));
    assert_eq!(
        steps[1].sources[0].kind,
        CopySourceKind::Path("a b".to_owned())
    );
}

#[test]
fn heredocs_of_copy_expand_unless_quoted() {
    let text =
        "FROM busybox\nENV A=1\nCOPY f <<a <<'b' <<-c /d/\n$A '$A' \\$A\na\n$A\nb\n\t$A\n\tc\n";
    let graph = planned(text);
    let kinds: Vec<_> = copies(target(&graph))[0]
        .sources
        .iter()
        .map(|source| source.kind.clone())
        .collect();
    let heredoc = |name: &str, content: &str| CopySourceKind::Heredoc {
        name: name.to_owned(),
        content: content.as_bytes().to_vec(),
    };
    let expected = [
        CopySourceKind::Path("f".to_owned()),
        heredoc("a", "1 '1' $A\n"),
        heredoc("b", "$A\n"),
        heredoc("c", "1\n"),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn remote_sources_of_add_are_told_apart() {
    let cases = [
        ("https://a/b.tar", "url"),
        ("http://a/b", "url"),
        ("https://a/b.git", "git"),
        ("https://a/b.git#main:dir", "git"),
        ("https://a/b.git?ref=x", "git"),
        ("git@github.com:a/b.git", "git"),
        ("git://a/b", "git"),
        ("ssh://git@a/b", "git"),
        ("github.com/a/b", "path"),
        ("b.git", "path"),
    ];
    for (source, expected) in cases {
        let graph = planned(&format!("FROM busybox\nADD {source} /x"));
        let kind = match &copies(target(&graph))[0].sources[0].kind {
            CopySourceKind::Path(_) => "path",
            CopySourceKind::Url(_) => "url",
            CopySourceKind::Git(_) => "git",
            CopySourceKind::Heredoc { .. } => "heredoc",
        };
        assert_eq!(kind, expected, "{source}");
    }
    let digest = "sha256:".to_owned() + &"0".repeat(64);
    let graph = planned(&format!(
        "FROM busybox\nADD --checksum={digest} https://a/b /x"
    ));
    assert_eq!(copies(target(&graph))[0].checksum, Some(digest));
}

#[test]
fn config_of_the_base_is_inherited() {
    let config = config("FROM base");
    assert_eq!(config.user, "app");
    assert_eq!(config.working_dir, "/home/app");
    assert_eq!(config.cmd, Some(strings(&["sh"])));
    assert_eq!(config.entrypoint, Some(strings(&["ep"])));
    assert_eq!(config.labels["l"], "base");
    assert!(config.exposed_ports.contains("1/tcp") && config.volumes.contains("/v"));
    let graph = planned("FROM base");
    assert_eq!(target(&graph).author.as_deref(), Some("base author"));
}

#[test]
fn entrypoint_takes_away_an_inherited_command_only() {
    let cases: [(&str, Option<&[&str]>); 4] = [
        ("FROM busybox\nENTRYPOINT [\"e\"]", None),
        (
            "FROM busybox\nCMD [\"c\"]\nENTRYPOINT [\"e\"]",
            Some(&["c"]),
        ),
        (
            "FROM busybox\nENTRYPOINT [\"e\"]\nCMD [\"c\"]",
            Some(&["c"]),
        ),
        (
            "FROM busybox AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]",
            None,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(config(text).cmd, expected.map(strings), "{text}");
    }
}

#[test]
fn shell_forms_of_the_config_use_the_shell_in_force() {
    let config =
        config("FROM busybox\nCMD a $b\nSHELL [\"sh\", \"-x\"]\nENTRYPOINT b\nHEALTHCHECK CMD c d");
    assert_eq!(config.cmd, Some(strings(&["/bin/sh", "-c", "a $b"])));
    assert_eq!(config.entrypoint, Some(strings(&["sh", "-x", "b"])));
    assert_eq!(config.healthcheck.expect("set").test, ["CMD-SHELL", "c d"]);
}

#[test]
fn workdirs_are_joined_and_only_real_ones_make_a_layer() {
    let graph = planned("FROM scratch\nWORKDIR a\nWORKDIR ../b//c\nUSER u\nWORKDIR /d/\nWORKDIR /");
    let stage = target(&graph);
    let paths: Vec<_> = stage
        .steps
        .iter()
        .map(|step| match &step.kind {
            StepKind::Workdir(workdir) => format!("{} {}", workdir.path, workdir.user),
            _ => format!("- {}", step.empty_layer),
        })
        .collect();
    assert_eq!(paths, ["/a ", "/b/c ", "- true", "/d u", "- true"]);
    assert_eq!(stage.config.working_dir, "/");
    assert_eq!(config("FROM scratch").working_dir, "/");
}

#[test]
fn history_reads_as_from_buildkit() {
    let text = "FROM busybox\nARG A=1 B\nENV X=a\\ b Y=2\nRUN echo $A\nRUN [\"a\", \"b\"]\nCOPY --chown=1 a b /c/\n\
        ADD <<f /g\nbody\nf\nLABEL k=v\nWORKDIR w\nUSER u\nEXPOSE 80 53/udp\nVOLUME /v /w\nSTOPSIGNAL TERM\n\
        SHELL [\"s\", \"-c\"]\nCMD [\"a\", \"b\\\"\"]\nENTRYPOINT x\nHEALTHCHECK --interval=90s --retries=2 CMD y\n\
        ONBUILD RUN z\nMAINTAINER me";
    let graph = planned(text);
    let history: Vec<_> = target(&graph)
        .steps
        .iter()
        .map(|step| (step.created_by.as_str(), step.empty_layer))
        .collect();
    let expected = [
        ("ARG A=1 B", true),
        ("ENV X=a b Y=2", true),
        ("RUN |2 A=1 B= /bin/sh -c echo $A # buildkit", false),
        ("RUN |2 A=1 B= a b # buildkit", false),
        ("COPY --chown=1 a b /c/ # buildkit", false),
        ("ADD <<f /g # buildkit", false),
        ("LABEL k=v", true),
        ("WORKDIR /w", false),
        ("USER u", true),
        ("EXPOSE [53/udp 80/tcp]", true),
        ("VOLUME [/v /w]", true),
        ("STOPSIGNAL TERM", true),
        ("SHELL [s -c]", true),
        ("CMD [\"a\" \"b\\\"\"]", true),
        ("ENTRYPOINT [\"s\" \"-c\" \"x\"]", true),
        (
            "HEALTHCHECK {Test:[CMD-SHELL y] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}",
            true,
        ),
        ("MAINTAINER me", true),
    ];
    assert_eq!(history, expected);
}

#[test]
fn lint_findings_of_a_stage() {
    let text =
        "FROM busybox\nWORKDIR a\nWORKDIR b\nCMD x\nCMD [\"y\"]\nSHELL [\"s\"]\nENTRYPOINT z";
    let rules: Vec<_> = planned(text)
        .warnings
        .iter()
        .map(|warning| warning.rule.name())
        .collect();
    assert_eq!(
        rules,
        [
            "WorkdirRelativePath",
            "JSONArgsRecommended",
            "MultipleInstructionsDisallowed"
        ]
    );
}
