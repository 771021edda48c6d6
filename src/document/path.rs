//! The way from the root of a document to a value: `sources[1].statsd.listen`.

use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// Into a mapping.
    Key(String),
    /// Into a list, counted from 0.
    Item(usize),
}

/// The way from the root of a document to a value in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<PathSegment>);

impl Path {
    /// One step further, into a mapping.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(PathSegment::Key(key.to_owned()))
    }

    /// One step further, into a list.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.step(PathSegment::Item(index))
    }

    /// The steps, from the root.
    #[must_use]
    pub fn steps(&self) -> &[PathSegment] {
        &self.0
    }

    fn step(&self, step: PathSegment) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl From<&str> for Path {
    fn from(key: &str) -> Self {
        Self::default().key(key)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                PathSegment::Item(index) => write!(f, "[{index}]")?,
                PathSegment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |c: char| c.is_alphanumeric() || "_-/<".contains(c);
                    if !key.is_empty() && key.chars().all(plain) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_people_write_them() {
        let path = Path::from("sources").item(1).key("statsd").key("listen").item(0);
        assert_eq!(path.to_string(), "sources[1].statsd.listen[0]");
        assert_eq!(Path::from("prices").key("gpt.4").to_string(), "prices.\"gpt.4\"");
        assert_eq!(Path::default().to_string(), "");
    }
}
