//! A hub that takes requests of OTLP.

use std::sync::Arc;

use neural_exporter::decode::otlp::{Form, Otlp, Request, Settings, answer};
use neural_exporter::event::{Telemetry, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;

const NOW: Timestamp = Timestamp::both(1_700_000_000_000_000_000);

/// Takes a request twice, as a sender that was not answered sends it. Everything in it counts or is a fault.
pub fn take(hub: &Arc<Hub>, signal: Telemetry, form: Form, body: &[u8]) {
    let feed = Feed::new(hub.clone(), hub.add_source("otlp"), "otlp");
    let settings = Settings {
        resource_attributes: vec!["a".to_owned()],
        scope_attributes: vec!["name".to_owned()],
        span_names: 3,
        ..Settings::default()
    };
    let mut otlp = Otlp::new(settings);
    for _ in 0..2 {
        let Ok(request) = Request::parse(signal, form, body) else { return };
        let counted = otlp.read(&request, NOW, &mut |with| feed.batch(NOW, |out| with(out)));
        assert!(counted.accepted + counted.silent + counted.rejected() == counted.items, "{counted:?}");
        assert!(answer::response(signal, form, &counted).len() < 2_000);
    }
}
