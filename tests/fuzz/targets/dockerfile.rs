//! A Dockerfile: parse, expand every variable, plan. Spans must lie in the text.
#![no_main]

use std::collections::BTreeMap;

use kiln_dockerfile::{Source, Span, parse};
use kiln_oci::{ImageConfig, Platform};
use kiln_plan::{BaseResolver, PlanRequest, ResolveError, plan};
use libfuzzer_sys::fuzz_target;

/// Knows two images; one has triggers.
struct Images;

impl BaseResolver for Images {
    fn image(&self, name: &str, _: &Platform) -> Result<Option<ImageConfig>, ResolveError> {
        let on_build = match name {
            "base" => "[]",
            "triggers" => r#"["COPY . /a", "RUN make ${x:-y}", "ARG x=1"]"#,
            _ => return Ok(None),
        };
        let json = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin","x"],"OnBuild":{on_build},
            "WorkingDir":"/w","Shell":["/bin/sh","-c"]}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        Ok(Some(ImageConfig::parse(json.as_bytes()).expect("a config")))
    }
}

fn check(source: &Source, span: Span) {
    assert!(span.start <= span.end && span.end as usize <= source.text().len());
    let _ = (
        source.slice(span),
        source.position(span.start),
        source.lines(span),
    );
}

fuzz_target!(|bytes: &[u8]| {
    let source = Source::from_bytes("Dockerfile", bytes);
    let dockerfile = match parse(&source) {
        Ok(dockerfile) => dockerfile,
        Err(error) => return check(&source, error.span),
    };
    for warning in &dockerfile.warnings {
        check(&source, warning.span);
    }
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let request = PlanRequest {
        build_args: BTreeMap::from([("x".to_owned(), "a b".to_owned())]),
        target: None,
        platform: platform.clone(),
        build_platform: platform,
        labels: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
    };
    match plan(&dockerfile, &request, &Images) {
        Ok(graph) => graph
            .warnings
            .iter()
            .for_each(|warning| check(&source, warning.span)),
        Err(error) => error.span.into_iter().for_each(|span| check(&source, span)),
    }
});
