//! Stages: names, order, what is dropped, ONBUILD, and what cannot be planned.

mod planning;

use kiln_plan::{Base, CopyFrom, MountKind, NamedContext};
use planning::{
    copies, planned, planned_with, request, runs, target, try_planned, value, with_contexts,
    with_target,
};

#[test]
fn unused_stages_are_dropped_and_their_bases_not_asked_for() {
    let text = "FROM nowhere AS a\nRUN x\nFROM busybox AS b\nRUN b\nFROM busybox AS c\nFROM b\nCOPY --from=2 /c /c";
    let graph = planned(text);
    let ordinals: Vec<_> = graph.stages.iter().map(|stage| stage.ordinal).collect();
    assert_eq!(ordinals, [1, 2, 3]);
    assert_eq!(graph.target, 2);
    assert!(matches!(graph.stages[2].base, Base::Stage(0)));
    assert_eq!(copies(&graph.stages[2])[0].from, CopyFrom::Stage(1));
}

#[test]
fn targets_are_found_by_name_in_any_case_and_by_number() {
    let text = "FROM busybox AS One\nFROM one AS two\nFROM two AS three";
    for (name, ordinal) in [("one", 0), ("TWO", 1), ("2", 2), ("", 2)] {
        let graph = planned_with(text, &with_target(name));
        assert_eq!(target(&graph).ordinal, ordinal, "{name}");
        assert_eq!(graph.stages.len(), ordinal + 1);
    }
}

#[test]
fn sources_are_stages_images_contexts_or_nothing() {
    let contexts = [
        ("extra", NamedContext::Directory),
        ("golang", NamedContext::Image("mine:1".to_owned())),
    ];
    let cases = [
        ("--from=a", CopyFrom::Stage(0)),
        ("--from=A", CopyFrom::Stage(0)),
        ("--from=0", CopyFrom::Stage(0)),
        ("--from=alpine:3", CopyFrom::Image("alpine:3".to_owned())),
        ("--from=scratch", CopyFrom::Scratch),
        ("--from=extra", CopyFrom::NamedContext("extra".to_owned())),
        (
            "--from=docker.io/library/golang:latest",
            CopyFrom::Image("mine:1".to_owned()),
        ),
        ("", CopyFrom::Context),
    ];
    for (flag, expected) in cases {
        let text = format!("FROM busybox AS a\nFROM a\nCOPY {flag} /x /y");
        let graph = planned_with(&text, &with_contexts(&contexts));
        assert_eq!(copies(target(&graph))[0].from, expected, "{flag}");
    }
}

#[test]
fn named_contexts_take_the_place_of_stages_and_bases() {
    let text = "FROM nowhere AS deps\nRUN x\nFROM other\nCOPY --from=deps /a /a\nRUN --mount=from=deps,target=/d b";
    let contexts = [
        ("deps", NamedContext::Directory),
        ("other", NamedContext::Image("busybox".to_owned())),
    ];
    let graph = planned_with(text, &with_contexts(&contexts));
    assert!(matches!(&graph.stages[0].base, Base::NamedContext(name) if name == "deps"));
    let stage = target(&graph);
    assert!(matches!(&stage.base, Base::Image { name, .. } if name == "busybox"));
    let MountKind::Bind { from, .. } = &runs(stage)[0].mounts[0].kind else {
        panic!("a bind mount")
    };
    assert_eq!(*from, CopyFrom::Stage(0));
    assert!(graph.stages[0].steps.is_empty());
}

#[test]
fn triggers_of_an_image_run_first_in_the_stage() {
    let graph = planned("FROM busybox AS tools\nFROM trigger\nRUN last");
    assert_eq!(
        graph.stages.len(),
        2,
        "the trigger's COPY --from brings its stage along"
    );
    let stage = target(&graph);
    assert_eq!(copies(stage)[0].from, CopyFrom::Stage(0));
    let steps = runs(stage);
    assert_eq!(steps[0].argv, ["/bin/sh", "-c", "echo $T\n"]);
    assert_eq!(value(&steps[1].env, "T"), Some("1"));
    assert!(stage.config.on_build.is_empty());
    let flags: Vec<_> = stage
        .steps
        .iter()
        .map(|step| step.source.on_build)
        .collect();
    assert_eq!(flags, [true, true, true, false]);
}

