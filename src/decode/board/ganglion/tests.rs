//! Ganglions of both firmwares: packets, rounds, losses and messages.

use super::*;
use crate::decode::Decoder;
use crate::decode::board::Boards;

fn notified(packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 5 + packet.len() as u8, 4, 5, 0, 0x19, 0, 1, packet.len() as u8];
    bytes.extend(packet);
    bytes
}

/// A packet with this number and nothing in it.
fn empty(id: u8) -> Vec<u8> {
    let mut packet = [0; 20];
    packet[0] = id;
    notified(&packet)
}

fn decoded(decoder: &mut dyn Decoder, bytes: &[u8]) -> Vec<String> {
    let mut decoded = Vec::new();
    decoder.decode(bytes, &mut |body| {
        decoded.push(match body {
            Body::Device(device) => format!("{} a round", device.modulus),
            Body::Samples(s) => format!("{} frames, {} samples", s.frames, s.count()),
            Body::Lost(lost) => format!("{} lost", lost.packets),
            Body::Repeated(_) => "repeated".to_owned(),
            Body::Answer(a) => format!("{} bytes {:?} {}", a.bytes, a.firmware, a.failed),
            Body::Impedance(i) => format!("{} of {}", i.ohms, i.channel),
            other => format!("{other:?}"),
        });
    });
    decoded
}

#[test]
fn differences_are_those_of_the_document() {
    // Ganglion Data Format, its examples of 18 and of 19 bits.
    let of = |packet: [u8; 20], bits| numbers(&packet, bits).map(|number| difference(number, bits));
    let packet = [1, 0, 0, 0, 0, 0x20, 0, 0x28, 0, 4, 0x80, 0, 0xBC, 0, 7, 0, 0x28, 0xC0, 0x0A, 0x0E];
    assert_eq!(of(packet, 18), [0, 2, 10, 4, 131_074, 245_760, 114_698, 49_162]);
    let packet = [0x65, 0, 0, 0, 0, 8, 0, 5, 0, 0, 0x48, 0, 9, 0xF0, 1, 0xB0, 0, 0x30, 0, 8];
    assert_eq!(of(packet, 19), [0, 2, 10, 4, 262_148, 507_910, 393_222, 8]);
    assert_eq!(difference(0x3FFFD, 18), -3);
}

#[test]
fn samples_are_withheld_from_a_loss_to_the_next_values() {
    let mut decoder = Boards::new(Ganglion::new(None, Some(2)));
    let round: Vec<u8> = (101..=200).chain([0]).flat_map(empty).collect();
    let stream = [empty(0), round.clone(), empty(101), empty(103), empty(104), round].concat();
    assert_eq!(
        decoded(&mut decoder, &stream)[1..],
        [
            "103 frames, 204 samples",
            "1 lost",
            "2 frames, 0 samples",
            "97 lost",
            // What is looked at in one go ends here.
            "36 frames, 0 samples",
            "65 frames, 1 samples",
            // Of 604 samples 205 are there: 195 were in 98 packets that are not, and 204 in packets that
            // build on them.
            "LostSamples(LostSamples { samples: 399 })"
        ]
    );
}

#[test]
fn samples_that_are_missing_are_counted_with_the_packets() {
    let count = |firmware, ids: &[u8]| {
        let mut decoder = Boards::new(Ganglion::new(None, Some(firmware)));
        let (mut there, mut lost) = (0, 0);
        let mut take = |body: Body<'_>| match body {
            Body::Samples(samples) => there += samples.count(),
            Body::LostSamples(samples) => lost += samples.samples as usize,
            _ => {}
        };
        for (at, id) in ids.iter().enumerate() {
            let mut packet = [0x80; 20];
            (packet[0], packet[1]) = (*id, at as u8);
            decoder.decode(&notified(&packet), &mut take);
        }
        decoder.end(&mut take);
        (there, lost)
    };
    let two = |rounds: usize| [0].into_iter().chain(101..=200).cycle().take(101 * rounds);
    let three = |rounds: usize| (100..200).cycle().take(100 * rounds);
    // Lost in the middle, around a whole packet, the whole one alone, at the end.
    for gone in [7..8, 7..20, 95..110, 101..102, 300..303, 250..300] {
        let left = |all: &mut dyn Iterator<Item = u8>| -> Vec<u8> {
            all.enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, id)| id).collect()
        };
        let (there, lost) = count(2, &left(&mut two(4)));
        assert_eq!(there + lost, 201 * 4, "{gone:?}");
        assert!(lost >= gone.len(), "{gone:?}");
        let (there, lost) = count(3, &left(&mut three(4)));
        assert_eq!((there + lost, lost), (800, 2 * gone.len()), "{gone:?}");
    }
    // Who comes in the middle of a round misses nothing that was sent to it, and a packet twice is no loss.
    let late: Vec<u8> = two(3).skip(40).collect();
    assert_eq!(count(2, &late), (402, 0));
    assert_eq!(count(3, &three(2).collect::<Vec<_>>()), (400, 0));
}

