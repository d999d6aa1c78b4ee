//! The part of Go's text templates that people use with `docker --format`: fields, `json` and a dozen other
//! functions, pipelines, `if`, `range`, `with`, variables.
//!
//! Parse first, then render as often as there are rows: a mistake is reported even when there is no row.

mod evaluate;
mod functions;
mod lexer;
mod parse;

use super::{Value, table};

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<parse::Node>,
}

/// Why a template cannot be read or rendered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// `{{` without `}}`, or text that ends inside quotes.
    #[error("`{text}` is not closed")]
    Unclosed {
        /// Where it starts.
        text: String,
    },
    /// A character or word that cannot stand where it stands.
    #[error("`{found}` is not understood in `{action}`")]
    Unexpected {
        /// What was found.
        found: String,
        /// The action it is in.
        action: String,
    },
    /// `{{end}}` or `{{else}}` without a beginning, or a beginning without its end.
    #[error("`{{{{{word}}}}}` has no partner")]
    Unbalanced {
        /// The lonely word.
        word: String,
    },
    /// Actions stand in actions too deeply.
    #[error("actions are nested too deeply")]
    TooDeep,
    /// A function that does not exist.
    #[error("there is no function `{name}`")]
    UnknownFunction {
        /// Its name.
        name: String,
    },
    /// A field that the data does not have.
    #[error("there is no field `{name}`{}", known(.fields))]
    UnknownField {
        /// The name asked for.
        name: String,
        /// The fields that there are.
        fields: Vec<&'static str>,
    },
    /// A variable that was not set.
    #[error("there is no variable `${name}`")]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A function got arguments that it cannot work with.
    #[error("`{name}` {reason}")]
    Arguments {
        /// The function.
        name: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

fn known(fields: &[&str]) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!(" (there are {})", fields.join(", "))
    }
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self {
            nodes: parse::parse(text)?,
        })
    }

    /// Renders it for one value.
    pub fn render(&self, data: &Value) -> Result<String, Error> {
        evaluate::render(&self.nodes, data)
    }
}

/// How `--format` of a listing wants its rows.
#[derive(Debug)]
pub enum Listing {
    /// `json`: one object a line.
    Json,
    /// A template, rendered once a row.
    Rows(Template),
    /// `table TEMPLATE`: columns parted by tabs, under a header.
    Table(Template),
}

impl Listing {
    /// Reads the value of `--format`; `default` is the template for `table` alone.
    pub fn parse(text: &str, default: &str) -> Result<Self, Error> {
        // Shells make it hard to give a tab: docker reads a backslash and a letter too.
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        match text.trim() {
            "json" => Ok(Self::Json),
            "table" => Ok(Self::Table(Template::parse(default)?)),
            _ => match text.strip_prefix("table ") {
                Some(columns) => Ok(Self::Table(Template::parse(columns.trim())?)),
                None => Ok(Self::Rows(Template::parse(&text)?)),
            },
        }
    }

