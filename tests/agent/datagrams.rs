//! Datagrams as programs send them, put together from their documents and not from the decoders.

use neural_exporter::decode::Protocol;
use neural_exporter::decode::program::datagram::header;

/// The protocols that come in datagrams.
pub(crate) fn all() -> impl Iterator<Item = Protocol> {
    Protocol::ALL.iter().copied().filter(|protocol| protocol.is_datagrams())
}

/// One datagram with this number.
pub(crate) fn datagram(protocol: Protocol, number: u32) -> Vec<u8> {
    let wave = |channel: u32| 1 + (number * 7 + channel * 3) % 90;
    match protocol {
        Protocol::Brainflow => {
            // Three packages of the synthetic board: 32 rows, the number in the first, the time in the last but one.
            let mut bytes = Vec::new();
            for package in 3 * number..3 * number + 3 {
                for row in 0..32 {
                    let value = match row {
                        0 => f64::from(package % 256),
                        30 => 1_700_000_000.0 + f64::from(package) / 250.0,
                        31 => 0.0,
                        row => f64::from(wave(row)),
                    };
                    bytes.extend(value.to_le_bytes());
                }
            }
            bytes
        }
        Protocol::Cerebus => {
            // Protocol 4.1: a heartbeat, ten samples of two channels at 1 kHz, and what was sent.
            let head = |time: u32, channel: u16, kind: u16, words: u16| {
                [
                    &u64::from(time).to_le_bytes()[..],
                    &channel.to_le_bytes(),
                    &kind.to_le_bytes(),
                    &words.to_le_bytes(),
                    &[0, 0],
                ]
                .concat()
            };
            let begin = 30_000 + number * 300;
            let mut bytes = head(begin, 0x8000, 0, 0);
            for k in 0..10 {
                bytes.extend(head(begin + k * 30, 0, 2, 1));
                bytes.extend((wave(k) as i16).to_le_bytes());
                bytes.extend((-(wave(k + 1) as i16)).to_le_bytes());
            }
            bytes.extend(head(begin + 299, 0x8000, 1, 2));
            bytes.extend(12_u32.to_le_bytes());
            bytes.extend(number.to_le_bytes());
            bytes
        }
        Protocol::OpenbciGui if number % 10 == 9 => b"{\"type\":\"focus\",\"data\":0}\r\n".to_vec(),
        Protocol::OpenbciGui => {
            let rows: Vec<String> = (0..4).map(|k| format!("[{}.5,-{}.25]", wave(k), wave(k + 1))).collect();
            format!("{{\"type\":\"timeSeriesRaw\",\"data\":[{}]}}\r\n", rows.join(",")).into_bytes()
        }
        other => panic!("{other:?} does not come in datagrams"),
    }
}

/// A datagram with what stands before it.
pub(crate) fn row(bytes: &[u8]) -> Vec<u8> {
    [&header(bytes.len(), 1)[..], bytes].concat()
}

/// Datagrams in a row.
pub(crate) fn rows(protocol: Protocol, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| row(&datagram(protocol, number))).collect()
}
