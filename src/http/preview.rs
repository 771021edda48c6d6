//! What the signal of a device looks like, for who looks at its page while the configuration permits it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::json;
use tokio::sync::mpsc;

use super::api::Parameters;
use super::view::event;
use super::{Reply, Site, reply};
use crate::analysis::EnvelopeView;
use crate::clock::now;
use crate::view::html;

/// From one look to the next.
const EACH: Duration = Duration::from_secs(1);

impl Site {
    /// Whether the configuration permits that signals are seen.
    pub(super) fn previews(&self) -> bool {
        self.hub.lock().keeps_envelopes()
    }

    /// What is seen of a device now.
    pub(super) fn preview(&self, device: &str) -> Option<EnvelopeView> {
        self.hub.lock().envelope(device, now())
    }

    /// The numbers, as JSON.
    pub(super) fn preview_json(&self, request: &Parts) -> Reply {
        if !self.previews() {
            let why = "signals are not shown; page.preview: true in the configuration shows them\n";
            return reply::text(StatusCode::NOT_FOUND, why);
        }
        let parameters = Parameters::read(request, &[]);
        let device = parameters.get("device").unwrap_or_default();
        let Some(seen) = self.preview(device) else {
            return reply::text(StatusCode::NOT_FOUND, "no device of this name streams\n");
        };
        let number = |value: f32| Some(value).filter(|value| value.is_finite());
        let side = |pieces: &[[f32; 2]], side: usize| -> Vec<Option<f32>> {
            pieces.iter().map(|piece| piece.get(side).copied().and_then(number)).collect()
        };
        let channels: Vec<_> = seen
            .channels
            .iter()
            .zip(1..)
            .map(|(pieces, channel)| json!({"channel": channel, "least": side(pieces, 0), "greatest": side(pieces, 1)}))
            .collect();
        let all = json!({"device": device, "volts": seen.volts, "seconds_of_a_piece": seen.piece, "channels": channels});
        reply::json(StatusCode::OK, all.to_string())
    }

    /// The strips of a device as they change, for as long as the client reads them.
    pub(super) fn live_preview(self: &Arc<Self>, device: String) -> mpsc::Receiver<Bytes> {
        let (send, receive) = mpsc::channel(1);
        let site = self.clone();
        tokio::spawn(async move {
            let wanted = device.clone();
            let names = site.shown(move |snapshot| {
                let mut cards = snapshot.cards.iter();
                let card = cards.find(|card| card.kind == "device" && card.name == wanted);
                card.map(html::channel_names).unwrap_or_default()
            });
            let names = names.await.unwrap_or_default();
            let mut tick = tokio::time::interval(EACH);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = site.ended.cancelled() => return,
                    () = send.closed() => return,
                    _ = tick.tick() => {}
                }
                let shown = site.previews().then(|| html::preview(&names, site.preview(&device).as_ref()));
                let piece = event("preview", &shown.unwrap_or_default());
                tokio::select! {
                    biased;
                    () = site.ended.cancelled() => return,
                    sent = send.send(piece) => if sent.is_err() { return },
                }
            }
        });
        receive
    }
}
