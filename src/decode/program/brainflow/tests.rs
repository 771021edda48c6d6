//! Packages as BrainFlow writes them, and as it does not.

use super::*;
use crate::decode::Decoder;
use crate::decode::program::datagram::{Datagrams, header};
use crate::decode::testing::Decoded;

const NOW: f64 = 1_700_000_000.0;

/// A package of a board with this number and time.
fn package(layout: &Layout, number: f64, stamp: f64) -> Vec<u8> {
    let mut rows: Vec<f64> = (0..layout.rows).map(f64::from).collect();
    layout.package.into_iter().for_each(|row| rows[usize::from(row)] = number);
    layout.timestamp.into_iter().for_each(|row| rows[usize::from(row)] = stamp);
    rows.iter().flat_map(|row| row.to_le_bytes()).collect()
}

/// A datagram of these packages, and what stands before it.
fn row(sender: u16, packages: &[Vec<u8>]) -> Vec<u8> {
    let datagram = packages.concat();
    [&header(datagram.len(), sender)[..], &datagram].concat()
}

fn decoded(decoder: &mut Datagrams<Brainflow>, rows: &[u8]) -> Decoded {
    Decoded::so_far(decoder, rows)
}

/// Packages with these numbers, three in a datagram, at the board's rate.
fn stream(board: &str, numbers: &[u32]) -> (Datagrams<Brainflow>, Decoded) {
    let layout = Layout::of(board).unwrap();
    let packages: Vec<Vec<u8>> = numbers
        .iter()
        .enumerate()
        .map(|(k, number)| package(&layout, f64::from(*number), NOW + k as f64 / layout.rate))
        .collect();
    let rows: Vec<u8> = packages.chunks(3).flat_map(|three| row(1, three)).collect();
    let mut decoder = Datagrams::new(Brainflow::new(layout, None));
    let decoded = decoded(&mut decoder, &rows);
    (decoder, decoded)
}

#[test]
fn whole_rounds_of_numbers_miss_nothing() {
    let ganglion = |low: u32| std::iter::once(0).chain((low..low + 100).flat_map(|n| [n, n]));
    let rounds: [(&str, Vec<u32>); 7] = [
        ("synthetic", (0..256).collect()),
        ("daisy", (0..128).map(|n| 2 * n).collect()),
        ("ganglion", ganglion(1).collect()),
        ("ganglion", ganglion(101).collect()),
        ("ganglion", (0..100).flat_map(|n| [n, n]).collect()),
        ("ganglion", (100..200).flat_map(|n| [n, n]).collect()),
        ("muse_2", (0..65_536).flat_map(|n| [n; 12]).take(12_000).collect()),
    ];
    for (board, round) in rounds {
        let numbers: Vec<u32> = if round.len() > 1000 { round } else { round.repeat(4) };
        let (_, decoded) = stream(board, &numbers);
        assert_eq!((decoded.frames as usize, decoded.samples), (numbers.len(), numbers.len()), "{board}");
        assert!(
            decoded.lost.is_empty() && decoded.faults.is_empty() && decoded.devices.len() == 1,
            "{board} {:?}",
            decoded.lost
        );
    }
}

#[test]
fn what_is_left_out_is_what_is_missing() {
    let ganglion = std::iter::once(0).chain((101..201).flat_map(|n| [n, n]));
    let boards: [(&str, Vec<u32>); 5] = [
        ("cyton", (0..256).collect()),
        ("daisy", (0..128).map(|n| 2 * n).collect()),
        ("ganglion", ganglion.collect()),
        ("ganglion", (0..100).flat_map(|n| [n, n]).collect()),
        ("muse_2", (0..40).flat_map(|n| [n; 12]).collect()),
    ];
    for (board, round) in boards {
        let mut numbers = if board == "muse_2" { round } else { round.repeat(3) };
        // Beyond the first round, after which it is known which firmware a Ganglion has.
        let mut left_out = 0;
        for (place, count) in [(250, 1), (270, 3), (290, 40), (300, 2)] {
            if place + count < numbers.len() {
                numbers.drain(place..place + count);
                left_out += count as u32;
            }
        }
        let (_, decoded) = stream(board, &numbers);
        assert_eq!(decoded.lost.iter().sum::<u32>(), left_out, "{board} {:?}", decoded.lost);
        assert_eq!(decoded.frames as usize, numbers.len(), "{board}");
    }
}

#[test]
fn a_ganglion_in_place_of_another_has_its_own_firmware() {
    let third = (0..100).flat_map(|n| [n, n]);
    let (mut decoder, _) = stream("ganglion", &third.collect::<Vec<_>>().repeat(3));
    decoder.end(&mut |_| {});
    let layout = Layout::of("ganglion").unwrap();
    let second = std::iter::once(0).chain((1..101).flat_map(|n| [n, n]));
    let numbers = second.collect::<Vec<u32>>().repeat(3);
    let one = |(k, number): (usize, &u32)| {
        row(2, &[package(&layout, f64::from(*number), NOW + 60.0 + k as f64 / 200.0)])
    };
    let rows: Vec<u8> = numbers.iter().enumerate().flat_map(one).collect();
    let heard = decoded(&mut decoder, &rows);
    assert_eq!((heard.samples, heard.lost.len()), (603, 0), "{:?}", heard.lost);
}

