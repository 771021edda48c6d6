//! A window of the history as requests of OTLP.

use super::Sender;
use crate::promql::NAME;
use crate::remote_write::delivery::Count;
use crate::store::Window;
use crate::write_request::{Exports, Series};

impl Sender<'_> {
    /// Sends all of it. What belongs to one histogram goes as one point, so that requests are made of the window as a whole.
    pub(super) async fn export_window(&mut self, window: &Window, behind: bool) {
        let families = std::mem::take(&mut self.families);
        let mut left: u64 = 0;
        let mut wanted = Vec::with_capacity(window.series.len());
        for stretch in &window.series {
            let samples = stretch.samples.len() as u64;
            match self.labels(&stretch.labels) {
                Some(labels) => {
                    left += samples;
                    wanted.push((labels, stretch));
                }
                None => {
                    let exemplars = stretch.exemplars.len() as u64;
                    self.delivery.dropped("relabelled", Count { samples, exemplars });
                }
            }
        }
        let series = wanted.iter().map(|(labels, stretch)| Series {
            labels,
            samples: &stretch.samples,
            began: stretch.began,
            exemplars: &stretch.exemplars,
            family: labels.iter().find(|(name, _)| name == NAME).and_then(|(_, name)| families.get(name)),
        });
        for export in Exports::new(series, self.settings.queue_config.max_samples_per_send) {
            self.pending(left);
            let lost = Count { samples: export.incomplete, exemplars: export.homeless };
            self.delivery.dropped("incomplete", lost);
            if export.points > 0 {
                let count = Count { samples: export.points, exemplars: export.exemplars };
                self.delivery.deliver(&export.body, count).await;
                self.pace(export.samples, behind).await;
            }
            left = left.saturating_sub(export.samples);
        }
        self.pending(0);
        self.families = families;
    }
}
