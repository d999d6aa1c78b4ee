//! `kiln inspect`: an image's configuration in docker's form.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use kiln_oci::{ContainerConfig, Healthcheck};
use kiln_store::ImageRecord;

use crate::failure::{Exit, Failure};
use crate::format::template::Template;
use crate::format::{Value, time};
use crate::invocation::Invocation;

/// Show an image's configuration as JSON
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Print with a Go template (`{{.Id}}`, `{{json .Config}}`), or `json` for one line an image
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints those that there are, and fails if one is missing.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let usage = |error| Failure::of(Exit::Usage, &error);
    let template = match arguments.format.as_deref() {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}").map_err(usage)?),
        Some(text) => Some(Template::parse(text).map_err(usage)?),
    };
    let store = invocation.store("kiln inspect")?;
    let mut found = Vec::new();
    let mut failed = None;
    for image in &arguments.images {
        match store.resolve(image) {
            Ok(image) => found.push(value(&image)),
            Err(error) => failed = failed.or(Some(Failure::from(error))),
        }
    }
    let text = match template {
        Some(template) => {
            let lines = found
                .iter()
                .map(|image| Ok(template.render(image).map_err(usage)? + "\n"));
            lines.collect::<Result<String, Failure>>()?
        }
        None => Value::List(found).to_pretty_json() + "\n",
    };
    invocation.console.data(&text)?;
    failed.map_or(Ok(()), Err)
}

fn value(image: &ImageRecord) -> Value {
    let (digests, tags): (Vec<_>, Vec<_>) =
        image.names.iter().partition(|name| name.digest.is_some());
    let config = &image.config;
    let stored = image
        .stored
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let comment = config
        .history
        .iter()
        .rev()
        .find_map(|step| step.comment.clone());
    Value::Record(vec![
        ("Id", Value::from(image.id.to_string())),
        (
            "RepoTags",
            Value::texts(tags.iter().map(|name| name.familiar())),
        ),
        (
            "RepoDigests",
            Value::texts(digests.iter().map(|name| name.familiar())),
        ),
        ("Parent", Value::from("")),
        ("Comment", Value::from(comment.unwrap_or_default())),
        (
            "Created",
            image.created.clone().map_or(Value::Absent(""), Value::from),
        ),
        (
            "Author",
            Value::from(config.author.clone().unwrap_or_default()),
        ),
        ("Config", container(&config.config)),
        ("Architecture", Value::from(config.architecture.as_str())),
        (
            "Variant",
            config
                .variant
                .clone()
                .map_or(Value::Omitted(""), Value::from),
        ),
        ("Os", Value::from(config.os.as_str())),
        ("Size", Value::from(image.size)),
        (
            "RootFS",
            Value::Record(vec![
                ("Type", Value::from("layers")),
                (
                    "Layers",
                    Value::texts(
                        config
                            .rootfs
                            .diff_ids
                            .iter()
                            .map(|layer| layer.0.to_string()),
                    ),
                ),
            ]),
        ),
        (
            "Metadata",
            Value::Record(vec![(
                "LastTagTime",
                Value::from(time::to_rfc3339(i64::try_from(stored).unwrap_or(i64::MAX))),
            )]),
        ),
    ])
}

fn container(config: &ContainerConfig) -> Value {
    let words = |words: &Option<Vec<String>>, none| words.as_ref().map_or(none, Value::texts);
    let list = |items: &[String]| {
        if items.is_empty() {
            Value::Absent("[]")
        } else {
            Value::texts(items)
        }
    };
    Value::Record(vec![
        ("User", Value::from(config.user.as_str())),
        (
            "ExposedPorts",
            set(&config.exposed_ports, Value::Omitted("map[]")),
        ),
        ("Env", list(&config.env)),
        ("Cmd", words(&config.cmd, Value::Absent("[]"))),
        (
            "Healthcheck",
            config
                .healthcheck
                .as_ref()
                .map_or(Value::Omitted("<nil>"), healthcheck),
        ),
        (
            "ArgsEscaped",
            if config.args_escaped {
                Value::from(true)
            } else {
                Value::Omitted("false")
            },
        ),
        ("Volumes", set(&config.volumes, Value::Absent("map[]"))),
        ("WorkingDir", Value::from(config.working_dir.as_str())),
        ("Entrypoint", words(&config.entrypoint, Value::Absent("[]"))),
        ("OnBuild", list(&config.on_build)),
        ("Labels", labels(&config.labels)),
        (
            "StopSignal",
            config
                .stop_signal
                .clone()
                .map_or(Value::Omitted(""), Value::from),
        ),
        ("Shell", words(&config.shell, Value::Omitted("[]"))),
    ])
}