#[test]
fn triggers_of_a_stage_run_in_stages_on_it_only_once() {
    let text = "FROM busybox AS a\nONBUILD RUN <<E\necho\nE\nONBUILD ENV X=1\nFROM a AS b\nFROM b";
    let graph = planned(text);
    let counts: Vec<_> = graph.stages.iter().map(|stage| runs(stage).len()).collect();
    assert_eq!(counts, [0, 1, 0]);
    assert_eq!(
        graph.stages[0].config.on_build,
        ["RUN <<E\necho\nE", "ENV X=1"]
    );
    assert_eq!(value(&target(&graph).config.env, "X"), Some("1"));
    assert!(target(&graph).config.on_build.is_empty());
}

#[test]
fn mistakes_point_at_their_place() {
    let cases = [
        ("ARG X", "\"\" the Dockerfile has no stages to build"),
        (
            "RUN x\nFROM busybox",
            "\"RUN x\" no build stage in current context",
        ),
        ("FROM $X", "\"$X\" base name `$X` should not be blank"),
        (
            "FROM ${X?unset}",
            "\"${X?unset}\" failed to process `${X?unset}`: X: unset",
        ),
        ("FROM nowhere", "\"nowhere\" image `nowhere` not found"),
        (
            "FROM busybox AS base1\nFROM base2",
            "\"base2\" image `base2` not found (did you mean base1?)",
        ),
        ("FROM UPPER", "\"UPPER\" invalid image name `UPPER`"),
        (
            "FROM broken",
            "\"broken\" cannot read image `broken`: disk on fire",
        ),
        (
            "FROM --platform=a/b/c/d busybox",
            "\"a/b/c/d\" invalid platform `a/b/c/d`",
        ),
        (
            "FROM busybox\nCOPY --from=7 a b",
            "\"7\" invalid stage index 7",
        ),
        (
            "FROM busybox\nCOPY --from=-1 a b",
            "\"-1\" invalid stage index -1",
        ),
        (
            "FROM busybox\nARG X=a\nCOPY --from=$X a b",
            "\"$X\" variable expansion is not supported for --from",
        ),
        (
            "FROM busybox AS a\nCOPY --from=a a b",
            "\"a\" circular dependency detected on stage: a",
        ),
        (
            "FROM busybox AS a\nCOPY --from=b a b\nFROM a AS b\nFROM a",
            "\"b\" circular dependency detected on stage: b",
        ),
        (
            "FROM busybox AS a\nCOPY --from=b a b\nFROM busybox AS b\nFROM a",
            "\"b\" cannot copy from stage `b`, it needs to be defined before the current stage",
        ),
        (
            "FROM busybox\nENV A=1 ${B}=x",
            "\"${B}\" ENV names can not be blank",
        ),
        (
            "FROM busybox\nENV A='b",
            "\"'b\" failed to process `'b`: unexpected end of statement",
        ),
        (
            "FROM busybox\nEXPOSE 80 http",
            "\"http\" invalid port `http`",
        ),
        (
            "FROM busybox\nSTOPSIGNAL NOPE",
            "\"NOPE\" invalid signal `NOPE`",
        ),
        (
            "FROM busybox\nVOLUME a $B",
            "\"$B\" VOLUME specified can not be an empty string",
        ),
        (
            "FROM busybox\nCOPY https://a/b /c",
            "\"https://a/b\" source can't be a URL for COPY",
        ),
        (
            "FROM busybox\nCOPY --chmod=wat a b",
            "\"wat\" invalid syntax in --chmod=`wat`",
        ),
        (
            "FROM busybox\nADD --checksum=sha256:1 a b",
            "\"a\" checksum requires HTTP(S) or Git sources",
        ),
        (
            "FROM busybox\nADD --checksum=x http://a b c",
            "\"x\" checksum can't be specified for multiple sources",
        ),
        (
            "FROM busybox\nADD --checksum=x http://a c",
            "\"x\" invalid checksum `x`",
        ),
        (
            "FROM busybox\nRUN --mount=type=tmpfs x",
            "\"type=tmpfs\" invalid mount target `/`",
        ),
        (
            "FROM busybox\nRUN --mount=type=nope x",
            "\"type=nope\" unsupported mount type `nope`",
        ),
        (
            "FROM busybox\nRUN --mount=target=${X:?no} x",
            "\"target=${X:?no}\" in mount option `target`: X: no",
        ),
        (
            "FROM badtrigger",
            "\"badtrigger\" in the base's ONBUILD trigger `RUNN x`: unknown instruction: RUNN",
        ),
        (
            "FROM twotrigger",
            "\"twotrigger\" in the base's ONBUILD trigger `RUN x\nRUN y`",
        ),
    ];
    for (text, expected) in cases {
        let message = try_planned(text, &request()).expect_err(text);
        assert!(
            message.starts_with(expected),
            "{text}\n  got      {message}\n  expected {expected}"
        );
    }
}