#[test]
fn a_number_that_stands_still_is_no_whole_round() {
    let (_, decoded) = stream("daisy", &[0, 2, 4, 4, 10, 12, 12, 14]);
    assert_eq!((decoded.samples, decoded.lost), (8, vec![2]));
}

#[test]
fn values_are_volts() {
    let layout = Layout::of("cyton").unwrap();
    let mut bytes = package(&layout, 0.0, NOW);
    bytes[8..16].copy_from_slice(&187_500.0_f64.to_le_bytes());
    bytes[16..24].copy_from_slice(&f64::NAN.to_le_bytes());
    let mut decoder = Datagrams::new(Brainflow::new(layout, None));
    let decoded = decoded(&mut decoder, &row(1, &[bytes]));
    assert_eq!(decoded.values, [0.1875, 0.0, 3e-6, 4e-6, 5e-6, 6e-6, 7e-6, 8e-6]);
    assert_eq!(decoder.inner().not_finite(), 1);
    let Rails::All(_, high) = decoder.inner().device.rails else { panic!("rails") };
    assert!(decoded.values[0] >= high);
}

#[test]
fn another_board_is_a_fault_and_not_a_signal() {
    // Three packages of the synthetic board are as long as four of a Cyton.
    let synthetic = Layout::of("synthetic").unwrap();
    let packages: Vec<_> =
        (0..3).map(|k| package(&synthetic, f64::from(k), NOW + f64::from(k) / 250.0)).collect();
    let mut decoder = Datagrams::new(Brainflow::new(Layout::of("cyton").unwrap(), None));
    let datagram = row(1, &packages);
    assert_eq!(datagram.len(), 4 + 4 * 24 * 8);
    let heard = decoded(&mut decoder, &datagram);
    assert_eq!(
        (heard.frames, &heard.faults[..]),
        (0, &[Fault { kind: FaultKind::BadValue, bytes: 768 }][..])
    );
    let heard = decoded(&mut decoder, &row(1, &[b"what is this".to_vec()]));
    assert_eq!(heard.faults, [Fault { kind: FaultKind::Frame, bytes: 12 }]);
    for number in [-1.0, 0.5, 256.0, f64::NAN, f64::INFINITY, 1e300] {
        let heard = decoded(&mut decoder, &row(1, &[package(&Layout::of("cyton").unwrap(), number, NOW)]));
        assert_eq!((heard.frames, heard.faults.len()), (0, 1), "{number}");
    }
    // And the board itself is understood after it all.
    let cyton = Layout::of("cyton").unwrap();
    assert_eq!(decoded(&mut decoder, &row(1, &[package(&cyton, 9.0, NOW)])).frames, 1);
}

#[test]
fn a_datagram_that_comes_twice_is_no_loss() {
    let layout = Layout::of("synthetic").unwrap();
    let three = |from: u32| {
        let one = |k: u32| package(&layout, f64::from(k % 256), NOW + f64::from(k) / 250.0);
        row(1, &[one(from), one(from + 1), one(from + 2)])
    };
    let mut decoder = Datagrams::new(Brainflow::new(layout.clone(), None));
    let heard = decoded(&mut decoder, &[three(0), three(3), three(3), three(6)].concat());
    assert_eq!((heard.samples, heard.frames, heard.repeated), (9, 12, 3));
    assert_eq!((heard.understood, heard.lost.len()), (4 * 768, 0));
}

/// Datagrams of three packages each, of a board whose numbers these are.
fn three(layout: &Layout, numbers: &[u32]) -> Vec<Vec<u8>> {
    let one = |(k, number): (usize, &u32)| package(layout, f64::from(*number), NOW + k as f64 / layout.rate);
    let packages: Vec<_> = numbers.iter().enumerate().map(one).collect();
    packages.chunks(3).map(|three| row(1, three)).collect()
}

