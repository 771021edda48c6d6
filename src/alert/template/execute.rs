//! Nodes to text.

use std::collections::BTreeMap;

use regex::Regex;

use super::functions::Caller;
use super::parse::{Node, Operand, Pipeline};
use super::{Data, Value, format, functions};

/// Nodes and commands that one template may take.
const STEPS: u32 = 100_000;
/// Bytes that it may write.
const LONGEST: usize = 64 << 10;
/// Bytes of values that it may make and pass on, together: a text that is put together from itself doubles with each step.
const VALUES: usize = 64 << 20;
/// Regular expressions that it may use.
const PATTERNS: usize = 64;
/// Templates within templates.
const DEEPEST: u32 = 32;

/// Why a list of nodes ended before its end.
enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn run(nodes: &[Node], data: &Data<'_>) -> Result<String, String> {
    run_with(nodes, data, &Value::Root)
}

/// The same, about something else.
pub(super) fn run_with(nodes: &[Node], data: &Data<'_>, dot: &Value) -> Result<String, String> {
    let mut run = Run {
        data,
        templates: BTreeMap::new(),
        variables: Vec::new(),
        out: String::new(),
        patterns: Vec::new(),
        steps: 0,
        bytes: 0,
        depth: 0,
    };
    // A definition holds wherever it stands.
    for node in nodes {
        if let Node::Define { name, body } = node {
            run.templates.insert(name, body);
        }
    }
    for (name, value) in [
        ("", dot.clone()),
        ("labels", Value::Labels(data.labels.clone())),
        ("externalLabels", Value::Labels(data.external_labels.clone())),
        ("externalURL", Value::Text(data.external_url.to_owned())),
        ("value", Value::Float(data.value)),
    ] {
        run.variables.push((name.to_owned(), value));
    }
    for node in nodes {
        run.node(node, dot)?;
    }
    Ok(run.out)
}

struct Run<'n, 'd> {
    data: &'d Data<'d>,
    templates: BTreeMap<&'n str, &'n [Node]>,
    variables: Vec<(String, Value)>,
    out: String,
    /// The regular expressions that it used, each compiled once.
    patterns: Vec<(String, Regex)>,
    steps: u32,
    /// Bytes of the values so far.
    bytes: usize,
    depth: u32,
}

