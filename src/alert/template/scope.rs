//! Variables are declared before they are used, as Go's parser demands.

use super::parse::{Node, Operand, Pipeline};

/// What Prometheus declares in front of each template; empty for `$`.
pub(super) const GIVEN: [&str; 5] = ["", "labels", "externalLabels", "externalURL", "value"];

/// Whether all variables are declared.
pub(super) fn check(nodes: &[Node]) -> Result<(), String> {
    let mut names: Vec<String> = GIVEN.iter().map(|name| (*name).to_owned()).collect();
    list(nodes, &mut names)
}

fn list(nodes: &[Node], names: &mut Vec<String>) -> Result<(), String> {
    let own = names.len();
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(of) => pipeline(of, names)?,
            Node::If { of, then, otherwise }
            | Node::With { of, then, otherwise }
            | Node::Range { of, each: then, otherwise } => {
                let outer = names.len();
                pipeline(of, names)?;
                list(then, names)?;
                list(otherwise, names)?;
                names.truncate(outer);
            }
            Node::Call { with, .. } => with.iter().try_for_each(|of| pipeline(of, names))?,
            Node::Define { body, .. } => list(body, &mut vec![String::new()])?,
        }
    }
    names.truncate(own);
    Ok(())
}

fn pipeline(of: &Pipeline, names: &mut Vec<String>) -> Result<(), String> {
    for operand in of.commands.iter().flatten() {
        match operand {
            Operand::Variable(name, _) => known(name, names)?,
            Operand::Nested(inner, _) => {
                let outer = names.len();
                pipeline(inner, names)?;
                names.truncate(outer);
            }
            Operand::Value(_) | Operand::Dot(_) | Operand::Function(_) => {}
        }
    }
    for name in &of.variables {
        if of.declares {
            names.push(name.clone());
        } else {
            known(name, names)?;
        }
    }
    Ok(())
}

fn known(name: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(format!("undefined variable \"${name}\""))
}