#[test]
fn datagrams_that_overtake_each_other_lose_nothing() {
    let rows = Rows {
        count: 2,
        rate: 250.0,
        channels: vec![1],
        package: Some(0),
        modulus: Some(256),
        ..Rows::default()
    };
    let byte: Vec<u32> = (0..600).map(|k| k % 256).collect();
    let ganglion = std::iter::once(0).chain((101..201).flat_map(|n| [n, n])).collect::<Vec<u32>>().repeat(3);
    for (layout, numbers) in [
        (Layout::of("synthetic").unwrap(), byte.clone()),
        (rows.layout(), byte),
        (Layout::of("ganglion").unwrap(), ganglion),
    ] {
        let whole = three(&layout, &numbers);
        let mut all = whole.clone();
        // Where numbers begin again, three later, two for two, and one twice.
        all.swap(85, 86);
        let late = all.remove(100);
        all.insert(103, late);
        all[120..124].rotate_left(2);
        all.insert(143, all[140].clone());
        let mut decoder = Datagrams::new(Brainflow::new(layout.clone(), None));
        let heard = decoded(&mut decoder, &all.concat());
        assert_eq!(
            (heard.lost.len(), heard.repeated, heard.overtaken),
            (0, 3, 12),
            "{layout:?} {:?}",
            heard.lost
        );
        assert_eq!((heard.samples, heard.devices.len(), decoder.inner().restarts()), (numbers.len(), 1, 0));
        // What is lost among them is lost.
        let mut all = whole;
        all.swap(85, 86);
        all.remove(100);
        all.remove(120);
        all.swap(120, 122);
        let heard = decoded(&mut Datagrams::new(Brainflow::new(layout.clone(), None)), &all.concat());
        assert_eq!(heard.lost.iter().sum::<u32>(), 6, "{layout:?} {:?}", heard.lost);
        // What comes too late was called lost; what is missing at the end is.
        let mut decoder = Datagrams::new(Brainflow::new(layout.clone(), None));
        let pieces = [&all[..5], &all[6..20], &all[5..6], &all[25..27]].concat();
        let heard = decoded(&mut decoder, &pieces.concat());
        assert_eq!((heard.lost, heard.overtaken), (vec![3], 3), "{layout:?}");
        let mut end = Decoded::default();
        decoder.end(&mut |body| end.take(body));
        assert_eq!(end.lost, [15], "{layout:?}");
    }
}

#[test]
fn a_ganglion_with_firmware_3_0_1_has_a_round_of_its_own_first() {
    let first = (99..199).flat_map(|n| [n, n]);
    let numbers: Vec<u32> = first.chain((0..300).flat_map(|n| [100 + n % 100; 2])).collect();
    let (_, decoded) = stream("ganglion", &numbers);
    assert_eq!((decoded.samples, decoded.lost), (numbers.len(), vec![]));
    let mut lossy = numbers;
    lossy.drain(150..154);
    let (_, decoded) = stream("ganglion", &lossy);
    assert_eq!(decoded.lost, [4]);
}

#[test]
fn a_new_start_is_no_loss_and_two_senders_are_not_mixed() {
    let layout = Layout::of("synthetic").unwrap();
    let one = |sender, k: u32, late: f64| {
        row(sender, &[package(&layout, f64::from(k % 256), NOW + late + f64::from(k) / 250.0)])
    };
    let mut decoder = Datagrams::new(Brainflow::new(layout.clone(), None));
    let run =
        |from: u32, to: u32, sender, late| (from..to).flat_map(|k| one(sender, k, late)).collect::<Vec<u8>>();
    // The program was restarted: another port, and numbers from 0.
    let heard = decoded(&mut decoder, &[run(0, 100, 1, 0.0), run(0, 50, 2, 5.0)].concat());
    assert_eq!((heard.samples, heard.lost.len(), heard.devices.len()), (150, 0, 2));
    assert_eq!(decoder.inner().restarts(), 1);
    // The same program stopped its stream and started it again.
    let heard = decoded(&mut decoder, &run(0, 30, 2, 9.0));
    assert_eq!((heard.samples, heard.lost.len(), heard.devices.len()), (30, 0, 1));
    // A gap is a gap where numbers continue.
    let heard = decoded(&mut decoder, &run(40, 50, 2, 9.0));
    assert_eq!((heard.samples, heard.lost), (10, vec![10]));
    // The first sender is still there: it is not mixed in, until it is alone.
    let mut both: Vec<u8> = (0..20).flat_map(|k| [one(1, k, 9.5), one(2, 50 + k, 9.0)].concat()).collect();
    let heard = decoded(&mut decoder, &both);
    assert_eq!((heard.samples, heard.faults.len(), heard.lost.len()), (20, 20, 0));
    both = run(20, 120, 1, 9.5);
    let heard = decoded(&mut decoder, &both);
    assert_eq!((heard.samples as u32, heard.faults.len() as u32), (37, 63));
    assert!(heard.lost.is_empty());
}

#[test]
fn times_tell_what_numbers_do_not() {
    let layout = Layout::of("unicorn").unwrap();
    let stamps = (0..500).filter(|k| !(300..350).contains(k));
    let rows: Vec<u8> =
        stamps.flat_map(|k| row(1, &[package(&layout, 0.0, NOW + f64::from(k) / 250.0)])).collect();
    let mut decoder = Datagrams::new(Brainflow::new(layout, None));
    let heard = decoded(&mut decoder, &rows);
    assert_eq!((heard.samples, heard.lost.len()), (450, 0));
    let stamps = *decoder.inner_mut().stamps();
    assert_eq!((stamps.gaps, stamps.missing), (1, 50));
}