impl<'n> Run<'n, '_> {
    /// Counts a step.
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS {
            return Err(format!("more than {STEPS} steps"));
        }
        Ok(())
    }

    /// Counts the bytes of a value.
    fn take(&mut self, value: Value) -> Result<Value, String> {
        self.bytes = self.bytes.saturating_add(value.weight());
        if self.bytes > VALUES {
            return Err(format!("values of more than {} MiB together", VALUES >> 20));
        }
        Ok(value)
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        self.out.push_str(text);
        if self.out.len() > LONGEST {
            return Err(format!("a text of more than {LONGEST} bytes"));
        }
        Ok(())
    }

    fn list(&mut self, nodes: &'n [Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::On => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'n Node, dot: &Value) -> Result<Flow, String> {
        self.step()?;
        let outer = self.variables.len();
        let flow = match node {
            Node::Text(text) => {
                self.write(text)?;
                Flow::On
            }
            Node::Action(of) => {
                let value = self.pipeline(of, dot)?;
                self.assign(of, value.clone());
                if of.variables.is_empty() {
                    self.write(&format::plain(&value))?;
                }
                // What an action declares holds up to the end of its list.
                return Ok(Flow::On);
            }
            Node::If { of, then, otherwise } => {
                let value = self.pipeline(of, dot)?;
                self.assign(of, value.clone());
                self.list(if value.is_true() { then } else { otherwise }, dot)?
            }
            Node::With { of, then, otherwise } => {
                let value = self.pipeline(of, dot)?;
                self.assign(of, value.clone());
                if value.is_true() { self.list(then, &value)? } else { self.list(otherwise, dot)? }
            }
            Node::Range { of, each, otherwise } => self.range(of, each, otherwise, dot)?,
            Node::Call { name, with } => {
                let value = with.as_ref().map_or(Ok(Value::Nil), |of| self.pipeline(of, dot))?;
                let text = self.template(name, &value)?;
                self.write(&text)?;
                Flow::On
            }
            Node::Break => Flow::Break,
            Node::Continue => Flow::Continue,
            Node::Define { .. } => Flow::On,
        };
        self.variables.truncate(outer);
        Ok(flow)
    }

    fn assign(&mut self, of: &Pipeline, value: Value) {
        let Some(name) = of.variables.last() else { return };
        if of.declares {
            self.variables.push((name.clone(), value));
        } else if let Some((_, known)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *known = value;
        }
    }

    fn range(
        &mut self,
        of: &Pipeline,
        each: &'n [Node],
        otherwise: &'n [Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let over = self.pipeline(of, dot)?;
        let text = |text: &str| Value::Text(text.to_owned());
        let items: Vec<(Value, Value)> = match over {
            Value::List(values) => (0_i64..).map(Value::Int).zip(values).collect(),
            Value::Labels(labels) => labels.iter().map(|(name, value)| (text(name), text(value))).collect(),
            Value::Map(values) => {
                values.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
            }
            Value::Int(to) if to <= i64::from(STEPS) => {
                (0..to).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", format::plain(&other))),
        };
        if items.is_empty() {
            return self.list(otherwise, dot);
        }
        for (key, value) in items {
            self.step()?;
            let outer = self.variables.len();
            match of.variables.as_slice() {
                [one] => self.variables.push((one.clone(), value.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                _ => {}
            }
            let flow = self.list(each, &value)?;
            self.variables.truncate(outer);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipeline(&mut self, of: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &of.commands {
            self.step()?;
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &[Operand], dot: &Value, last: Option<Value>) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else {
            return Err("missing value for command".into());
        };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err("can't give argument to non-function".into());
            }
            return self.operand(first, dot);
        };
        // `and` and `or` look no further than they must.
        if matches!(name.as_str(), "and" | "or") {
            let mut value = Value::Nil;
            for operand in rest {
                value = self.operand(operand, dot)?;
                if value.is_true() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        let value = functions::call(self, name, &arguments)?;
        self.take(value)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let value = self.value_of(operand, dot)?;
        self.take(value)
    }

    fn value_of(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Value(value) => Ok(value.clone()),
            Operand::Dot(names) => self.fields(dot.clone(), names),
            Operand::Variable(name, names) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = known.map(|(_, value)| value.clone());
                self.fields(value.ok_or_else(|| format!("undefined variable \"${name}\""))?, names)
            }
            Operand::Function(name) => functions::call(self, name, &[]),
            Operand::Nested(inner, names) => {
                let outer = self.variables.len();
                let value = self.pipeline(inner, dot)?;
                self.variables.truncate(outer);
                self.fields(value, names)
            }
        }
    }

    fn fields(&self, value: Value, names: &[String]) -> Result<Value, String> {
        names.iter().try_fold(value, |value, name| self.field(value, name))
    }

    fn field(&self, value: Value, name: &str) -> Result<Value, String> {
        Ok(match (value, name) {
            (Value::Labels(labels), name) => Value::Text(labels.get(name).to_owned()),
            (Value::Map(mut values), name) => values.remove(name).unwrap_or(Value::Nil),
            (Value::Root, "Labels") => Value::Labels(self.data.labels.clone()),
            (Value::Root, "Value") => Value::Float(self.data.value),
            (Value::Root, "ExternalLabels") => Value::Labels(self.data.external_labels.clone()),
            (Value::Root, "ExternalURL") => Value::Text(self.data.external_url.to_owned()),
            (Value::Sample(labels, _), "Labels") => Value::Labels(labels),
            (Value::Sample(_, value), "Value") => Value::Float(value),
            (Value::Nil, name) => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
            (value, name) => return Err(format!("can't evaluate field {name} in type {}", value.kind())),
        })
    }
}

impl Caller for Run<'_, '_> {
    fn data(&self) -> &Data<'_> {
        self.data
    }

    fn pattern(&mut self, text: &str) -> Result<Regex, String> {
        if let Some((_, known)) = self.patterns.iter().find(|(known, _)| known == text) {
            return Ok(known.clone());
        }
        if self.patterns.len() == PATTERNS {
            return Err(format!("more than {PATTERNS} regular expressions"));
        }
        let made = crate::re2::compile(text)?;
        self.patterns.push((text.to_owned(), made.clone()));
        Ok(made)
    }

    fn template(&mut self, name: &str, with: &Value) -> Result<String, String> {
        let body = *self.templates.get(name).ok_or_else(|| format!("template {name:?} not defined"))?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("templates within templates, deeper than {DEEPEST}"));
        }
        let variables = std::mem::replace(&mut self.variables, vec![(String::new(), with.clone())]);
        let out = std::mem::take(&mut self.out);
        let done = self.list(body, with);
        let text = std::mem::replace(&mut self.out, out);
        self.variables = variables;
        self.depth -= 1;
        done.map(|_| text)
    }
}
