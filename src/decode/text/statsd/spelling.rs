//! The name and labels behind a key of StatsD.

use super::Type;
use crate::decode::text::mapping::{Mapped, Mapper, Renamed, Verdict};
use crate::decode::text::tags::{self, NameStyles};
use crate::event::{FaultKind, Kind, Spell, Spelled};

/// A key and the rules it is spelled by.
pub(super) struct Spelling<'a> {
    /// Edition and type, then the name, and maybe a byte between and tags.
    pub(super) key: &'a [u8],
    pub(super) name_ends: usize,
    pub(super) kind: Type,
    pub(super) styles: NameStyles,
    pub(super) mapper: &'a Mapper,
}

impl Spell for Spelling<'_> {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        let name = text(self.key.get(super::PREFIX..self.name_ends))?;
        let dog = text(self.key.get(self.name_ends + 1..))?;
        let name = self.styles.split(name, &mut out.labels)?;
        if !dog.is_empty() {
            if !out.labels.is_empty() {
                // Two styles in one line: nobody can say which of them is meant.
                return Err(FaultKind::Syntax);
            }
            tags::dogstatsd(dog, &mut out.labels)?;
        }
        (out.ttl, out.bounds) = (self.mapper.ttl(), self.mapper.bounds());
        out.name = match self.mapper.map(&name, self.kind.mapped()) {
            Mapped::Unmatched => tags::legal(&name),
            // Lines that a rule drops do not come this far.
            Mapped::Dropped => return Err(FaultKind::BadName),
            Mapped::Renamed(renamed) => rename(renamed, out)?,
        };
        out.kind = match self.kind {
            Type::Counter => Kind::Counter,
            Type::Gauge | Type::Set => Kind::Gauge,
            Type::Timer | Type::Histogram | Type::Distribution => Kind::Histogram,
        };
        if out.kind != Kind::Histogram {
            out.bounds = None;
        } else if out.labels.iter().any(|(label, _)| label == "le") {
            return Err(FaultKind::BadName);
        }
        if out.kind == Kind::Counter && out.name.len() > "_total".len() && out.name.ends_with("_total") {
            out.name.truncate(out.name.len() - "_total".len());
        }
        if out.name.is_empty() { Err(FaultKind::BadName) } else { Ok(()) }
    }
}

/// Takes over what a rule says, and gives the name.
fn rename(renamed: Renamed<'_>, out: &mut Spelled) -> Result<String, FaultKind> {
    for (label, value) in renamed.labels {
        let tagged = || out.labels.iter().any(|(known, _)| known == label);
        if !(renamed.honor_labels && tagged()) {
            tags::set(&mut out.labels, label.to_owned(), value)?;
        }
    }
    renamed.help.clone_into(&mut out.help);
    (out.ttl, out.bounds) = (renamed.ttl, renamed.bounds);
    Ok(tags::legal(&renamed.name))
}

/// What the rules decide of a name that may carry tags. One that is no text is refused later.
pub(super) fn verdict(name: &[u8], kind: Type, styles: NameStyles, mapper: &Mapper) -> Verdict {
    let mut labels = Vec::new();
    let bare = std::str::from_utf8(name).ok().and_then(|name| styles.split(name, &mut labels).ok());
    bare.map_or(Verdict { drop: false, scale: 1.0 }, |bare| mapper.verdict(&bare, kind.mapped()))
}

fn text(bytes: Option<&[u8]>) -> Result<&str, FaultKind> {
    std::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| FaultKind::Encoding)
}
