//! `kiln import --change`: Dockerfile instructions applied to an empty configuration. They are planned like a
//! Dockerfile on an image that sets nothing, so that each means exactly what it means there. (`FROM scratch` would
//! set a working directory.)

use std::collections::BTreeMap;

use kiln_dockerfile::Source;
use kiln_dockerfile::ast::InstructionKind;
use kiln_oci::{ContainerConfig, ImageConfig, Platform};
use kiln_plan::{BaseResolver, PlanRequest, ResolveError};

use crate::failure::{Exit, Failure};

/// What the instructions made.
#[derive(Debug, Default)]
pub struct Changed {
    /// The container part of the image's configuration.
    pub config: ContainerConfig,
    /// MAINTAINER.
    pub author: Option<String>,
}

/// The only image there is sets nothing.
struct EmptyImage;

impl BaseResolver for EmptyImage {
    fn image(&self, _name: &str, platform: &Platform) -> Result<Option<ImageConfig>, ResolveError> {
        Ok(Some(ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        }))
    }
}

/// Applies the instructions in order.
pub fn apply(changes: &[String], platform: &Platform) -> Result<Changed, Failure> {
    if changes.is_empty() {
        return Ok(Changed::default());
    }
    let mut text = String::from("FROM empty\n");
    for change in changes {
        check(change)?;
        text.push_str(change.trim());
        text.push('\n');
    }
    let wrong = |error: &(dyn std::error::Error + 'static)| Failure::of(Exit::Usage, error);
    let dockerfile =
        kiln_dockerfile::parse(&Source::new("--change", text)).map_err(|error| wrong(&error))?;
    let request = PlanRequest {
        build_args: BTreeMap::new(),
        target: None,
        platform: platform.clone(),
        build_platform: Platform::linux_host(),
        labels: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
    };
    let graph =
        kiln_plan::plan(&dockerfile, &request, &EmptyImage).map_err(|error| wrong(&error))?;
    let stage = &graph.stages[graph.target];
    Ok(Changed {
        config: stage.config.clone(),
        author: stage.author.clone(),
    })
}

/// One instruction, of those that only change the configuration.
fn check(change: &str) -> Result<(), Failure> {
    let wrong = || {
        Failure::usage(format!("--change `{change}` is not possible")).hint(
            "there are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, MAINTAINER, ONBUILD, SHELL, STOPSIGNAL, \
             USER, VOLUME and WORKDIR",
        )
    };
    let instruction =
        kiln_dockerfile::parse_trigger(change.trim(), kiln_dockerfile::Span::default())
            .map_err(|error| wrong().because(&error))?;
    match instruction.kind {
        InstructionKind::From(_)
        | InstructionKind::Run(_)
        | InstructionKind::Copy(_)
        | InstructionKind::Arg(_) => Err(wrong()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> Result<Changed, Failure> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        apply(&changes, &Platform::linux_host())
    }

    #[test]
    fn instructions_mean_what_they_mean_in_a_dockerfile() {
        let config = applied(&[
            "ENV PATH=/bin:/usr/bin A=1",
            "CMD [\"sh\"]",
            "entrypoint /bin/entry",
            "EXPOSE 80",
            "USER app",
            "WORKDIR /srv",
            "WORKDIR www",
            "LABEL a=b",
            "VOLUME /data",
        ])
        .expect("apply")
        .config;
        assert_eq!(config.env, ["PATH=/bin:/usr/bin", "A=1"]);
        assert_eq!(config.user, "app");
        assert_eq!(config.working_dir, "/srv/www");
        assert_eq!(
            config.entrypoint,
            Some(["/bin/sh", "-c", "/bin/entry"].map(str::to_owned).to_vec())
        );
        assert!(config.exposed_ports.contains("80/tcp"));
        assert!(config.volumes.contains("/data"));
        assert_eq!(config.labels.get("a").map(String::as_str), Some("b"));
    }

    #[test]
    fn working_directory_stays_unset_without_workdir() {
        let config = applied(&["CMD [\"sh\"]"]).expect("apply").config;
        assert_eq!(config.working_dir, "");
    }

    #[test]
    fn only_the_configuration_can_be_changed() {
        for change in [
            "RUN true",
            "COPY a b",
            "FROM x",
            "ARG a",
            "",
            "NONSENSE x",
            "ENV A=1\nRUN true",
            "# x",
        ] {
            assert!(applied(&[change]).is_err(), "{change}");
        }
        assert!(applied(&[]).is_ok());
    }
}
