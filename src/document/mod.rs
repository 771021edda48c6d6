//! A YAML document that a person wrote: its value, where everything in it stands, and what is wrong with it.
//!
//! It does not know what any document is for, reads no files, and holds no names of settings.

mod check;
mod lenient;
mod path;
mod position;
mod problem;
mod schema;
mod suggest;
mod validate;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;

pub use check::Check;
pub use lenient::lenient;
pub use path::{Path, PathSegment};
pub use position::{LONGEST, Position, Positions};
pub use problem::Problem;
pub use schema::keywords;
pub use suggest::{list, suggest};
pub use validate::Format;

/// A document whose syntax is right.
#[derive(Debug)]
pub struct Document {
    file: String,
    places: Positions,
    value: Value,
    /// What was taken out of the value because it is wrong by itself.
    omitted: Vec<Path>,
}

impl Document {
    /// Reads `text`; `file` is how problems call it. With the document come the mistakes that
    /// leave it readable, such as a key that is written twice.
    ///
    /// # Errors
    /// What makes it no YAML, or more of it than is good.
    pub fn parse(file: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let text = without_mark(text);
        let (places, problems) = position::walk(file, text, 1)?;
        let mut value = if places.is_empty() {
            Value::Mapping(serde_yaml::Mapping::new())
        } else {
            match serde_yaml::from_str::<LastKeyWins>(text) {
                Ok(LastKeyWins(value)) => value,
                Err(error) => return Err(vec![syntax(file, &error)]),
            }
        };
        if let Err(error) = value.apply_merge() {
            return Err(vec![syntax(file, &error)]);
        }
        Ok((Self { file: file.to_owned(), places, value, omitted: Vec::new() }, problems))
    }

    /// Compares it with a JSON Schema as schemars writes them, and says everything that differs.
    /// A mapping of which nothing but the key is left counts as empty from then on. What is wrong counts as not
    /// written, so that it does not hide the mistakes beside it; [`omits`](Self::omits) knows it.
    pub fn validate(&mut self, schema: &serde_json::Value, formats: &[Format]) -> Vec<Problem> {
        let mut value = std::mem::take(&mut self.value);
        let (problems, omitted) = validate::validate(self, &mut value, schema, formats);
        self.value = value;
        self.omitted = omitted;
        problems
    }

    /// Whether the value at `path`, or one in it or around it, was wrong by itself and is reported already: what is
    /// read there is a default that nobody wrote.
    #[must_use]
    pub fn omits(&self, path: &Path) -> bool {
        let within = |one: &Path, other: &Path| one.steps().starts_with(other.steps());
        self.omitted.iter().any(|omitted| within(omitted, path) || within(path, omitted))
    }

    /// The part at `path` as a `T`, or `None` if it is not there or not one.
    #[must_use]
    pub fn part<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        typed(self.at(path)?.clone()).ok()
    }

    /// How many items or keys there are at `path`; none if it is neither a list nor a mapping.
    #[must_use]
    pub fn len(&self, path: &Path) -> usize {
        match self.at(path) {
            Some(Value::Sequence(items)) => items.len(),
            Some(Value::Mapping(map)) => map.len(),
            _ => 0,
        }
    }

    /// The keys of the mapping at `path`.
    #[must_use]
    pub fn keys(&self, path: &Path) -> Vec<String> {
        let Some(Value::Mapping(map)) = self.at(path) else { return Vec::new() };
        map.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
    }

    fn at(&self, path: &Path) -> Option<&Value> {
        path.steps().iter().try_fold(&self.value, |value, step| match step {
            PathSegment::Key(key) => value.get(key.as_str()),
            PathSegment::Item(index) => value.get(*index),
        })
    }

    /// A problem with the value at `path`.
    #[must_use]
    pub fn problem(&self, path: &Path, message: impl Into<String>) -> Problem {
        self.problem_at(self.places.value(path), path, message)
    }

    /// A problem with the key that `path` ends in, or with the item if it ends in one.
    #[must_use]
    pub fn key_problem(&self, path: &Path, message: impl Into<String>) -> Problem {
        self.problem_at(self.places.key(path), path, message)
    }

    fn problem_at(&self, place: Position, path: &Path, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            path: path.to_string(),
            line: place.line,
            column: place.column,
            message: message.into(),
            hint: None,
        }
    }
}

