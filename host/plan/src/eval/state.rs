//! What is in force at a point of a stage.

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
    args: Environment,
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
            args: Environment::default(),
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
        if value.is_some() || !self.is_declared(name) {
            self.args.set(name, value.unwrap_or_default());
        }
    }

    /// Declared arguments with the values that RUN sees.
    pub(crate) fn args(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let seen = |(name, value)| (name, self.variables.get(name).unwrap_or(value));
        self.args.pairs().map(seen)
    }

    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.args.get(name).is_some()
    }

    /// About how many bytes a copy of this takes.
    pub(crate) fn weight(&self) -> usize {
        let variables = self.variables.bytes() + self.env.bytes() + self.args.bytes();
        variables + config_weight(&self.config)
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

/// About how many bytes the texts of a config take.
pub(crate) fn config_weight(config: &ContainerConfig) -> usize {
    let labels = config
        .labels
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let lists = [&config.env, &config.on_build].into_iter().flatten();
    let commands = [&config.cmd, &config.entrypoint, &config.shell]
        .into_iter()
        .flatten()
        .flatten();
    let sets = config.volumes.iter().chain(&config.exposed_ports);
    labels.sum::<usize>()
        + lists
            .chain(commands)
            .chain(sets)
            .map(String::len)
            .sum::<usize>()
}
