//! What is in force at a point of a stage.

use std::collections::HashSet;

use kiln_dockerfile::words::Variables;
use kiln_oci::{ContainerConfig, ImageConfig, Platform};

use crate::environment::Environment;
use crate::path;

/// PATH of images that set none, as Docker has it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The state of a stage.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// ENV and ARG together, the way words and RUN see them.
    pub variables: Environment,
    /// The config's ENV; `config.env` is filled from it in the end.
    env: Environment,
    pub config: ContainerConfig,
    pub author: Option<String>,
    pub platform: Platform,
    /// ARG in order of declaration, values as declared.
    args: Vec<(String, String)>,
    declared: HashSet<String>,
    pub cmd_set: bool,
    pub entrypoint_set: bool,
    pub healthcheck_set: bool,
    pub workdir_set: bool,
}

impl State {
    /// The start of a stage on scratch or on a plain directory: `/` is its working directory, as in BuildKit.
    pub(crate) fn of_nothing(platform: Platform) -> Self {
        let mut image = ImageConfig::default();
        "/".clone_into(&mut image.config.working_dir);
        Self::of_image(&image, platform)
    }

    /// The start of a stage on an image.
    pub(crate) fn of_image(image: &ImageConfig, platform: Platform) -> Self {
        let mut state = Self {
            variables: Environment::default(),
            env: Environment::from_list(&image.config.env),
            config: image.config.clone(),
            author: image.author.clone(),
            platform,
            args: Vec::new(),
            declared: HashSet::new(),
            cmd_set: false,
            entrypoint_set: false,
            healthcheck_set: false,
            workdir_set: false,
        };
        state.begin();
        state
    }

    /// The start of a stage on this one.
    pub(crate) fn inherited(&self) -> Self {
        let mut state = self.clone();
        (state.cmd_set, state.entrypoint_set, state.healthcheck_set) = (false, false, false);
        state.begin();
        state
    }

    fn begin(&mut self) {
        self.config.on_build.clear();
        self.config.env.clear();
        if self.env.get("PATH").is_none() && self.platform.os != "windows" {
            self.env.set("PATH", DEFAULT_PATH);
        }
        for (name, value) in self.env.pairs() {
            self.variables.set(name, value);
        }
        if !self.config.working_dir.is_empty() {
            self.config.working_dir = path::join_workdir("/", &self.config.working_dir);
        }
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
        self.env.set(name, value);
    }

    /// Declares an ARG; one without a value is only known by name.
    pub(crate) fn set_arg(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.variables.set(name, value);
        }
        if self.declared.insert(name.to_owned()) {
            self.args.push((name.to_owned(), String::new()));
        }
        if let (Some(value), Some(arg)) =
            (value, self.args.iter_mut().find(|(known, _)| known == name))
        {
            value.clone_into(&mut arg.1);
        }
    }

    /// Declared arguments with the values that RUN sees.
    pub(crate) fn args(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.args
            .iter()
            .map(|(name, value)| (name.as_str(), self.variables.get(name).unwrap_or(value)))
    }

    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// Absolute and clean.
    pub(crate) fn workdir(&self) -> &str {
        let path = self.config.working_dir.trim_end_matches('/');
        if path.is_empty() { "/" } else { path }
    }

    /// The words before a command given as text.
    pub(crate) fn with_shell(&self, command: String) -> Vec<String> {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut words = self
            .config
            .shell
            .clone()
            .filter(|shell| !shell.is_empty())
            .unwrap_or_else(default);
        words.push(command);
        words
    }

    pub(crate) fn finished_config(&self) -> ContainerConfig {
        ContainerConfig {
            env: self.env.to_list(),
            ..self.config.clone()
        }
    }
}
