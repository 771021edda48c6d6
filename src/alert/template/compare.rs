//! `eq`, `lt` and their kin, by the rules of Go: numbers with numbers of their kind, text with text.

use std::cmp::Ordering;

use super::Value;

/// The result of a comparison by its name in a template; nothing for another name.
pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let less = |wanted: fn(bool, bool) -> bool| {
        let [a, b] = arguments else {
            return Err(format!("wrong number of args for {name}: want 2 got {}", arguments.len()));
        };
        let order = order(a, b)?;
        Ok(Value::Bool(wanted(order == Some(Ordering::Less), order == Some(Ordering::Equal))))
    };
    Some(match name {
        "eq" => equal_to_any(arguments),
        "ne" => match arguments {
            [a, b] => equal(a, b).map(|same| Value::Bool(!same)),
            _ => Err(format!("wrong number of args for ne: want 2 got {}", arguments.len())),
        },
        // In Go "greater" is "neither less nor equal", so that a NaN is greater than all.
        "lt" => less(|less, _| less),
        "le" => less(|less, equal| less || equal),
        "gt" => less(|less, equal| !(less || equal)),
        "ge" => less(|less, _| !less),
        _ => return None,
    })
}

fn equal_to_any(arguments: &[Value]) -> Result<Value, String> {
    let Some((first, others)) = arguments.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err("missing argument for comparison".into());
    };
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        _ => order(a, b).map(|order| order == Some(Ordering::Equal)),
    }
}

fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (
            Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bool(_),
            Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bool(_),
        ) => Err(format!("incompatible types for comparison: {} and {}", a.kind(), b.kind())),
        _ => Err("invalid type for comparison".into()),
    }
}