#[test]
fn unknown_target_is_refused_with_a_guess() {
    let message =
        try_planned("FROM busybox AS build", &with_target("biuld")).expect_err("no such stage");
    assert_eq!(
        message,
        "\"\" target stage `biuld` could not be found (did you mean build?)"
    );
}

#[test]
fn mistakes_of_unused_stages_do_not_matter() {
    let graph =
        planned("FROM busybox AS a\nRUN --mount=type=nope x\nCOPY --chmod=wat a b\nFROM busybox");
    assert_eq!(graph.stages.len(), 1);
}

#[test]
fn labels_of_the_request_win_on_the_target_only() {
    let mut request = request();
    request.labels.insert("l".to_owned(), "request".to_owned());
    let graph = planned_with("FROM busybox AS a\nLABEL l=file\nFROM a", &request);
    assert_eq!(graph.stages[0].config.labels["l"], "file");
    assert_eq!(target(&graph).config.labels["l"], "request");
}

#[test]
fn names_given_twice_or_reserved_are_warned_of() {
    let graph = planned("FROM busybox AS a\nFROM busybox AS a\nFROM busybox AS context");
    let rules: Vec<_> = graph
        .warnings
        .iter()
        .map(|warning| warning.rule.name())
        .collect();
    assert_eq!(rules, ["DuplicateStageName", "ReservedStageName"]);
}

#[test]
fn hostile_growth_is_refused() {
    let text = format!(
        "FROM busybox\nENV A={}\n{}",
        "x".repeat(500_000),
        "RUN a\n".repeat(1_000)
    );
    let message = try_planned(&text, &request()).expect_err("half a gigabyte of environments");
    assert!(message.contains("are larger than"), "{message}");
    let doubling = "FROM busybox\nENV A=xxxxxxxx\n".to_owned() + &"ENV A=$A$A\n".repeat(64);
    let message = try_planned(&doubling, &request()).expect_err("a word beyond the bound");
    assert!(message.contains("word is longer"), "{message}");
    let discarded = "FROM busybox\n".to_owned()
        + &format!("ENV A={}\n", "x".repeat(1_000_000))
        + &"LABEL l=${U+$A}${A##*y}\n".repeat(2_000);
    let message = try_planned(&discarded, &request()).expect_err("work without end");
    assert!(
        message.contains("expensive") || message.contains("larger"),
        "{message}"
    );
    let text = "FROM busybox\n".to_owned() + &"EXPOSE 1-65535\n".repeat(1_000);
    let message = try_planned(&text, &request()).expect_err("ports without end");
    assert!(message.contains("are larger than"), "{message}");
}
