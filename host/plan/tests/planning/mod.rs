//! Plans a Dockerfile given as text, on a handful of base images.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use kiln_dockerfile::{Source, parse};
use kiln_oci::{ContainerConfig, ImageConfig, Platform};
use kiln_plan::{
    BaseResolver, BuildGraph, CopyStep, NamedContext, PlanRequest, ResolveError, RunStep, Stage,
    StepKind, plan,
};

/// `base` has a config of everything, `trigger` has ONBUILD, `old` has no PATH; others do not exist.
struct Images;

impl BaseResolver for Images {
    fn image(&self, name: &str, platform: &Platform) -> Result<Option<ImageConfig>, ResolveError> {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let mut config = ContainerConfig {
            env: words(&["PATH=/bin"]),
            cmd: Some(words(&["sh"])),
            ..Default::default()
        };
        match name {
            "busybox" => {}
            "old" => config.env = words(&["A"]),
            "trigger" => {
                config.on_build =
                    words(&["ARG T=1", "COPY --from=tools /t /t", "RUN <<E\necho $T\nE"]);
            }
            "badtrigger" => config.on_build = words(&["RUNN x"]),
            "twotrigger" => config.on_build = words(&["RUN x\nRUN y"]),
            "base" => {
                config.env = words(&["PATH=/bin", "A=base", "B=base"]);
                config.user = "app".to_owned();
                config.working_dir = "/home/app".to_owned();
                config.entrypoint = Some(words(&["ep"]));
                config.shell = Some(words(&["/bin/bash", "-c"]));
                config.labels.insert("l".to_owned(), "base".to_owned());
                config.exposed_ports.insert("1/tcp".to_owned());
                config.volumes.insert("/v".to_owned());
            }
            "broken" => {
                let source = std::io::Error::other("disk on fire").into();
                return Err(ResolveError {
                    name: name.to_owned(),
                    source,
                });
            }
            _ => return Ok(None),
        }
        let Platform {
            os,
            architecture,
            variant,
        } = platform.clone();
        let author = Some("base author".to_owned()).filter(|_| name == "base");
        Ok(Some(ImageConfig {
            config,
            os,
            architecture,
            variant,
            author,
            ..Default::default()
        }))
    }
}

/// A request that asks for nothing special, on amd64.
pub fn request() -> PlanRequest {
    let amd64: Platform = "linux/amd64".parse().expect("a platform");
    PlanRequest {
        build_args: BTreeMap::new(),
        target: None,
        platform: amd64.clone(),
        build_platform: amd64,
        labels: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
    }
}

pub fn with_args(args: &[(&str, &str)]) -> PlanRequest {
    let build_args = args
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    PlanRequest {
        build_args,
        ..request()
    }
}

pub fn with_target(target: &str) -> PlanRequest {
    PlanRequest {
        target: Some(target.to_owned()),
        ..request()
    }
}

pub fn with_contexts(contexts: &[(&str, NamedContext)]) -> PlanRequest {
    let named_contexts = contexts
        .iter()
        .map(|(name, context)| ((*name).to_owned(), context.clone()))
        .collect();
    PlanRequest {
        named_contexts,
        ..request()
    }
}

/// What became of a Dockerfile, or the chain of what is wrong with it.
pub fn try_planned(text: &str, request: &PlanRequest) -> Result<BuildGraph, String> {
    let dockerfile = parse(&Source::new("Dockerfile", text)).map_err(|error| error.to_string())?;
    plan(&dockerfile, request, &Images).map_err(|error| {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        let place = error
            .span
            .map(|span| dockerfile.source.slice(span).to_owned())
            .unwrap_or_default();
        format!(
            "{place:?} {message}{}",
            error
                .hint
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default()
        )
    })
}

pub fn planned_with(text: &str, request: &PlanRequest) -> BuildGraph {
    try_planned(text, request).expect("the Dockerfile is fine")
}

pub fn planned(text: &str) -> BuildGraph {
    planned_with(text, &request())
}

pub fn target(graph: &BuildGraph) -> &Stage {
    &graph.stages[graph.target]
}

pub fn config(text: &str) -> ContainerConfig {
    target(&planned(text)).config.clone()
}

/// The RUN steps of a stage.
pub fn runs(stage: &Stage) -> Vec<&RunStep> {
    stage
        .steps
        .iter()
        .filter_map(|step| {
            if let StepKind::Run(run) = &step.kind {
                Some(run)
            } else {
                None
            }
        })
        .collect()
}

/// The COPY and ADD steps of a stage.
pub fn copies(stage: &Stage) -> Vec<&CopyStep> {
    stage
        .steps
        .iter()
        .filter_map(|step| {
            if let StepKind::Copy(copy) = &step.kind {
                Some(copy)
            } else {
                None
            }
        })
        .collect()
}

/// The value of `name` in a list of `NAME=value`.
pub fn value<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter()
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

pub fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|item| (*item).to_owned()).collect()
}
