//! A value compared with a schema, and everything that differs said at once.
//!
//! The schema is the JSON Schema that schemars derives from the types that are read; of the
//! language it knows what schemars writes and no more, and [`super::keywords`] says what that is. The
//! words are for people who wrote a configuration, not for people who wrote a schema.

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::schema::{found, kind, kinds_of, literals, short, takes, types, variant};
use super::{Document, Path, PathSegment, Problem, list, suggest};
use crate::setting::Invalid;

/// A named form of text, `"format"` in a schema.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name in the schema.
    pub name: &'static str,
    /// What it is, with an article: `a span of time`.
    pub noun: &'static str,
    /// Says what is wrong with a text.
    pub check: fn(&str) -> Result<(), Invalid>,
}

/// After so many problems nobody reads on.
const ENOUGH: usize = 200;

/// Words under which people write secrets down.
const SECRETS: &[&str] =
    &["api_key", "apikey", "auth", "bearer_token", "password", "passwd", "secret", "token"];

pub(super) fn validate(
    document: &Document,
    value: &mut Value,
    schema: &Schema,
    formats: &[Format],
) -> (Vec<Problem>, Vec<Path>) {
    let mut judge = Validator { document, root: schema, formats, problems: Vec::new(), wrong: Vec::new() };
    judge.value(schema, value, &Path::default());
    if judge.full() {
        judge.problems.push(Problem::of_file(&document.file, "there may be more; these are enough for now"));
    }
    for path in &judge.wrong {
        omit(value, path.steps());
    }
    (judge.problems, judge.wrong)
}

/// Takes what is wrong out of the document, so that what stands beside it can still be read and checked. An item of
/// a list of mappings becomes nothing, because the places of those after it must stay; a plain list goes whole.
fn omit(value: &mut Value, steps: &[PathSegment]) {
    let Some((step, rest)) = steps.split_first() else { return };
    match (step, value) {
        (PathSegment::Key(key), Value::Mapping(map)) => {
            let plain = matches!((map.get(key.as_str()), rest), (Some(Value::Sequence(items)), [PathSegment::Item(_)])
                if !items.iter().any(Value::is_mapping));
            if rest.is_empty() || plain {
                map.remove(key.as_str());
            } else if let Some(inner) = map.get_mut(key.as_str()) {
                omit(inner, rest);
            }
        }
        (PathSegment::Item(index), Value::Sequence(items)) => {
            let Some(item) = items.get_mut(*index) else { return };
            if rest.is_empty() { *item = Value::Null } else { omit(item, rest) }
        }
        _ => {}
    }
}

struct Validator<'a> {
    document: &'a Document,
    root: &'a Schema,
    formats: &'a [Format],
    problems: Vec<Problem>,
    /// What the problems are about; not the mappings that lack a key.
    wrong: Vec<Path>,
}

impl<'a> Validator<'a> {
    fn wrong(&mut self, path: &Path, message: impl Into<String>) -> &mut Problem {
        let problem = self.document.problem(path, message);
        self.wrong.push(path.clone());
        self.push(problem)
    }

    fn wrong_key(&mut self, path: &Path, message: impl Into<String>) -> &mut Problem {
        let problem = self.document.key_problem(path, message);
        self.wrong.push(path.clone());
        self.push(problem)
    }