/// Go has no sets: docker writes maps to empty objects.
fn set(items: &BTreeSet<String>, none: Value) -> Value {
    if items.is_empty() {
        return none;
    }
    Value::Map(
        items
            .iter()
            .map(|item| (item.clone(), Value::Record(Vec::new())))
            .collect(),
    )
}

fn labels(labels: &BTreeMap<String, String>) -> Value {
    if labels.is_empty() {
        return Value::Absent("map[]");
    }
    Value::Map(
        labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect(),
    )
}

fn healthcheck(check: &Healthcheck) -> Value {
    let time = |nanoseconds: i64| {
        if nanoseconds == 0 {
            Value::Omitted("0")
        } else {
            Value::from(nanoseconds)
        }
    };
    Value::Record(vec![
        ("Test", Value::texts(&check.test)),
        ("Interval", time(check.interval)),
        ("Timeout", time(check.timeout)),
        ("StartPeriod", time(check.start_period)),
        ("StartInterval", time(check.start_interval)),
        ("Retries", time(check.retries)),
    ])
}

#[cfg(test)]
mod tests {
    use kiln_oci::{Digest, ImageConfig, ImageName};
    use kiln_store::ImageId;

    use super::*;

    fn image() -> ImageRecord {
        let json = br#"{"architecture":"amd64","os":"linux","created":"2024-02-29T12:34:56Z","author":"me",
            "config":{"Env":["PATH=/bin"],"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"b"}},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","comment":"why"}]}"#;
        ImageRecord {
            id: ImageId(Digest::of(b"")),
            names: vec![ImageName::parse("app:v1").expect("name")],
            created: Some("2024-02-29T12:34:56Z".to_owned()),
            stored: UNIX_EPOCH,
            size: 5,
            config: ImageConfig::parse(json).expect("config"),
        }
    }

    #[test]
    fn the_json_is_dockers() {
        insta::assert_snapshot!(Value::List(vec![value(&image())]).to_pretty_json(), @r#"
        [
            {
                "Id": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "RepoTags": [
                    "app:v1"
                ],
                "RepoDigests": [],
                "Parent": "",
                "Comment": "why",
                "Created": "2024-02-29T12:34:56Z",
                "Author": "me",
                "Config": {
                    "User": "",
                    "ExposedPorts": {
                        "80/tcp": {}
                    },
                    "Env": [
                        "PATH=/bin"
                    ],
                    "Cmd": [
                        "sh"
                    ],
                    "Volumes": null,
                    "WorkingDir": "",
                    "Entrypoint": null,
                    "OnBuild": null,
                    "Labels": {
                        "a": "b"
                    }
                },
                "Architecture": "amd64",
                "Os": "linux",
                "Size": 5,
                "RootFS": {
                    "Type": "layers",
                    "Layers": []
                },
                "Metadata": {
                    "LastTagTime": "1970-01-01T00:00:00Z"
                }
            }
        ]
        "#);
    }

    #[test]
    fn templates_see_fields_that_json_leaves_out() {
        let rendered = |text: &str| Template::parse(text).expect(text).render(&value(&image()));
        assert_eq!(
            rendered("{{.Config.StopSignal}}|{{.Config.Entrypoint}}").as_deref(),
            Ok("|[]")
        );
        assert_eq!(rendered("{{json .Config.Cmd}}").as_deref(), Ok(r#"["sh"]"#));
        assert_eq!(
            rendered("{{.Config.ExposedPorts}}").as_deref(),
            Ok("map[80/tcp:{}]")
        );
        assert!(rendered("{{.Nope}}").is_err());
    }
}
