//! Silences that are posted, one a line: none makes the reader panic or run without end, and what was kept is read again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::alert::silence::Silences;
use neural_exporter::promql::Labels;

const NOW: i64 = 1_800_000_000_000;

fuzz_target!(|lines: &[u8]| {
    let labels = Labels::from_pairs([
        ("alertname", "NeuralDeviceSilent"),
        ("device", "cyton"),
        ("severity", "critical"),
    ]);
    let mut all = Silences::default();
    for (at, body) in lines.split(|&byte| byte == b'\n').take(50).enumerate() {
        let now = NOW + at as i64 * 1_000;
        let Ok(silence) = serde_json::from_slice(body) else { continue };
        let Ok(id) = all.set(silence, format!("id{at}"), now) else { continue };
        assert!(all.one(&id, now).is_some());
        let again = Silences::restore(all.save());
        assert_eq!(again.cover(&labels, now), all.cover(&labels, now));
        assert_eq!(again.list(now), all.list(now));
        if at % 3 == 0 {
            assert!(all.end(&id, now));
            assert_ne!(all.one(&id, now).expect("it is shown")["status"]["state"], "active");
        }
    }
});
