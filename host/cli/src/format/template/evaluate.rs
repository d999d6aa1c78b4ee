//! Nodes and a value to text.

use super::Error;
use super::parse::{Node, Operand, Pipeline};
use crate::format::Value;

/// What Go prints for a map entry that is not there.
const NO_VALUE: Value = Value::Absent("<no value>");

struct Scope {
    /// Innermost last; looked up from the end.
    variables: Vec<(String, Value)>,
    out: String,
}

/// Renders `nodes` with `data` as the dot.
pub fn render(nodes: &[Node], data: &Value) -> Result<String, Error> {
    let mut scope = Scope {
        variables: vec![(String::new(), data.clone())],
        out: String::new(),
    };
    scope.nodes(nodes, data)?;
    Ok(scope.out)
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.out.push_str(&value.to_text());
                }
                Node::Assign(name, pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.variables.push((name.clone(), value));
                }
                Node::If(condition, then, otherwise) => {
                    let holds = self.pipeline(condition, dot)?.is_true();
                    self.inner(if holds { then } else { otherwise }, dot, Vec::new())?;
                }
                Node::With(subject, then, otherwise) => {
                    let value = self.pipeline(subject, dot)?;
                    if value.is_true() {
                        self.inner(then, &value, Vec::new())?;
                    } else {
                        self.inner(otherwise, dot, Vec::new())?;
                    }
                }
                Node::Range {
                    variables,
                    over,
                    body,
                    otherwise,
                } => {
                    let value = self.pipeline(over, dot)?;
                    self.range(variables, value, body, otherwise, dot)?;
                }
            }
        }
        Ok(())
    }

    /// Runs `nodes` with more variables, which are gone afterwards.
    fn inner(
        &mut self,
        nodes: &[Node],
        dot: &Value,
        variables: Vec<(String, Value)>,
    ) -> Result<(), Error> {
        let outer = self.variables.len();
        self.variables.extend(variables);
        let result = self.nodes(nodes, dot);
        self.variables.truncate(outer);
        result
    }

    fn range(
        &mut self,
        names: &[String],
        over: Value,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), Error> {
        let items: Vec<(Value, Value)> = match over {
            Value::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(i, v)| (Value::from(i as u64), v))
                .collect(),
            Value::Map(map) => map
                .into_iter()
                .map(|(key, value)| (Value::Text(key), value))
                .collect(),
            Value::Absent(_) | Value::Omitted(_) => Vec::new(),
            _ => {
                return Err(Error::Arguments {
                    name: "range",
                    reason: "needs a list or a map",
                });
            }
        };
        if items.is_empty() {
            return self.inner(otherwise, dot, Vec::new());
        }
        for (key, value) in items {
            let variables = match names {
                [] => Vec::new(),
                [one] => vec![(one.clone(), value.clone())],
                [first, second, ..] => vec![(first.clone(), key), (second.clone(), value.clone())],
            };
            self.inner(body, &value, variables)?;
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Error> {
        let mut piped = None;
        for command in pipeline {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(NO_VALUE))
    }

    fn command(
        &self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, Error> {
        let (head, rest) = command
            .split_first()
            .expect("the parser refuses empty commands");
        if let Operand::Function(function) = head {
            let mut arguments = rest
                .iter()
                .map(|word| self.operand(word, dot))
                .collect::<Result<Vec<_>, _>>()?;
            arguments.extend(piped);
            return function.call(&arguments);
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(Error::Arguments {
                name: "{{…}}",
                reason: "gives arguments to something that is no function",
            });
        }
        self.operand(head, dot)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, Error> {
        match operand {
            Operand::Field(path) => field(dot, path),
            Operand::Variable(name, path) => {
                let value = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value);
                field(
                    value.ok_or_else(|| Error::UnknownVariable { name: name.clone() })?,
                    path,
                )
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(function) => function.call(&[]),
            Operand::Group(pipeline, path) => field(&self.pipeline(pipeline, dot)?, path),
        }
    }
}

fn field(value: &Value, path: &[String]) -> Result<Value, Error> {
    let mut value = value;
    for name in path {
        value = match value {
            Value::Record(fields) => match fields.iter().find(|(known, _)| known == name) {
                Some((_, value)) => value,
                None => {
                    let fields = fields.iter().map(|(known, _)| *known).collect();
                    return Err(Error::UnknownField {
                        name: name.clone(),
                        fields,
                    });
                }
            },
            Value::Map(map) => map.get(name).unwrap_or(&NO_VALUE),
            Value::Absent(_) | Value::Omitted(_) => &NO_VALUE,
            _ => {
                return Err(Error::UnknownField {
                    name: name.clone(),
                    fields: Vec::new(),
                });
            }
        };
    }
    Ok(value.clone())
}
