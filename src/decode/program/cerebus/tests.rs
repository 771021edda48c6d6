//! Packets put together from the headers of CereLink, in each form.

use super::packet::Form;
use super::*;
use crate::decode::Decoder;
use crate::decode::program::datagram::{Datagram, Datagrams, header};
use crate::decode::testing::Decoded;
use crate::event::{Fault, FaultKind};

const VERSIONS: [Version; 3] = [Version::V311, Version::V40, Version::V41];

/// A packet of this form.
fn packet(version: Version, time: u64, channel: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    let words = u16::try_from(body.len() / 4).unwrap();
    let mut head = Vec::new();
    match version {
        Version::V311 => {
            head.extend((time as u32).to_le_bytes());
            head.extend(channel.to_le_bytes());
            head.extend([kind, words as u8]);
        }
        Version::V40 => {
            head.extend(time.to_le_bytes());
            head.extend(channel.to_le_bytes());
            head.push(kind);
            head.extend(words.to_le_bytes());
            head.extend([0; 3]);
        }
        Version::V41 => {
            head.extend(time.to_le_bytes());
            head.extend(channel.to_le_bytes());
            head.extend(u16::from(kind).to_le_bytes());
            head.extend(words.to_le_bytes());
            head.extend([0; 2]);
        }
    }
    [head, body.to_vec()].concat()
}

fn heartbeat(version: Version, time: u64) -> Vec<u8> {
    packet(version, time, 0x8000, 0, &[])
}

fn monitor(version: Version, time: u64, sent: u32, counter: u32) -> Vec<u8> {
    let mut body = sent.to_le_bytes().to_vec();
    if version == Version::V41 {
        body.extend(counter.to_le_bytes());
    }
    packet(version, time, 0x8000, 1, &body)
}

fn samples(version: Version, time: u64, group: u8, counts: &[i16]) -> Vec<u8> {
    let body: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    packet(version, time, 0, group, &body)
}

fn row(sender: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let datagram = packets.concat();
    [&header(datagram.len(), sender)[..], &datagram].concat()
}

fn decoded<D: Datagram>(decoder: &mut Datagrams<D>, rows: &[u8]) -> Decoded {
    Decoded::so_far(decoder, rows)
}

/// A second of an amplifier with two channels at 1 kHz, in datagrams of 10 ms, and what must be counted of it. `late` is
/// where packets of one datagram come with the next.
fn second(version: Version, from: u64, unit: u64, without: &[usize], late: Option<usize>) -> (Vec<u8>, u32) {
    let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut missing = 0;
    for beat in 0..100_usize {
        let at = from + beat as u64 * 10 * unit;
        let mut packets = vec![heartbeat(version, at)];
        packets.extend((0..10).map(|k| samples(version, at + k * unit, 2, &[beat as i16, -(k as i16)])));
        packets.push(monitor(version, at + 9 * unit, 12, beat as u32));
        rows.push(packets);
    }
    if let Some(beat) = late {
        let packet = rows[beat].remove(3);
        rows[beat + 1].insert(0, packet);
    }
    let mut bytes = Vec::new();
    for (beat, packets) in rows.iter().enumerate() {
        if without.contains(&beat) {
            missing += 12;
        } else {
            bytes.extend(row(1, packets));
        }
    }
    (bytes, missing)
}