#[test]
fn values_build_on_each_other() {
    let mut decoder = Boards::new(Ganglion::new(None, Some(2)));
    let mut first = [0; 20];
    first[1..4].copy_from_slice(&[0, 0, 100]);
    let second = [101, 0, 0, 0, 0, 8, 0, 5, 0, 0, 0x48, 0, 9, 0xF0, 1, 0xB0, 0, 0x30, 0, 8];
    let mut counts = Vec::new();
    decoder.decode(&[notified(&first), notified(&second)].concat(), &mut |body| {
        if let Body::Samples(samples) = body {
            counts.extend(samples.values.iter().map(|v| (f64::from(*v) / SCALE).round() as i64));
        }
    });
    let want = [100, 0, 0, 0, 100, -2, -10, -4, 100 - 262_148, -2 - 507_910, -10 - 393_222, -12];
    assert_eq!(counts, want);
}

#[test]
fn the_firmware_is_learnt_from_numbers() {
    let mut decoder = Boards::new(Ganglion::default());
    let stream: Vec<u8> = (98..100).chain(0..100).chain(0..5).flat_map(empty).collect();
    assert_eq!(
        decoded(&mut decoder, &stream),
        ["101 a round", "2 frames, 0 samples", "100 a round", "105 frames, 10 samples"]
    );
    let mut decoder = Boards::new(Ganglion::default());
    let stream: Vec<u8> = [empty(0), empty(101), empty(102)].concat();
    assert_eq!(decoded(&mut decoder, &stream), ["101 a round", "3 frames, 4 samples"]);
    let mut decoder = Boards::new(Ganglion::default());
    let stream: Vec<u8> = [empty(198), empty(199), empty(100)].concat();
    let all = decoded(&mut decoder, &stream);
    assert_eq!(all, ["101 a round", "2 frames, 0 samples", "100 a round", "1 frames, 2 samples"]);
}

#[test]
fn the_firmware_is_that_of_the_board_that_was_found_first() {
    let advertised = |name: &str| {
        let data = [&[name.len() as u8 + 1, 9], name.as_bytes()].concat();
        let mut bytes = vec![0x80, 11 + data.len() as u8, 6, 0, 0xC0, 0, 1, 2, 3, 4, 5, 6, 1, 0xFF];
        bytes.push(data.len() as u8);
        [bytes, data].concat()
    };
    let mut decoder = Boards::new(Ganglion::default());
    decoder.dialogue().unwrap().poll_transmit(std::time::Duration::ZERO, &mut Vec::new());
    let both = [advertised("Ganglion-1a2b"), advertised("Ganglion 1.3-c0de")].concat();
    decoder.decode(&both, &mut |_| {});
    assert_eq!(decoded(&mut decoder, &[empty(0), empty(101)].concat()), ["2 frames, 3 samples"]);
}

/// Packets that are missing of those with these numbers, with what the dongle answers when the board receives a command
/// where a number is none.
fn missing(firmware: Option<u8>, ids: impl IntoIterator<Item = Option<u8>>) -> (u32, usize) {
    let mut decoder = Boards::new(Ganglion::new(None, firmware));
    let (mut lost, mut samples) = (0, 0);
    for (at, id) in ids.into_iter().enumerate() {
        let bytes = match id {
            Some(id) => {
                let mut packet = [0x80; 20];
                (packet[0], packet[1]) = (id, at as u8);
                notified(&packet)
            }
            None => vec![0, 3, 4, 5, 0, 0, 0, 0x80, 5, 4, 1, 0, 0, 0, 17, 0],
        };
        decoder.decode(&bytes, &mut |body| match body {
            Body::Lost(one) => lost += one.packets,
            Body::Samples(some) => samples += some.count(),
            Body::Fault(fault) => panic!("{fault:?}"),
            _ => {}
        });
    }
    (lost, samples)
}

/// Numbers of a stream of firmware 3, whose first round begins with `first`.
fn third(first: u16, base: u16, packets: u16) -> impl Iterator<Item = Option<u8>> {
    (0..packets).map(move |at| Some(if at < 100 { first + at } else { base + at % 100 } as u8))
}