    fn push(&mut self, problem: Problem) -> &mut Problem {
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// Follows a reference. What stands beside one is a description or a default.
    fn resolve(&self, mut schema: &'a Schema) -> &'a Schema {
        for _ in 0..32 {
            let Some(reference) = schema["$ref"].as_str() else { return schema };
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let Some(target) = target else { return schema };
            schema = target;
        }
        schema
    }

    /// The alternatives of a schema, those of alternatives included; itself if it has none.
    fn branches(&self, schema: &'a Schema) -> Vec<&'a Schema> {
        let schema = self.resolve(schema);
        match schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            Some(all) => all.iter().flat_map(|branch| self.branches(branch)).collect(),
            None => vec![schema],
        }
    }

    fn full(&self) -> bool {
        self.problems.len() >= ENOUGH
    }

    fn value(&mut self, schema: &'a Schema, value: &mut Value, path: &Path) {
        if self.full() {
            return;
        }
        let branches = self.branches(schema);
        // A key of which nothing is left but itself is an empty mapping, where one may stand.
        let empty = value.is_null() && !branches.iter().any(|branch| takes(branch, "null"));
        if empty && branches.iter().any(|branch| takes(branch, "object")) {
            *value = Value::Mapping(Mapping::new());
        }
        let fitting: Vec<_> = branches
            .iter()
            .copied()
            .filter(|branch| kinds_of(value).iter().any(|k| takes(branch, k)))
            .collect();
        if fitting.is_empty() {
            self.wrong_kind(&branches, value, path);
            let free = |branch: &Schema| takes(branch, "string") && branch.get("format").is_none();
            if value.is_number() && branches.iter().any(|branch| free(branch) && literals(branch).is_empty())
            {
                // In quotes it would be right: what needs this key can still be checked.
                *value = Value::String(serde_yaml::to_string(value).unwrap_or_default().trim().to_owned());
                self.wrong.pop();
            }
            return;
        }
        match value {
            Value::Null | Value::Tagged(_) => {}
            Value::Bool(_) => self.choice(&fitting, value, path),
            Value::Number(_) => {
                self.choice(&fitting, value, path);
                self.number(fitting[0], value, path);
            }
            Value::String(text) => self.text(&fitting, text, path),
            Value::Sequence(items) => self.items(fitting[0], items, path),
            Value::Mapping(map) => self.mapping(&fitting, map, path),
        }
    }

    fn wrong_kind(&mut self, branches: &[&'a Schema], value: &Value, path: &Path) {
        let mut wanted: Vec<String> = Vec::new();
        for branch in branches {
            for kind in types(branch) {
                let noun = self.noun(branch, kind);
                if kind != "null" && !wanted.contains(&noun) {
                    wanted.push(noun);
                }
            }
        }
        let one_key = branches.iter().filter_map(|branch| variant(branch)).next().is_some();
        let text_wanted = branches.iter().any(|branch| takes(branch, "string"));
        let hint = match value {
            Value::String(text) if takes(branches[0], "boolean") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write true".to_owned()),
                "no" | "off" | "n" => Some("write false".to_owned()),
                _ => None,
            },
            Value::String(text) if one_key => {
                let known = branches.iter().filter_map(|branch| variant(branch)).map(|(key, _)| key);
                suggest(text, known).map(|key| format!("write it as a key: \"{key}:\""))
            }
            Value::Number(_) | Value::Bool(_) if text_wanted => Some(self.as_text(branches, value)),
            Value::Null if branches.iter().any(|branch| takes(branch, "array")) => {
                Some("write [] for none, or delete the key for the default".to_owned())
            }
            Value::Null => Some("give it a value, or delete the key for the default".to_owned()),
            _ => None,
        };
        let found = if self.explains(branches) { kind(value).to_owned() } else { found(value) };
        let message = format!("expected {}, found {found}", wanted.join(" or "));
        self.wrong(path, message).hint = hint;
    }

    /// Whether what stands here may be a secret: it is one by its schema, or holds some.
    fn explains(&self, branches: &[&'a Schema]) -> bool {
        let secret = |schema: &Schema| schema["writeOnly"] == true;
        branches.iter().any(|branch| {
            let inside = [&branch["additionalProperties"], &branch["items"]];
            secret(branch) || inside.into_iter().any(|of| self.branches(of).into_iter().any(secret))
        })
    }

    /// What to do with a number that should be text.
    fn as_text(&self, branches: &[&Schema], value: &Value) -> String {
        let text = serde_yaml::to_string(value).unwrap_or_default();
        let form = branches.iter().find_map(|branch| {
            self.formats.iter().find(|known| Some(known.name) == branch["format"].as_str())
        });
        // In quotes it might still not be what is wanted.
        match form.map(|form| (form.check)(text.trim())) {
            Some(Err(Invalid { what, hint })) => hint.unwrap_or(what),
            _ => "put it in quotes".to_owned(),
        }
    }

    /// What is expected, with an article.
    fn noun(&self, schema: &Schema, kind: &str) -> String {
        let form = schema["format"].as_str();
        if kind == "string"
            && let Some(form) = self.formats.iter().find(|known| Some(known.name) == form)
        {
            return form.noun.to_owned();
        }
        match kind {
            "string" if !literals(schema).is_empty() => "one of certain words",
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a mapping",
            _ => "nothing",
        }
        .to_owned()
    }

    /// A value that is one of a few, if only those fit.
    fn choice(&mut self, fitting: &[&'a Schema], value: &Value, path: &Path) {
        let known: Vec<&Schema> = fitting.iter().flat_map(|branch| literals(branch)).collect();
        let free = fitting.iter().any(|branch| literals(branch).is_empty());
        let same = |literal: &&Schema| serde_yaml::to_value(literal).is_ok_and(|literal| literal == *value);
        if !free && !known.iter().any(same) {
            let words = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.wrong(path, format!("{} is none of {words}", found(value)));
        }
    }

    fn text(&mut self, fitting: &[&'a Schema], text: &str, path: &Path) {
        let known: Vec<&str> = fitting.iter().flat_map(|b| literals(b)).filter_map(Schema::as_str).collect();
        if known.contains(&text) {
            return;
        }
        let Some(free) = fitting.iter().find(|branch| literals(branch).is_empty()) else {
            let meant = suggest(text, known.iter().copied());
            let message = format!("unknown value \"{}\"{}", short(text), did_you_mean(meant));
            self.wrong(path, message).hint = Some(format!("one of {}", list(known)));
            return;
        };
        let form = free["format"].as_str();
        if let Some(form) = self.formats.iter().find(|known| Some(known.name) == form) {
            if let Err(Invalid { what, hint }) = (form.check)(text) {
                self.wrong(path, what).hint = hint;
            }
            return;
        }
        if let Some(pattern) = free["pattern"].as_str()
            && !regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            self.wrong(path, format!("\"{}\" does not match {pattern}", short(text)));
        }
        let length = text.chars().count() as u64;
        if free["minLength"].as_u64().is_some_and(|least| length < least) {
            let message = if length == 0 { "the text is empty" } else { "the text is too short" };
            self.wrong(path, message);
        }
        if let Some(most) = free["maxLength"].as_u64().filter(|most| length > *most) {
            self.wrong(path, format!("the text has {length} characters; {most} is the limit"));
        }
    }

    fn number(&mut self, schema: &Schema, value: &Value, path: &Path) {
        let Some(number) = value.as_f64() else { return };
        let limit = |key: &str| schema[key].as_f64();
        let message = if !number.is_finite() {
            format!("{} is not a finite number", found(value))
        } else if let Some(least) = limit("minimum").filter(|least| number < *least) {
            format!("{number} is too small; the minimum is {least}")
        } else if let Some(most) = limit("maximum").filter(|most| number > *most) {
            format!("{number} is too large; the maximum is {most}")
        } else if let Some(least) = limit("exclusiveMinimum").filter(|least| number <= *least) {
            format!("{number} is too small; it must be above {least}")
        } else if let Some(most) = limit("exclusiveMaximum").filter(|most| number >= *most) {
            format!("{number} is too large; it must be below {most}")
        } else {
            return;
        };
        self.wrong(path, message);
    }

    fn items(&mut self, schema: &'a Schema, items: &mut [Value], path: &Path) {
        if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
            let message = match items.len() {
                0 => "the list is empty".to_owned(),
                given => format!("the list has {given} items; the minimum is {least}"),
            };
            self.wrong(path, message);
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
            self.wrong(path, format!("the list has {} items; the maximum is {most}", items.len()));
        }
        if let Some(of) = schema.get("items") {
            for (index, item) in items.iter_mut().enumerate() {
                self.value(of, item, &path.item(index));
            }
        }
    }

    fn mapping(&mut self, fitting: &[&'a Schema], map: &mut Mapping, path: &Path) {
        let variants: Vec<_> = fitting.iter().filter_map(|branch| variant(branch)).collect();
        if variants.len() == fitting.len() && fitting.len() > 1 {
            return self.variant(&variants, map, path);
        }
        if let Some(branch) = self.tagged(fitting, map, path) {
            return self.properties(branch, map, path);
        }
        // Unmarked alternatives: the one that fits best speaks.
        let mut best: Option<(Validator<'_>, Mapping)> = None;
        for branch in fitting {
            let mut judge = Validator { problems: Vec::new(), wrong: Vec::new(), ..*self };
            let mut copy = map.clone();
            judge.properties(branch, &mut copy, path);
            if best.as_ref().is_none_or(|(least, _)| judge.problems.len() < least.problems.len()) {
                best = Some((judge, copy));
            }
        }
        if let Some((judge, copy)) = best {
            *map = copy;
            self.problems.extend(judge.problems);
            self.wrong.extend(judge.wrong);
        }
    }

    /// The only branch, or the one that a property with a fixed value points at.
    fn tagged(&mut self, fitting: &[&'a Schema], map: &Mapping, path: &Path) -> Option<&'a Schema> {
        if let [only] = fitting {
            return Some(only);
        }
        let (tag, _) = fitting[0]["properties"].as_object()?.iter().find(|(key, _)| {
            fitting.iter().all(|branch| branch["properties"][key.as_str()].get("const").is_some())
        })?;
        let given = map.get(tag.as_str())?.as_str()?;
        let known = |branch: &'a Schema| branch["properties"][tag.as_str()]["const"].as_str();
        let found = fitting.iter().copied().find(|branch| known(branch) == Some(given));
        if found.is_none() {
            let words: Vec<&str> = fitting.iter().copied().filter_map(known).collect();
            let meant = did_you_mean(suggest(given, words.iter().copied()));
            let message = format!("unknown value \"{}\"{meant}", short(given));
            self.wrong(&path.key(tag), message).hint = Some(format!("one of {}", list(words)));
            return Some(&Schema::Null);
        }
        found
    }

    /// A mapping whose one key says what it is.
    fn variant(&mut self, variants: &[(&'a str, &'a Schema)], map: &mut Mapping, path: &Path) {
        let kinds = list(variants.iter().map(|(kind, _)| *kind));
        let given: Vec<String> = map.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect();
        let known = |key: &String| variants.iter().find(|(kind, _)| kind == key);
        let first = given.iter().find_map(|key| known(key).map(|found| (key.clone(), found.1)));
        let Some((kind, schema)) = first else {
            let Some(key) = given.first() else {
                self.wrong(path, "says no kind").hint = Some(format!("one of {kinds}"));
                return;
            };
            let meant = did_you_mean(suggest(key, variants.iter().map(|(kind, _)| *kind)));
            self.wrong_key(&path.key(key), format!("unknown kind{meant}")).hint =
                Some(format!("one of {kinds}"));
            return;
        };
        let bare = map.get(kind.as_str()).is_some_and(Value::is_null);
        for other in given.iter().filter(|key| **key != kind) {
            let (message, hint) = if known(other).is_some() {
                (format!("a second kind after \"{kind}\""), "begin each with its own dash".to_owned())
            } else if bare {
                let hint = format!("indent it by two more, so that it stands inside of \"{kind}:\"");
                (format!("stands beside \"{kind}\""), hint)
            } else {
                (format!("stands beside \"{kind}\""), format!("settings stand inside of \"{kind}:\""))
            };
            self.wrong_key(&path.key(other), message).hint = Some(hint);
        }
        // With settings beside it, what it lacks has been said.
        if (given.len() == 1 || !bare)
            && let Some(value) = map.get_mut(kind.as_str())
        {
            self.value(schema, value, &path.key(&kind));
        }
    }

    fn properties(&mut self, schema: &'a Schema, map: &mut Mapping, path: &Path) {
        if schema.is_null() {
            return;
        }
        let none = serde_json::Map::new();
        let properties = schema["properties"].as_object();
        let names = || properties.unwrap_or(&none).keys().map(String::as_str);
        for (key, value) in map.iter_mut() {
            let Some(key) = key.as_str().filter(|_| !self.full()) else { continue };
            let path = path.key(key);
            if let Some(of) = properties.and_then(|all| all.get(key)) {
                self.value(of, value, &path);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Schema::Bool(false)) => {
                    let secret = SECRETS.contains(&key.to_lowercase().as_str());
                    let file =
                        names().find(|name| name.ends_with("_token_file") || name.ends_with("password_file"));
                    let (meant, hint) = match (secret, file) {
                        (true, Some(file)) => {
                            (String::new(), Some(format!("secrets are read from files: use {file}")))
                        }
                        (true, None) => (String::new(), Some("secrets are read from files".to_owned())),
                        _ => {
                            let meant = suggest(key, names());
                            let known = format!("known here: {}", list(names()));
                            (did_you_mean(meant), meant.is_none().then_some(known))
                        }
                    };
                    self.wrong_key(&path, format!("unknown key{meant}")).hint = hint;
                }
                Some(of @ Schema::Object(_)) => self.value(of, value, &path),
                _ => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str) {
            if !map.contains_key(name) {
                let problem = self.document.key_problem(path, format!("the key \"{name}\" is missing"));
                self.push(problem);
            }
        }
    }
}

fn did_you_mean(word: Option<&str>) -> String {
    word.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use crate::document::read;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Sample {
        /// Needed.
        size: u8,
        #[serde(default)]
        ratio: Option<f64>,
        #[serde(default)]
        flag: bool,
        #[serde(default)]
        kinds: Vec<Kind>,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        level: Level,
        #[serde(default)]
        bearer_token_file: Option<String>,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        text: String,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is of interest")]
    enum Kind {
        Statsd(Inner),
        Scrape(Inner),
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    enum Rule {
        Keep { name: String },
        Drop { name: String, why: Option<String> },
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Level {
        /// Much.
        #[default]
        High,
        /// Little.
        Low,
    }

    #[track_caller]
    fn expect_problems(text: &str, expected: &str) {
        let problems = match read::<Sample>("f", text, &[], |_| Vec::new()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        let expect_problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(expect_problems.join("\n"), expected.trim(), "{text}");
    }

    #[test]
    fn each_mistake_is_told_in_words() {
        expect_problems("size: 1", "");
        expect_problems("{}", "f:1:1: the key \"size\" is missing");
        expect_problems("size: 300", "f:1:7: size: 300 is too large; the maximum is 255");
        expect_problems("size: 1.5", "f:1:7: size: expected a whole number, found the number 1.5");
        expect_problems("size: fast", "f:1:7: size: expected a whole number, found the text \"fast\"");
        expect_problems("- 1", "f:1:1: expected a mapping, found a list");
        expect_problems("size: 1\nratio:\n", "");
        expect_problems("size: 1\nratio: .inf\n", "f:2:8: ratio: the number .inf is not a finite number");
        let yes = "f:2:7: flag: expected true or false, found the text \"yes\"\n  hint: write true";
        expect_problems("size: 1\nflag: yes", yes);
        expect_problems(
            "size: 1\nlevel: hig",
            "f:2:8: level: unknown value \"hig\"; did you mean \"high\"?\n  hint: one of high, low",
        );
        expect_problems("size: 1\nsiez: 1", "f:2:1: siez: unknown key; did you mean \"size\"?");
        let secret = "f:2:1: token: unknown key\n  hint: secrets are read from files: use bearer_token_file";
        expect_problems("size: 1\ntoken: x", secret);
        let number = "f:2:9: inner.text: expected text, found the number 1.1\n  hint: put it in quotes";
        expect_problems("size: 1\ninner: {text: 1.10}", &number.replace("2:9", "2:15"));
        expect_problems("size: 1\ninner: 5", "f:2:8: inner: expected a mapping, found the number 5");
        expect_problems(
            "size: 1\nkinds:",
            "f:2:6: kinds: expected a list, found nothing\n  hint: write [] for none, or delete the key for the default",
        );
    }

    #[test]
    fn a_kind_is_known_by_its_key() {
        expect_problems("size: 1\nkinds:\n- statsd:\n- scrape: {text: x}", "");
        let unknown =
            "f:3:3: kinds[0].statd: unknown kind; did you mean \"statsd\"?\n  hint: one of statsd, scrape";
        expect_problems("size: 1\nkinds:\n- statd: {}", unknown);
        expect_problems(
            "size: 1\nkinds:\n- statsd: {texd: 1}",
            "f:3:12: kinds[0].statsd.texd: unknown key; did you mean \"text\"?",
        );
        let beside = "f:4:3: kinds[0].text: stands beside \"statsd\"\n  hint: indent it by two more, so that it stands inside of \"statsd:\"";
        expect_problems("size: 1\nkinds:\n- statsd:\n  text: x", beside);
        let second =
            "f:4:3: kinds[0].scrape: a second kind after \"statsd\"\n  hint: begin each with its own dash";
        expect_problems("size: 1\nkinds:\n- statsd:\n  scrape:", second);
        let bare = "f:3:3: kinds[0]: expected a mapping, found the text \"statsd\"\n  hint: write it as a key: \"statsd:\"";
        expect_problems("size: 1\nkinds:\n- statsd", bare);
        expect_problems(
            "size: 1\nkinds:\n- {}",
            "f:3:3: kinds[0]: says no kind\n  hint: one of statsd, scrape",
        );
    }

    #[test]
    fn a_tag_chooses_the_branch() {
        expect_problems("size: 1\nrules:\n- {action: drop, name: x}", "");
        let missing = "f:3:3: rules[0]: the key \"name\" is missing";
        expect_problems("size: 1\nrules:\n- {action: drop}", missing);
        let unknown = "f:3:12: rules[0].action: unknown value \"dorp\"; did you mean \"drop\"?\n  hint: one of keep, drop";
        expect_problems("size: 1\nrules:\n- {action: dorp, name: x}", unknown);
    }
}