#[test]
fn loss_is_what_the_amplifier_says() {
    for version in VERSIONS {
        let unit = 30;
        let (rows, _) = second(version, 1_000_000, unit, &[], None);
        let heard = decoded(&mut Datagrams::new(Cerebus::default()), &rows);
        assert_eq!((heard.frames, heard.values.len()), (1200, 100), "{version:?}");
        assert_eq!(heard.understood, rows.len() as u64 - 400, "{version:?}");
        assert!(
            heard.lost.is_empty() && heard.faults.is_empty() && heard.channels() == [0],
            "{version:?} {heard:?}"
        );
        // Whole datagrams, and their monitors with them.
        let (rows, missing) = second(version, 1_000_000, unit, &[40, 41, 42, 70], None);
        let mut decoder = Datagrams::new(Cerebus::default());
        let heard = decoded(&mut decoder, &rows);
        assert_eq!((heard.lost.iter().sum::<u32>(), heard.lost.len()), (missing, 2), "{version:?}");
        assert_eq!(decoder.inner().groups().collect::<Vec<_>>(), [2]);
        // A datagram that comes twice.
        let (rows, _) = second(version, 1_000_000, unit, &[], None);
        let (at, one) = (rows.len() / 2, rows.len() / 100);
        let twice = [&rows[..at], &rows[at - one..]].concat();
        let heard = decoded(&mut Datagrams::new(Cerebus::default()), &twice);
        assert!(heard.lost.is_empty(), "{version:?} {:?}", heard.lost);
        // A packet that comes after the monitor that counts it.
        let (rows, _) = second(version, 1_000_000, unit, &[], Some(30));
        let heard = decoded(&mut Datagrams::new(Cerebus::default()), &rows);
        assert!(heard.lost.is_empty(), "{version:?} {:?}", heard.lost);
        // Single packets, monitors among them or not.
        for (place, lost) in [(5, 1), (11, 1), (0, 1)] {
            let mut rows: Vec<u8> = Vec::new();
            for beat in 0..50_u64 {
                let at = 1_000_000 + beat * 10 * unit;
                let mut packets = vec![heartbeat(version, at)];
                packets.extend((0..10).map(|k| samples(version, at + k * unit, 2, &[1, 2])));
                packets.push(monitor(version, at + 9 * unit, 12, beat as u32));
                if beat == 20 {
                    packets.remove(place);
                }
                rows.extend(row(1, &packets));
            }
            let heard = decoded(&mut Datagrams::new(Cerebus::default()), &rows);
            assert_eq!(heard.lost, [lost], "{version:?} {place}");
        }
    }
}

/// The datagrams of a row, one by one.
fn datagrams(mut rows: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some(&[low, high, ..]) = rows.first_chunk::<4>() {
        let (one, rest) = rows.split_at(4 + usize::from(u16::from_le_bytes([low, high])));
        all.push(one);
        rows = rest;
    }
    all
}

#[test]
fn datagrams_that_overtake_each_other_lose_nothing() {
    for (version, unit) in
        [(Version::V311, 30), (Version::V40, 30), (Version::V41, 30), (Version::V41, 1_000_000)]
    {
        let (rows, _) = second(version, 1_000_000_000, unit, &[], None);
        let whole = datagrams(&rows);
        // Two that are swapped, one that comes three later, two that come one after the other, and one twice, the second
        // time later. The first one has nothing before it.
        let mut all = whole.clone();
        all.swap(20, 21);
        let late = all.remove(40);
        all.insert(43, late);
        all[60..64].rotate_left(2);
        all.insert(83, all[80]);
        let heard = decoded(&mut Datagrams::new(Cerebus::default()), &all.concat());
        assert_eq!(
            (heard.frames, heard.lost.len(), heard.repeated),
            (1212, 0, 12),
            "{version:?} {:?}",
            heard.lost
        );
        assert!(heard.overtaken >= 36, "{version:?} {}", heard.overtaken);
        let mut group = Datagrams::new(Group::new(2, None));
        let heard = decoded(&mut group, &all.concat());
        assert_eq!(
            (heard.lost.len(), heard.repeated, heard.overtaken),
            (0, 10, 40),
            "{version:?} {:?}",
            heard.lost
        );
        assert_eq!((heard.values.len(), heard.devices.len(), group.inner().restarts()), (2000, 1, 0));
        // And what is lost among them is lost.
        let mut all = whole;
        all.swap(20, 21);
        all.remove(30);
        all.remove(50);
        all.swap(50, 52);
        let mut link = Datagrams::new(Cerebus::default());
        let heard = decoded(&mut link, &all.concat());
        assert_eq!(
            (heard.lost.iter().sum::<u32>(), link.inner().restarts()),
            (24, 0),
            "{version:?} {:?}",
            heard.lost
        );
        let heard = decoded(&mut Datagrams::new(Group::new(2, None)), &all.concat());
        assert_eq!(heard.lost.iter().sum::<u32>(), 20, "{version:?} {:?}", heard.lost);
        // What comes too late was lost, and is not taken back; what never comes is reported at the end.
        let mut group = Datagrams::new(Group::new(2, None));
        let heard =
            decoded(&mut group, &[&all[..5], &all[6..20], &all[5..6], &all[25..27]].concat().concat());
        assert_eq!((heard.lost, heard.overtaken), (vec![10], 10), "{version:?}");
        let mut end = Decoded::default();
        group.end(&mut |body| end.take(body));
        assert_eq!(end.lost.len(), 1, "{version:?}");
    }
}

