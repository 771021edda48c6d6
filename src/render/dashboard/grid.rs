//! Where panels stand: 24 columns, every line full, panels of one line of one height.

use serde::Serialize;

/// The columns of a dashboard.
pub(super) const COLUMNS: u32 = 24;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct GridPos {
    pub(super) h: u32,
    pub(super) w: u32,
    pub(super) x: u32,
    pub(super) y: u32,
}

/// What a panel asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelSize {
    /// How many of its kind stand beside each other.
    pub(super) beside: u8,
    /// How high it is.
    pub(super) height: u32,
}

/// Places for panels from line `y` on, and the line below them. Neighbours that ask for the same number beside
/// each other share their lines evenly.
pub(super) fn places(wishes: &[PanelSize], mut y: u32) -> (Vec<GridPos>, u32) {
    let mut places = Vec::with_capacity(wishes.len());
    for run in wishes.chunk_by(|a, b| a.beside == b.beside) {
        let most = run.first().map_or(1, |size| usize::from(size.beside.max(1)));
        let lines = run.len().div_ceil(most).max(1);
        let (each, more) = (run.len() / lines, run.len() % lines);
        let mut rest = run;
        for line in 0..lines {
            let (now, later) = rest.split_at((each + usize::from(line < more)).min(rest.len()));
            rest = later;
            let h = now.iter().map(|size| size.height).max().unwrap_or_default();
            let many = u32::try_from(now.len()).unwrap_or(1).max(1);
            places.extend((0..many).map(|at| {
                let x = at * COLUMNS / many;
                GridPos { x, y, w: (at + 1) * COLUMNS / many - x, h }
            }));
            y += h;
        }
    }
    (places, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_full_and_nothing_overlaps() {
        for many in 1..30 {
            for beside in 1..7 {
                let wishes = vec![PanelSize { beside, height: 8 }; many];
                let (places, below) = places(&wishes, 3);
                let lines = many.div_ceil(usize::from(beside)) as u32;
                assert_eq!((places.len(), below), (many, 3 + 8 * lines));
                assert_eq!(places.iter().map(|place| place.w * place.h).sum::<u32>(), COLUMNS * 8 * lines);
                for pair in places.windows(2) {
                    let next = (pair[0].x + pair[0].w, pair[0].y);
                    let start = (0, pair[0].y + 8);
                    assert!([next, start].contains(&(pair[1].x, pair[1].y)), "{pair:?}");
                }
            }
        }
    }

    #[test]
    fn a_line_is_as_high_as_its_highest() {
        let (places, below) = places(
            &[
                PanelSize { beside: 2, height: 8 },
                PanelSize { beside: 2, height: 9 },
                PanelSize { beside: 6, height: 4 },
            ],
            0,
        );
        assert_eq!(places.iter().map(|place| place.h).collect::<Vec<_>>(), [9, 9, 4]);
        assert_eq!(below, 13);
    }
}