    /// Renders all rows; `header` has the same fields as each row.
    pub fn render(&self, header: &Value, rows: &[Value]) -> Result<String, Error> {
        match self {
            Self::Json => Ok(rows.iter().map(|row| row.to_json() + "\n").collect()),
            Self::Rows(template) => rows
                .iter()
                .map(|row| Ok(template.render(row)? + "\n"))
                .collect(),
            Self::Table(template) => {
                let cells = std::iter::once(header)
                    .chain(rows)
                    .map(|row| {
                        Ok(template
                            .render(row)?
                            .split('\t')
                            .map(str::to_owned)
                            .collect())
                    })
                    .collect::<Result<Vec<Vec<String>>, Error>>()?;
                Ok(table::render(&cells))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Value {
        let labels = [("a.b".to_owned(), Value::from("c"))].into_iter().collect();
        Value::Record(vec![
            ("Id", Value::from("sha256:abc")),
            ("RepoTags", Value::texts(["app:latest", "app:v1"])),
            ("Size", Value::from(12i64)),
            (
                "Config",
                Value::Record(vec![
                    ("Cmd", Value::Absent("[]")),
                    ("Labels", Value::Map(labels)),
                    ("User", Value::from("")),
                ]),
            ),
        ])
    }

    fn rendered(template: &str) -> Result<String, Error> {
        Template::parse(template)?.render(&image())
    }

    #[test]
    fn templates_render_as_in_go() {
        for (template, expected) in [
            ("plain", "plain"),
            ("{{.Id}}", "sha256:abc"),
            ("{{ .Id }} {{.Size}}", "sha256:abc 12"),
            ("{{.RepoTags}}", "[app:latest app:v1]"),
            ("{{json .RepoTags}}", r#"["app:latest","app:v1"]"#),
            (
                "{{.Config | json}}",
                r#"{"Cmd":null,"Labels":{"a.b":"c"},"User":""}"#,
            ),
            ("{{.Config.Cmd}}", "[]"),
            ("{{.Config.Labels.nothing}}", "<no value>"),
            ("{{index .RepoTags 0}}", "app:latest"),
            (r#"{{index .Config.Labels "a.b"}}"#, "c"),
            ("{{len .RepoTags}}", "2"),
            (r#"{{join .RepoTags ","}}"#, "app:latest,app:v1"),
            ("{{range .RepoTags}}<{{.}}>{{end}}", "<app:latest><app:v1>"),
            (
                "{{range $i, $t := .RepoTags}}{{$i}}={{$t}} {{end}}",
                "0=app:latest 1=app:v1 ",
            ),
            (
                "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}",
                "a.b=c",
            ),
            ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
            (
                "{{if .Config.User}}user{{else if .Size}}size{{else}}no{{end}}",
                "size",
            ),
            ("{{with .Config}}{{.Labels}}{{end}}", "map[a.b:c]"),
            ("a {{- .Size -}} b", "a12b"),
            ("{{/* nothing */}}x", "x"),
            (r#"{{if eq .Id "sha256:abc"}}same{{end}}"#, "same"),
            (r#"{{printf "%s-%d%%" .Id .Size}}"#, "sha256:abc-12%"),
            ("{{upper (lower .Id)}}", "SHA256:ABC"),
            ("{{$x := .Size}}{{$x}}", "12"),
            ("{{range .RepoTags}}{{$.Size}}{{end}}", "1212"),
            (r#"{{"}}"}}"#, "}}"),
            ("{{slice .Id 7 9}}", "ab"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (template, expected) in [
            ("{{.Id", "`{{.Id` is not closed"),
            (
                "{{.Nope}}",
                "there is no field `Nope` (there are Id, RepoTags, Size, Config)",
            ),
            ("{{.Id.Deeper}}", "there is no field `Deeper`"),
            ("{{nope .Id}}", "there is no function `nope`"),
            ("{{if .Id}}", "`{{if}}` has no partner"),
            ("{{end}}", "`{{end}}` has no partner"),
            ("{{$y}}", "there is no variable `$y`"),
            ("{{.Id)}}", "`)` is not understood in `.Id)`"),
            ("{{\"abc}}", "`{{\"abc}}` is not closed"),
            ("{{}}", "`` is not understood in ``"),
            (
                "{{index .RepoTags 7}}",
                "`index` is past the end of the list",
            ),
        ] {
            assert_eq!(
                rendered(template).expect_err(template).to_string(),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "{{if .Id}}".repeat(10_000);
        assert_eq!(rendered(&deep), Err(Error::TooDeep));
        let parens = format!("{{{{{}", "(".repeat(100_000));
        assert!(rendered(&(parens + "}}")).is_err());
    }

    #[test]
    fn tables_have_a_header() {
        let header = Value::Record(vec![
            ("Name", Value::from("NAME")),
            ("Size", Value::from("SIZE")),
        ]);
        let rows = [Value::Record(vec![
            ("Name", Value::from("a")),
            ("Size", Value::from("1B")),
        ])];
        let render = |format: &str| {
            Listing::parse(format, "{{.Name}}")
                .expect(format)
                .render(&header, &rows)
        };
        assert_eq!(
            render("table {{.Name}}\\t{{.Size}}").as_deref(),
            Ok("NAME      SIZE\na         1B\n")
        );
        assert_eq!(render("table").as_deref(), Ok("NAME\na\n"));
        assert_eq!(
            render("json").as_deref(),
            Ok("{\"Name\":\"a\",\"Size\":\"1B\"}\n")
        );
        assert_eq!(render("{{.Size}}").as_deref(), Ok("1B\n"));
    }
}
