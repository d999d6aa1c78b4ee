//! Which value a name has where: ARG, ENV, `--build-arg`, platforms.

mod planning;

use planning::{
    config, planned, planned_with, request, runs, target, value, with_args, with_target,
};

/// Name, Dockerfile, build arguments, and what X is.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

/// The value of X in the last RUN of the target.
fn x(text: &str, args: &[(&str, &str)]) -> Option<String> {
    let graph = planned_with(text, &with_args(args));
    let run = *runs(target(&graph)).last().expect("a RUN");
    value(&run.env, "X").map(str::to_owned)
}

#[test]
fn arguments_and_variables_follow_the_order_of_the_file() {
    let cases: [Case<'_>; 16] = [
        ("default", "FROM busybox\nARG X=1\nRUN a", &[], Some("1")),
        (
            "given",
            "FROM busybox\nARG X=1\nRUN a",
            &[("X", "2")],
            Some("2"),
        ),
        (
            "given empty",
            "FROM busybox\nARG X=1\nRUN a",
            &[("X", "")],
            Some(""),
        ),
        ("no value", "FROM busybox\nARG X\nRUN a", &[], None),
        ("not declared", "FROM busybox\nRUN a", &[("X", "2")], None),
        (
            "declared too late",
            "FROM busybox\nRUN a\nARG X=1",
            &[],
            None,
        ),
        ("global alone", "ARG X=1\nFROM busybox\nRUN a", &[], None),
        (
            "global declared again",
            "ARG X=1\nFROM busybox\nARG X\nRUN a",
            &[],
            Some("1"),
        ),
        (
            "global with other default",
            "ARG X=1\nFROM busybox\nARG X=2\nRUN a",
            &[],
            Some("2"),
        ),
        (
            "global given",
            "ARG X=1\nFROM busybox\nARG X\nRUN a",
            &[("X", "3")],
            Some("3"),
        ),
        (
            "ENV after ARG",
            "FROM busybox\nARG X=1\nENV X=2\nRUN a",
            &[("X", "3")],
            Some("2"),
        ),
        (
            "ARG after ENV",
            "FROM busybox\nENV X=2\nARG X=1\nRUN a",
            &[],
            Some("1"),
        ),
        (
            "ARG of the base stage",
            "FROM busybox AS a\nARG X=1\nFROM a\nRUN a",
            &[],
            Some("1"),
        ),
        (
            "ENV of the base stage wins",
            "FROM busybox AS a\nENV X=2\nARG X=1\nFROM a\nRUN a",
            &[],
            Some("2"),
        ),
        (
            "ARG of another stage",
            "FROM busybox AS a\nARG X=1\nFROM busybox\nRUN a",
            &[],
            None,
        ),
        (
            "defaults see earlier ones",
            "FROM busybox\nARG Y=1 X=${Y}2\nRUN a",
            &[],
            Some("12"),
        ),
    ];
    for (name, text, args, expected) in cases {
        assert_eq!(x(text, args).as_deref(), expected, "{name}");
    }
}

#[test]
fn globals_are_expanded_in_from_lines() {
    let graph = planned("ARG TAG=box\nARG IMAGE=busy$TAG\nFROM ${IMAGE:-no} AS a\nFROM a");
    assert_eq!(graph.stages.len(), 2);
    let graph = planned_with(
        "ARG IMAGE\nFROM ${IMAGE:-busybox}",
        &with_args(&[("IMAGE", "old")]),
    );
    assert_eq!(target(&graph).config.env[0], "A=");
}

#[test]
fn platform_names_exist_once_declared() {
    let text = "FROM --platform=$BUILDPLATFORM busybox\nRUN a\n\
        ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDARCH TARGETSTAGE\nRUN b";
    let mut request = request();
    request.platform = "linux/arm/v7".parse().expect("a platform");
    let graph = planned_with(text, &request);
    let stage = target(&graph);
    assert_eq!(stage.platform.to_string(), "linux/amd64");
    let steps = runs(stage);
    assert_eq!(value(&steps[0].env, "TARGETPLATFORM"), None);
    let expected = [
        ("TARGETPLATFORM", "linux/arm/v7"),
        ("TARGETOS", "linux"),
        ("TARGETARCH", "arm"),
        ("TARGETVARIANT", "v7"),
        ("BUILDPLATFORM", "linux/amd64"),
        ("BUILDARCH", "amd64"),
        ("TARGETSTAGE", "default"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(&steps[1].env, name), Some(expected), "{name}");
    }
}

#[test]
fn target_stage_is_the_one_asked_for() {
    let text = "FROM busybox AS a\nARG TARGETSTAGE\nRUN a\nFROM a AS b";
    let graph = planned_with(text, &with_target("a"));
    assert_eq!(
        value(&runs(target(&graph))[0].env, "TARGETSTAGE"),
        Some("a")
    );
    let graph = planned(text);
    assert_eq!(
        value(&runs(&graph.stages[0])[0].env, "TARGETSTAGE"),
        Some("b")
    );
}

#[test]
fn proxies_reach_every_run_outside_of_the_key() {
    let text = "FROM busybox\nRUN a\nARG http_proxy\nRUN b";
    let graph = planned_with(
        text,
        &with_args(&[("http_proxy", "http://p"), ("NO_PROXY", "x")]),
    );
    assert!(graph.warnings.is_empty(), "{:?}", graph.warnings);
    let steps = runs(target(&graph));
    assert_eq!(value(&steps[0].env, "http_proxy"), None);
    assert_eq!(
        steps[0].uncached_env,
        [
            "NO_PROXY=x",
            "no_proxy=x",
            "HTTP_PROXY=http://p",
            "http_proxy=http://p"
        ]
    );
    assert_eq!(value(&steps[1].env, "http_proxy"), Some("http://p"));
    assert_eq!(
        steps[1].uncached_env,
        ["NO_PROXY=x", "no_proxy=x", "HTTP_PROXY=http://p"]
    );
}

#[test]
fn build_arguments_that_nothing_declares_are_named() {
    let graph = planned_with(
        "ARG A\nFROM busybox AS x\nARG B\nFROM busybox",
        &with_args(&[
            ("A", "1"),
            ("B", "1"),
            ("C", "1"),
            ("D", "1"),
            ("BUILDKIT_INLINE_CACHE", "1"),
        ]),
    );
    let messages: Vec<_> = graph
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(messages, ["one or more build-args [C D] were not consumed"]);
}

#[test]
fn a_line_sees_the_values_from_before_it() {
    let config = config("FROM busybox\nENV A=1\nENV A=2 B=$A\nENV C=$A\nLABEL l=$A-$B m='$A'");
    assert_eq!(config.env, ["PATH=/bin", "A=2", "B=1", "C=2"]);
    assert_eq!(config.labels["l"], "2-1");
    assert_eq!(config.labels["m"], "$A");
}

#[test]
fn replaced_variables_keep_their_place_and_path_is_always_there() {
    assert_eq!(
        config("FROM base\nENV A=new Z=1 PATH=/x:$PATH").env,
        ["PATH=/x:/bin", "A=new", "B=base", "Z=1"]
    );
    let old = config("FROM old");
    assert_eq!(
        old.env,
        [
            "A=",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ]
    );
}

#[test]
fn undefined_names_are_pointed_at_with_a_guess() {
    let graph =
        planned("FROM busybox\nARG VERSION=1 EMPTY\nLABEL v=$VERSOIN e=$EMPTY d=${NONE:-x}");
    let messages: Vec<_> = graph
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["usage of undefined variable `$VERSOIN` (did you mean $VERSION?)"]
    );
}