/// The text without the mark that editors of some systems put before it.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads `text` as a `T` and says every mistake in it, in the order of the text.
///
/// What `schema` does not say, `also` checks on the document; it is asked even if there are
/// other mistakes, and reads the parts that are right with [`Document::part`].
///
/// # Errors
/// Every mistake.
pub fn read<T: DeserializeOwned + JsonSchema>(
    file: &str,
    text: &str,
    formats: &[Format],
    also: impl FnOnce(&Document) -> Vec<Problem>,
) -> Result<(T, Document), Vec<Problem>> {
    let (mut document, mut problems) = Document::parse(file, text)?;
    problems.extend(document.validate(&schemars::schema_for!(T).to_value(), formats));
    problems.extend(also(&document));
    if problems.is_empty() {
        // The last guard: whatever the schema lets pass, the type decides.
        match typed(document.value.clone()) {
            Ok(value) => return Ok((value, document)),
            Err(error) => problems.push(document.problem(&Path::default(), error.to_string())),
        }
    }
    problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
    problems.dedup();
    Err(problems)
}

/// Writes `value` as YAML, with enums as [`read`] reads them: the variant as a key.
///
/// # Errors
/// What YAML cannot hold.
pub fn print<T: serde::Serialize>(value: &T) -> Result<String, serde_yaml::Error> {
    let mut bytes = Vec::new();
    let mut to = serde_yaml::Serializer::new(&mut bytes);
    serde_yaml::with::singleton_map_recursive::serialize(value, &mut to)?;
    drop(to);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, serde_yaml::Error> {
    serde_yaml::with::singleton_map_recursive::deserialize(value)
}

fn syntax(file: &str, error: &serde_yaml::Error) -> Problem {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    Problem { file: file.to_owned(), line, column, message: error.to_string(), ..Problem::default() }
}

/// A value of which a key may stand twice (the last one counts): the duplicates are reported with
/// their places by the walk, and must not hide the other mistakes.
struct LastKeyWins(Value);

impl<'de> serde::Deserialize<'de> for LastKeyWins {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = LastKeyWins;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a plain value, a list or a mapping")
            }
            fn visit_bool<E>(self, value: bool) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(value.into()))
            }
            // A whole number that no setting can hold: its schema refuses it like any other that is too large.
            fn visit_i128<E>(self, value: i128) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins((value as f64).into()))
            }
            fn visit_u128<E>(self, value: u128) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins((value as f64).into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(value.into()))
            }
            fn visit_unit<E>(self) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(Value::Null))
            }
            fn visit_none<E>(self) -> Result<LastKeyWins, E> {
                Ok(LastKeyWins(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<LastKeyWins, D::Error> {
                from.deserialize_any(self)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<LastKeyWins, A::Error> {
                let mut items = Vec::new();
                while let Some(LastKeyWins(item)) = from.next_element()? {
                    items.push(item);
                }
                Ok(LastKeyWins(Value::Sequence(items)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<LastKeyWins, A::Error> {
                let mut map = serde_yaml::Mapping::new();
                while let Some((key, LastKeyWins(value))) = from.next_entry::<String, LastKeyWins>()? {
                    map.insert(Value::String(key), value);
                }
                Ok(LastKeyWins(Value::Mapping(map)))
            }
        }
        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_of_two_keys_counts_and_the_second_is_a_problem() {
        let (document, problems) = Document::parse("f", "a: 1\nb: {c: 2}\na: 3\n").unwrap();
        assert_eq!(document.part::<u32>(&Path::from("a")), Some(3));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].to_string(), "f:3:1: a: the key is written twice; first on line 1");
    }

    #[test]
    fn a_mark_before_the_text_is_not_part_of_it() {
        let (document, problems) = Document::parse("f", "\u{feff}a: 1\n").unwrap();
        assert_eq!((document.part::<u32>(&Path::from("a")), problems), (Some(1), Vec::new()));
    }

    #[test]
    fn merge_keys_and_aliases_are_followed() {
        let text = "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nlist: [*b]\n";
        let (document, problems) = Document::parse("f", text).unwrap();
        assert_eq!(problems, []);
        let mine = Path::from("mine");
        assert_eq!(document.part::<u32>(&mine.key("x")), Some(1));
        assert_eq!(document.part::<u32>(&mine.key("y")), Some(3));
        assert_eq!(document.problem(&mine.key("x"), "").column, 14);
        assert_eq!(document.problem(&Path::from("list").item(0).key("y"), "").column, 20);
    }

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn a_thousand_mistakes_are_not_all_told() {
        let text: String = (0..40_000).map(|number| format!("key{number}: 1\n")).collect();
        let problems = read::<Nothing>("f", &text, &[], |_| Vec::new()).err().unwrap();
        assert_eq!(problems.len(), 201);
        assert!(problems[200].message.contains("may be more"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c:,\\[\\]{}&*!|>'\"#\\-\n \u{e9}0-9.?%@~<]{0,200}") {
            match Document::parse("f", &text) {
                Ok((document, _)) => { let _ = document.len(&Path::default()); }
                Err(problems) => prop_assert!(!problems.is_empty()),
            }
        }
    }
}
