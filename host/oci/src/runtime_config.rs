//! The `config` object of an image: what a container made from it starts with.
//!
//! Owns the JSON names Docker and OCI share. Invariant: empty fields are left out, sets and maps are
//! sorted, so equal configs have equal bytes. `null` and absent read the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defaults for containers made from an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// `USER`: user or uid, with an optional group.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub user: String,
    /// `EXPOSE`: entries such as `80/tcp`.
    #[serde(
        skip_serializing_if = "BTreeSet::is_empty",
        with = "set_of_empty_objects"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// `ENV`: `NAME=value`, in order of first definition.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub env: Vec<String>,
    /// `ENTRYPOINT`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// `CMD`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// Set by Windows images whose command is one already escaped line.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_is_default")]
    pub args_escaped: bool,
    /// `HEALTHCHECK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// `VOLUME`: mount points.
    #[serde(
        skip_serializing_if = "BTreeSet::is_empty",
        with = "set_of_empty_objects"
    )]
    pub volumes: BTreeSet<String>,
    /// `WORKDIR`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub working_dir: String,
    /// `ONBUILD`: instructions for images built on this one.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub on_build: Vec<String>,
    /// `LABEL`.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// `SHELL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// How a container's health is asked for. Durations are nanoseconds; zero means the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", line]` or `["NONE"]`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub test: Vec<String>,
    /// Time between probes.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_is_default")]
    pub interval: i64,
    /// Longest a probe may take.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_is_default")]
    pub timeout: i64,
    /// Time after the start during which failures do not count.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_is_default")]
    pub start_period: i64,
    /// Time between probes during the start period.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_is_default")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_is_default")]
    pub retries: i64,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go writes nil slices and maps as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A command: a list, or the single string that images of the first Docker versions hold.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        List(Vec<String>),
        Line(String),
    }
    Ok(
        Option::<Words>::deserialize(deserializer)?.map(|words| match words {
            Words::List(list) => list,
            Words::Line(line) => vec![line],
        }),
    )
}

/// Sets that JSON spells as `{"80/tcp": {}}`.
mod set_of_empty_objects {
    use super::*;
    use serde::de::IgnoredAny;
    use serde::ser::SerializeMap;

    #[derive(Serialize)]
    struct Empty {}

    pub fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(set.len()))?;
        for key in set {
            map.serialize_entry(key, &Empty {})?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_config_is_an_empty_object() {
        assert_eq!(
            serde_json::to_string(&ContainerConfig::default()).unwrap(),
            "{}"
        );
    }

    #[test]
    fn nulls_of_go_read_as_empty() {
        let json = r#"{"User":"","Env":null,"Cmd":null,"Entrypoint":null,"Volumes":null,"ExposedPorts":null,
            "OnBuild":null,"Labels":null,"WorkingDir":null,"ArgsEscaped":null,"Healthcheck":null,"Shell":null,
            "AttachStdin":false,"Image":"sha256:x"}"#;
        assert_eq!(
            serde_json::from_str::<ContainerConfig>(json).unwrap(),
            ContainerConfig::default()
        );
    }

    #[test]
    fn docker_names_round_trip() {
        let json = concat!(
            r#"{"User":"app","ExposedPorts":{"443/tcp":{},"80/tcp":{}},"Env":["B=1","A=2"],"#,
            r#""Entrypoint":[],"Cmd":["sh"],"ArgsEscaped":true,"#,
            r#""Healthcheck":{"Test":["CMD","true"],"Interval":5000000000,"Retries":3},"#,
            r#""Volumes":{"/data":{}},"WorkingDir":"/w","OnBuild":["RUN x"],"Labels":{"a":"1","b":"2"},"#,
            r#""StopSignal":"SIGINT","Shell":["/bin/sh","-c"]}"#
        );
        let config: ContainerConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.entrypoint, Some(vec![]));
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
    }

    #[test]
    fn command_of_a_single_string_reads_as_one_word() {
        let config: ContainerConfig = serde_json::from_str(r#"{"Cmd":"echo hi"}"#).unwrap();
        assert_eq!(config.cmd, Some(vec!["echo hi".to_owned()]));
    }
}