#[test]
fn samples_of_a_group_and_what_is_missing() {
    for (version, unit) in
        [(Version::V311, 30), (Version::V40, 30), (Version::V41, 30), (Version::V41, 1_000_000)]
    {
        // With 32 bits of ticks, the clock goes round within.
        let from =
            if version == Version::V311 { u64::from(u32::MAX) - 9000 } else { 1_700_000_000_000_000_000 };
        let (rows, _) = second(version, from, unit, &[40, 41, 42, 70], None);
        let mut decoder = Datagrams::new(Group::new(2, Some(0.25e-6)));
        let heard = decoded(&mut decoder, &rows);
        assert_eq!((heard.frames, heard.values.len()), (960, 1920), "{version:?} {unit}");
        assert_eq!(heard.lost, [30, 10], "{version:?} {unit}");
        assert_eq!((&heard.channels()[..], &heard.values[..4]), (&[2][..], &[0.0, -0.0, 0.0, -0.25e-6][..]));
        let rate = decoder.inner_mut().stamps().rate().unwrap();
        assert!((rate - 959.0 / 0.999).abs() < 0.1, "{version:?} {unit} {rate}");
        // Other groups are not its own.
        let heard = decoded(&mut Datagrams::new(Group::new(5, None)), &rows);
        assert_eq!(heard, Decoded::default());
    }
}

#[test]
fn a_restart_is_no_loss() {
    for version in VERSIONS {
        let (first, _) = second(version, 5_000_000, 30, &[], None);
        let (again, _) = second(version, 100, 30, &[], None);
        let rows = [first, again].concat();
        let mut link = Datagrams::new(Cerebus::default());
        let heard = decoded(&mut link, &rows);
        assert_eq!((heard.frames, heard.lost.len(), link.inner().restarts()), (2400, 0, 1), "{version:?}");
        let mut group = Datagrams::new(Group::new(2, None));
        let heard = decoded(&mut group, &rows);
        assert_eq!((heard.frames, heard.lost.len(), heard.devices.len()), (2000, 0, 2), "{version:?}");
        assert_eq!(group.inner().restarts(), 1);
    }
    // The next amplifier counts nanoseconds.
    let (first, _) = second(Version::V40, 5_000_000, 30, &[], None);
    let (mut again, _) = second(Version::V41, 5_000_000, 1_000_000, &[], None);
    let mut at = 0;
    while let Some(&[low, high, sender, _]) = again.get(at..at + 4).and_then(|head| head.first_chunk()) {
        again[at + 2] = sender + 1;
        at += 4 + usize::from(u16::from_le_bytes([low, high]));
    }
    let heard = decoded(&mut Datagrams::new(Group::new(2, None)), &[first, again].concat());
    assert_eq!((heard.frames, heard.lost.len()), (2000, 0), "{:?}", heard.lost);
}

#[test]
fn what_strays_to_the_port_ends_no_stream() {
    let (rows, _) = second(Version::V41, 1_000_000, 30, &[], None);
    let at = rows.len() / 2;
    let noise = row(2, &[vec![0xA5; 99]]);
    let rows = [&rows[..at], &noise, &row(3, &[]), &rows[at..]].concat();
    let mut link = Datagrams::new(Cerebus::default());
    let heard = decoded(&mut link, &rows);
    assert_eq!((heard.frames, heard.lost.len(), link.inner().restarts()), (1200, 0, 0));
    assert_eq!(heard.faults[0], Fault { kind: FaultKind::Conflict, bytes: 99 });
    let mut group = Datagrams::new(Group::new(2, None));
    let heard = decoded(&mut group, &rows);
    assert_eq!((heard.frames, group.inner().restarts()), (1000, 0));
}