#[test]
fn a_first_round_is_no_loss_whatever_its_numbers_are() {
    for firmware in [Some(3), None] {
        // 3.0.1 and 3.0.2, with samples of 19 bits and of 18.
        for (first, base) in [(99, 100), (255, 0)] {
            let stream = || [None].into_iter().chain(third(first, base, 350));
            let (lost, samples) = missing(firmware, stream());
            assert_eq!(lost, 0, "{firmware:?} {first}");
            assert!(samples == 700 || (firmware.is_none() && samples >= 694), "{samples}");
            // The dongle answers late.
            let mut late: Vec<_> = stream().collect();
            late.swap(0, 1);
            late.insert(4, None);
            late.insert(0, None);
            assert_eq!(missing(firmware, late).0, 0, "{firmware:?} {first}");
            // Told to stop and to start again, within a round.
            let twice = stream().chain([None, None]).chain(third(first, base, 350));
            assert_eq!(missing(firmware, twice).0, 0, "{firmware:?} {first}");
            // Who was not there when it began, and does not know which firmware it is.
            let rest = third(first, base, 350).skip(30);
            assert!(missing(firmware, rest).0 <= 2, "{firmware:?} {first}");
        }
    }
    // 3.0.0 continues with the numbers that it had, beyond those that there are.
    for stopped in [1, 37, 99] {
        for base in [0, 100] {
            let stream = [None]
                .into_iter()
                .chain(third(base, base, 200 + stopped))
                .chain([None, None])
                .chain(third(base + stopped, base, 350));
            assert_eq!(missing(Some(3), stream), (0, usize::from(2 * (550 + stopped))), "{stopped} {base}");
        }
    }
    // Firmware 2 begins with the whole packet.
    let round = || [0].into_iter().chain(101..=200).map(Some);
    let stream = [None].into_iter().chain(round()).chain(round().take(40)).chain([None, None]).chain(round());
    assert_eq!(missing(Some(2), stream.clone()).0, 0);
    assert_eq!(missing(None, stream).0, 0);
}

#[test]
fn what_is_missing_of_a_first_round_is_seen() {
    let without = |stream: Vec<Option<u8>>, gone: &[usize]| -> Vec<Option<u8>> {
        stream.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, id)| id).collect()
    };
    for (first, base) in [(99, 100), (255, 0), (137, 100), (37, 0)] {
        let before = if first == 99 || first == 255 { 0 } else { 37 };
        let stream: Vec<_> = third(base, base, before).chain([None]).chain(third(first, base, 350)).collect();
        let at = usize::from(before) + 1;
        for gone in [&[10, 11][..], &[97, 98, 99], &[99, 100, 101], &[100], &[250, 251, 252], &[60, 99, 100]]
        {
            let gone: Vec<usize> = gone.iter().map(|gone| at + gone).collect();
            let (lost, _) = missing(Some(3), without(stream.clone(), &gone));
            assert_eq!(lost as usize, gone.len(), "{first} {gone:?}");
        }
    }
    // A command that starts nothing hides nothing.
    let mut stream: Vec<_> = third(100, 100, 250).collect();
    stream[120] = None;
    assert_eq!(missing(Some(3), stream).0, 1);
    // Words and impedances are what they are, in a first round too.
    let mut decoder = Boards::new(Ganglion::new(None, Some(3)));
    decoded(&mut decoder, &[empty(100), empty(101), vec![0, 3, 4, 5, 0, 0, 0], empty(102)].concat());
    let all = decoded(&mut decoder, &[notified(b"\xCFstop running\n\0\0\0\0\0\0"), empty(103)].concat());
    assert_eq!(all, ["29 bytes None false", "1 frames, 2 samples"]);
}

#[test]
fn messages_and_impedances_are_told() {
    let mut decoder = Boards::new(Ganglion::default());
    let stream =
        [notified(b"\xCA12345Z\0"), notified(b"\xCD7Z"), notified(b"\xCFGanglion v2.0.1"), empty(3)].concat();
    assert_eq!(
        decoded(&mut decoder, &stream)[1..],
        [
            "17 bytes None false",
            "12345 of 2",
            "12 bytes None false",
            "7 of 0",
            "25 bytes Some(\"v2.0.1\") false",
            "1 frames, 0 samples"
        ]
    );
    let gone = [0x80, 3, 3, 4, 0, 8, 2];
    assert_eq!(decoded(&mut decoder, &gone), ["7 bytes None true"]);
    // A stream that begins again has lost nothing.
    assert_eq!(decoded(&mut decoder, &empty(90)), ["1 frames, 0 samples"]);
    assert_eq!(decoded(&mut decoder, &empty(90)), ["repeated", "1 frames, 0 samples"]);
}
