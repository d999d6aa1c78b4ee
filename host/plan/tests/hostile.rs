//! Damaged Dockerfiles that still parse: the planner answers, whatever they say.

mod planning;

use kiln_plan::NamedContext;
use planning::{request, try_planned};

/// Lines that are put together in any order; most of the results make no sense.
const LINES: [&str; 34] = [
    "FROM busybox AS a",
    "FROM a AS b",
    "FROM b AS a",
    "FROM scratch",
    "FROM trigger AS tools",
    "FROM tools",
    "FROM base AS c",
    "FROM extra",
    "FROM $X AS x",
    "ARG X=busybox",
    "ARG X",
    "ARG Y=${X:-y} X=$Y",
    "ENV X=$Y Y=$X",
    "ENV X ${X%%x*}${X//a/$X}",
    "COPY --from=a /x /y",
    "COPY --from=0 /x ./",
    "COPY --from=2 /x $X",
    "COPY --from=extra . .",
    "COPY <<E <<'F' /d\n$X\nE\n$Y\nF",
    "ADD --chmod=u+x $X https://x/y.git /z",
    "RUN --mount=from=b,target=m --mount=type=cache,target=$X x",
    "RUN --mount=from='a',target=m x",
    "RUN --mount=type=secret,id=$X,env=S x",
    "RUN <<E\n#!/bin/sh\nE",
    "ONBUILD COPY --from=b /x /y",
    "ONBUILD RUN <<E\nx\nE",
    "ONBUILD ARG X=1",
    "WORKDIR $X/..",
    "USER $X",
    "EXPOSE $X 1-3",
    "VOLUME $X",
    "LABEL $X=$Y",
    "ENTRYPOINT x",
    "STOPSIGNAL $X",
];

#[test]
fn lines_in_any_order_are_survived() {
    let mut seed: u64 = 7;
    let mut below = |bound: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let (mut planned, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut text = "FROM busybox AS first\n".to_owned();
        for _ in 0..below(12) {
            text.push_str(LINES[below(LINES.len())]);
            text.push('\n');
        }
        let mut request = request();
        request
            .named_contexts
            .insert("extra".to_owned(), NamedContext::Directory);
        if round % 3 == 0 {
            request
                .build_args
                .insert("X".to_owned(), "busybox".to_owned());
            request.target = Some(below(4).to_string());
        }
        match try_planned(&text, &request) {
            Ok(graph) => {
                planned += 1;
                assert!(graph.target < graph.stages.len());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        planned > 1_000 && refused > 1_000,
        "{planned} planned, {refused} refused"
    );
}
