//! What is known of one channel at the full rate: its last second, put together from tenths, and what happened in it.

/// An artefact is so many times as high as what is usual.
const ARTEFACT: f32 = 4.0;
/// An artefact is over when so many parts were as before: a blink rises, stands and falls.
const CALM: u32 = 4;
/// Parts over which it is learnt what is usual: the weight of the newest is one in so many.
const USUAL: f32 = 100.0;
/// Parts from which it is learnt to begin with.
const LEARNT: usize = 10;

/// What is known of a channel in a tenth of a second, or the like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub rows: f64,
    /// What `sum` and `squares` are about.
    pub about: f64,
    pub sum: f64,
    pub squares: f64,
    /// Samples at a rail.
    pub railed: f64,
    pub least: f32,
    pub most: f32,
    /// Its last sample.
    pub last: f32,
}

/// The extremes of no sample.
const NOTHING: (f32, f32) = (f32::MAX, f32::MIN);

/// One channel, at the full rate.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    /// Rows of this second, their mean, and the sum of squares about it.
    rows: f64,
    mean: f64,
    squares: f64,
    railed: f64,
    least: f32,
    most: f32,
    /// The same extremes of the last three seconds, the newest first.
    extremes: [(f32, f32); 3],
    /// Parts of this second without a change, and shares of time without in the last three.
    still_parts: usize,
    pub still: [f64; 3],
    /// The last sample of the part before.
    last: Option<f32>,
    /// What height a part usually has, and of how many it was learnt.
    usual: f32,
    learnt: usize,
    /// Parts until an artefact is over.
    excited: u32,
    /// Whether the part before was without a change.
    dead: bool,
    /// Since the last report.
    pub artefacts: u32,
    pub dropouts: u32,
}

impl Channel {
    /// A channel that sent nothing yet.
    pub(super) fn new() -> Self {
        let mut channel = Self { extremes: [NOTHING; 3], ..Self::default() };
        channel.begin_second();
        channel
    }

    /// Folds a part.
    pub(super) fn part(&mut self, part: &Part) {
        let Part { rows: n, about, sum, squares, railed, least, most, last } = *part;
        let mean = about + sum / n;
        let about_mean = (squares - sum * sum / n).max(0.0);
        let (all, apart) = (self.rows + n, mean - self.mean);
        self.squares += about_mean + apart * apart * self.rows * n / all;
        self.mean += apart * n / all;
        self.rows = all;
        self.railed += railed;
        self.least = self.least.min(least);
        self.most = self.most.max(most);
        // A step between two parts is one too.
        let before = self.last.replace(last).unwrap_or(least);
        self.height(most.max(before) - least.min(before));
    }

    /// Sees the height of a part, from its least to its most.
    fn height(&mut self, height: f32) {
        let dead = height <= 0.0;
        self.still_parts += usize::from(dead);
        self.dropouts += u32::from(dead && !self.dead && self.learnt > 0);
        self.dead = dead;
        let warm = self.learnt >= LEARNT;
        if warm && height > ARTEFACT * self.usual {
            self.artefacts += u32::from(self.excited == 0);
            self.excited = CALM;
        }
        self.excited = self.excited.saturating_sub(1);
        if !dead {
            let weight = if warm { 1.0 / USUAL } else { 1.0 / (self.learnt + 1) as f32 };
            let bounded = if warm { height.min(ARTEFACT * self.usual) } else { height };
            self.usual += (bounded - self.usual) * weight;
            self.learnt = (self.learnt + 1).min(LEARNT);
        }
    }

    /// The second ends, of so many parts.
    pub(super) fn end_second(&mut self, parts: usize) {
        let [a, b, _] = self.extremes;
        self.extremes = [(self.least, self.most), a, b];
        let [a, b, _] = self.still;
        self.still = [self.still_parts as f64 / parts as f64, a, b];
    }

    /// The next second begins.
    pub(super) fn begin_second(&mut self) {
        (self.rows, self.mean, self.squares, self.railed) = (0.0, 0.0, 0.0, 0.0);
        ((self.least, self.most), self.still_parts) = (NOTHING, 0);
    }

    /// Mean of the second.
    pub(super) fn offset(&self) -> f64 {
        self.mean
    }

    /// Root mean square about it.
    pub(super) fn rms(&self) -> f64 {
        (self.squares / self.rows.max(1.0)).sqrt()
    }

    /// Share of the second's samples at a rail.
    pub(super) fn railed(&self) -> f64 {
        self.railed / self.rows.max(1.0)
    }

    /// Largest distance from the middle between the rails in the last three seconds, as a share of theirs.
    pub(super) fn peak(&self, (low, high): (f32, f32)) -> f64 {
        let (low, high) = (f64::from(low), f64::from(high));
        let (middle, half) = (f64::midpoint(low, high), (high - low) / 2.0);
        let (least, most) =
            self.extremes.iter().fold(NOTHING, |all, one| (all.0.min(one.0), all.1.max(one.1)));
        ((middle - f64::from(least)).max(f64::from(most) - middle) / half).clamp(0.0, 1.0)
    }
}
