//! An expression as text, in Prometheus' form: on one line, and split where a line would have more than 100 bytes.
//!
//! Comments are not kept.

use std::fmt::{self, Display, Formatter};

use super::syntax::{Aggregate, At, Binary, Expr, Length, Node, Op, Selector, Shift, Side, Term, Tree};
use super::text;

/// The longest line that is not split, in bytes.
const LINE: usize = 100;

/// An expression over as many lines as it needs: what `format_query` answers.
#[must_use]
pub fn format(expr: &Expr) -> String {
    pretty(&expr.tree, 0)
}

fn pretty(expr: &Tree, level: usize) -> String {
    let (indent, line) = ("  ".repeat(level), expr.to_string());
    let deeper = |inner: &Tree| pretty(inner, level + 1);
    let split = line.len() > LINE;
    match &expr.node {
        Node::Unary { negative, operand } => {
            let sign = if *negative { '-' } else { '+' };
            format!("{indent}{sign}{}", pretty(operand, level).trim())
        }
        Node::Subquery(_) if !split => line,
        Node::Subquery(subquery) => {
            let whole = subquery.inner.to_string();
            let behind = line.get(whole.len()..).unwrap_or_default();
            format!("{}{behind}", pretty(&subquery.inner, level))
        }
        Node::Aggregate(aggregate) if split => {
            let param = aggregate.param.as_ref().map_or_else(String::new, |param| deeper(param) + ",\n");
            format!("{indent}{}(\n{param}{}\n{indent})", Head(aggregate), deeper(&aggregate.inner))
        }
        Node::Binary(binary) if split => {
            format!("{}\n{indent}{}\n{}", deeper(&binary.left), Operator(binary), deeper(&binary.right))
        }
        Node::Call(call) if split => {
            let args: Vec<String> = call.args.iter().map(deeper).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.name, args.join(",\n"))
        }
        Node::Paren(inner) if split => format!("{indent}(\n{}\n{indent})", deeper(inner)),
        _ => format!("{indent}{line}"),
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.tree.fmt(f)
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number { value, duration } => write_number(f, *value, *duration),
            Node::Text(bytes) => text::write_quoted(f, bytes),
            Node::Selector(selector) => write!(f, "{}{}", Conditions(selector), selector.shift),
            Node::Range(selector, range) => write!(f, "{}[{range}]{}", Conditions(selector), selector.shift),
            Node::Subquery(subquery) => {
                write!(f, "{}[{}:", subquery.inner, subquery.range)?;
                if let Some(step) = &subquery.step {
                    write!(f, "{step}")?;
                }
                write!(f, "]{}", subquery.shift)
            }
            Node::Paren(inner) => write!(f, "({inner})"),
            Node::Unary { negative, operand } => write!(f, "{}{operand}", if *negative { '-' } else { '+' }),
            Node::Binary(binary) => write!(f, "{} {} {}", binary.left, Operator(binary), binary.right),
            Node::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Node::Aggregate(aggregate) => {
                write!(f, "{}(", Head(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.inner)
            }
        }
    }
}

fn write_number(f: &mut Formatter<'_>, value: f64, duration: bool) -> fmt::Result {
    if duration {
        f.write_str(&text::duration((value * 1000.0).round() as i64))
    } else {
        f.write_str(&text::number(value))
    }
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_str(" (")?;
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        text::write_name(f, label)?;
    }
    f.write_str(")")
}

/// An aggregator and its grouping.
struct Head<'e>(&'e Aggregate);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Aggregate { op, grouping, without, .. } = self.0;
        f.write_str(op.name())?;
        if *without || !grouping.is_empty() {
            f.write_str(if *without { " without" } else { " by" })?;
            write_labels(f, grouping)?;
            f.write_str(" ")?;
        }
        Ok(())
    }
}

/// An operator and what stands behind it.
struct Operator<'e>(&'e Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Binary { op, bool, matching, .. } = self.0;
        f.write_str(op.text())?;
        if *bool {
            f.write_str(" bool")?;
        }
        if !matching.labels.is_empty() || matching.on || matching.many.is_some() {
            f.write_str(if matching.on { " on" } else { " ignoring" })?;
            write_labels(f, &matching.labels)?;
        }
        if let Some(side) = matching.many {
            f.write_str(if side == Side::Left { " group_left" } else { " group_right" })?;
            write_labels(f, &matching.include)?;
        }
        Ok(())
    }
}

struct Conditions<'e>(&'e Selector);

impl Display for Conditions<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Selector { name, matchers, .. } = self.0;
        f.write_str(name.as_deref().unwrap_or_default())?;
        // The condition that the name before the braces stands for is the last.
        let shown = matchers.len() - usize::from(name.is_some()).min(matchers.len());
        let mut shown: Vec<String> = matchers.iter().take(shown).map(ToString::to_string).collect();
        shown.sort();
        if shown.is_empty() { Ok(()) } else { write!(f, "{{{}}}", shown.join(",")) }
    }
}

impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Time(milliseconds)) => write!(f, " @ {:.3}", milliseconds as f64 / 1000.0)?,
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.offset {
            Some(Length::Fixed(0)) | None => Ok(()),
            Some(offset) => write!(f, " offset {offset}"),
        }
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(milliseconds) => f.write_str(&text::duration(*milliseconds)),
            Self::Computed(term) => write!(f, "{term}"),
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { value, duration } => write_number(f, *value, *duration),
            Self::Step => f.write_str("step()"),
            Self::Range => f.write_str("range()"),
            Self::Negative(term) => write!(f, "-{term}"),
            Self::Paren(term) => write!(f, "({term})"),
            Self::Binary(op, sides) => write!(f, "{} {} {}", sides.0, Op::text(*op), sides.1),
            Self::Least(sides) => write!(f, "min_of({}, {})", sides.0, sides.1),
            Self::Greatest(sides) => write!(f, "max_of({}, {})", sides.0, sides.1),
        }
    }
}