#[test]
fn the_form_is_told_by_its_packets() {
    for version in VERSIONS {
        let (rows, _) = second(version, 1_000_000, 30, &[], None);
        let mut rest = &rows[..];
        let mut form = Form::default();
        while let Some((&[a, b, _, _], after)) = rest.split_first_chunk() {
            let (datagram, after) = after.split_at(u16::from_le_bytes([a, b]).into());
            assert_eq!(form.of(datagram), Some(version));
            rest = after;
        }
    }
    // The amplifier got another firmware while nobody looked.
    let (old, _) = second(Version::V311, 1_000_000, 30, &[], None);
    let (new, _) = second(Version::V41, 9_000_000, 30, &[], None);
    let heard = decoded(&mut Datagrams::new(Cerebus::default()), &[old, new].concat());
    assert_eq!((heard.frames, heard.lost.len(), heard.faults.len()), (2400, 0, 0));
}

#[test]
fn what_lies_about_its_length_is_a_fault() {
    let right = [heartbeat(Version::V41, 5), samples(Version::V41, 5, 2, &[1, 2])].concat();
    let mut long = right.clone();
    // A packet of a quarter of a megabyte.
    long[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
    let mut decoder = Datagrams::new(Cerebus::default());
    let heard = decoded(&mut decoder, &row(1, &[right.clone(), long.clone(), right.clone()]));
    assert_eq!((heard.frames, heard.faults.len()), (0, 1), "nothing is known of its form yet: {heard:?}");
    let heard = decoded(&mut decoder, &[row(1, std::slice::from_ref(&right)), row(1, &[long])].concat());
    assert_eq!((heard.frames, &heard.faults[..]), (3, &[Fault { kind: FaultKind::Frame, bytes: 20 }][..]));
    // Cut short, and noise.
    let heard = decoded(&mut decoder, &row(1, &[right[..30].to_vec()]));
    assert_eq!((heard.frames, heard.faults[0].bytes), (1, 14));
    let heard = decoded(&mut decoder, &row(1, &[vec![0xA5; 999]]));
    assert_eq!((heard.frames, heard.faults[0].bytes), (0, 999));
    assert_eq!(decoded(&mut decoder, &row(1, &[right])).frames, 2);
}

/// A list of so many channels of group 2.
fn listed(count: u32) -> Vec<u8> {
    let mut body = vec![0; 36];
    body[4..8].copy_from_slice(&2_u32.to_le_bytes());
    body[28..32].copy_from_slice(&count.to_le_bytes());
    packet(Version::V41, 7, 0x8000, 0x30, &body)
}

#[test]
fn what_one_amplifier_listed_says_nothing_of_another() {
    let mut link = Datagrams::new(Cerebus::default());
    decoded(&mut link, &row(1, &[listed(3)]));
    assert_eq!(link.inner().listed(2), Some(3));
    decoded(&mut link, &row(2, &[heartbeat(Version::V41, 30)]));
    assert_eq!(link.inner().listed(2), None);
}

#[test]
fn an_odd_number_of_channels_is_known_once_it_was_listed() {
    let mut decoder = Datagrams::new(Group::new(2, None));
    let four = |time| samples(Version::V41, time, 2, &[1, 2, 3, 0]);
    let heard = decoded(&mut decoder, &row(1, &[four(30), listed(3), four(60), listed(9), four(90)]));
    assert_eq!(heard.channels(), [4, 3, 4]);
    assert_eq!(heard.values, [1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 0.0]);
}

#[test]
fn times_at_the_ends_of_the_clock_are_counted_with() {
    for version in [Version::V40, Version::V41] {
        let mut link = Datagrams::new(Cerebus::default());
        let at = |time, counter| row(1, &[monitor(version, time, 1, counter)]);
        let rows =
            [at(0, 1), at(u64::MAX, 2), at(5, 1), at(0, 3), at(u64::MAX - 1, 4), at(u64::MAX, 5)].concat();
        assert_eq!(decoded(&mut link, &rows).faults, []);
    }
}
