//! What a device's signal looked like in the last seconds, a strip for each channel.

use std::fmt::Write;

use super::escape;
use crate::analysis::{EnvelopeView, Extent, PIECES};
use crate::catalog::Unit;
use crate::view::Card;
use crate::view::words::amount;

/// Channels that are drawn: a page with more is no recorder's screen.
const CHANNELS: usize = 64;
/// The height of a strip in the drawing's own units; its width is a unit for each piece. Whole units are fine enough, and what is
/// sent each second is shorter than with fractions.
const HEIGHT: f32 = 100.0;
/// Room above and below.
const EDGE: f32 = 5.0;

/// The names of a card's channels, by their number from 1.
#[must_use]
pub fn channel_names(card: &Card) -> Vec<(usize, String)> {
    let number = |id: &str| id.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    card.parts.iter().filter_map(|part| Some((number(&part.id)?, part.name.clone()))).collect()
}

/// The piece of the page that shows it.
#[must_use]
pub fn preview(names: &[(usize, String)], seen: Option<&EnvelopeView>) -> String {
    let mut out = String::from("<h2>The last ten seconds</h2>");
    let Some(seen) = seen else {
        out.push_str("<p class=quiet>Nothing is seen of it now.</p>");
        return out;
    };
    for (place, pieces) in seen.channels.iter().take(CHANNELS).enumerate() {
        let name = names.iter().find(|(number, _)| *number == place + 1).map(|(_, name)| name.clone());
        strip(&mut out, &name.unwrap_or_else(|| (place + 1).to_string()), pieces, seen.volts);
    }
    let more = seen.channels.len().saturating_sub(CHANNELS);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<p class=quiet>The least and the greatest of each {:.0} ms, each channel on a scale of its own{}.</p>",
        seen.piece * 1000.0,
        if more > 0 { format!("; {more} more channels are not drawn") } else { String::new() }
    );
    out
}

fn strip(out: &mut String, name: &str, pieces: &[Extent], volts: bool) {
    let known = || pieces.iter().filter(|[least, _]| !least.is_nan());
    let least = known().fold(f32::INFINITY, |all, [least, _]| all.min(*least));
    let greatest = known().fold(f32::NEG_INFINITY, |all, [_, greatest]| all.max(*greatest));
    let unit = if volts { Unit::Volts } else { Unit::None };
    let words = if least > greatest {
        "nothing".to_owned()
    } else {
        format!("{} to {}", amount(least.into(), unit), amount(greatest.into(), unit))
    };
    let (name, words) = (escape(name), escape(&words));
    let _ = write!(
        out,
        "<figure class=\"plot strip\"><figcaption>{name}: <b>{words}</b></figcaption>\
         <svg viewBox=\"-1 0 {} {HEIGHT}\" preserveAspectRatio=none role=img aria-label=\"{name}: {words}\"><path d=\"",
        PIECES + 1
    );
    draw(out, pieces, least, greatest);
    out.push_str("\"/></svg></figure>");
}

/// A line from the least to the greatest of each piece, which reaches what is before it; a gap is a gap.
fn draw(out: &mut String, pieces: &[Extent], least: f32, greatest: f32) {
    let room = (greatest - least).max(f32::MIN_POSITIVE);
    let y = |value: f32| {
        if greatest > least {
            HEIGHT - EDGE - (value - least) / room * (HEIGHT - 2.0 * EDGE)
        } else {
            HEIGHT / 2.0
        }
    };
    let mut before: Option<Extent> = None;
    for (place, [low, high]) in pieces.iter().enumerate() {
        if low.is_nan() {
            before = None;
            continue;
        }
        let (from, to) = before.map_or((*low, *high), |[b_low, b_high]| (low.min(b_high), high.max(b_low)));
        // What is flat can be seen as well.
        let top = y(to).round();
        let bottom = y(from).round().max(top + 1.0);
        let _ = write!(out, "M{place} {top}V{bottom}");
        before = Some([*low, *high]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_what_was_and_a_gap() {
        let nothing = [f32::NAN; 2];
        let mut out = String::new();
        draw(&mut out, &[[0.0, 10.0], [10.0, 10.0], nothing, [0.0, 0.0]], 0.0, 10.0);
        assert_eq!(out, "M0 5V95M1 5V6M3 95V96");
        let mut pieces = vec![nothing; PIECES];
        pieces[199] = [-1e-6, 2e-6];
        let seen = EnvelopeView { volts: true, piece: 0.052, channels: vec![pieces, vec![nothing; PIECES]] };
        let shown = preview(&[(1, "1 <C3>".into())], Some(&seen));
        assert!(
            shown.contains("1 &lt;C3&gt;: <b>-1 µV to 2 µV</b>") && shown.contains("2: <b>nothing</b>"),
            "{shown}"
        );
        assert!(shown.contains("of each 52 ms") && shown.matches("<path").count() == 2, "{shown}");
    }
}
