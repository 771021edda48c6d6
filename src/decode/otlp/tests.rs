//! Requests as a whole, in both forms.

use std::fmt::Write;

use proptest::prelude::*;

use super::schema::{Holds, LOGS, METRICS, Message, TRACES};
use super::*;
use crate::protobuf::put_varint;

const SECOND: u64 = 1_000_000_000;
/// 2023-11-14 22:13:20.
const NOW: u64 = 1_700_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::both((NOW + second) * SECOND)
}

/// What a reader says of a request.
fn said(otlp: &mut Otlp, signal: Telemetry, form: Form, body: &[u8]) -> (RequestCounts, Vec<String>) {
    let request = Request::parse(signal, form, body).unwrap();
    let mut said = Vec::new();
    let counted = otlp.read(&request, at(0), &mut |with| {
        let mut events = 0;
        with(&mut |body| {
            events += u64::from(!matches!(body, Body::Fault(_) | Body::Export(_)));
            said.push(format!("{body:?}"));
        });
        events
    });
    (counted, said)
}

#[test]
fn an_empty_request_is_one() {
    for signal in Telemetry::ALL.iter().copied() {
        for (form, body) in [(Form::Protobuf, &b""[..]), (Form::Json, b"{}")] {
            assert_eq!(
                said(&mut Otlp::default(), signal, form, body),
                (RequestCounts::default(), Vec::new())
            );
        }
        assert!(Request::parse(signal, Form::Json, b"").is_err());
        assert!(Request::parse(signal, Form::Protobuf, b"{}").is_err());
    }
}

/// Random numbers that a seed gives.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below.max(1)
    }
}

/// A message in both forms, by a writer that shares nothing with what is tested but the table of fields.
fn both(message: &Message, dice: &mut Dice, depth: u32) -> (Vec<u8>, String) {
    let (mut bytes, mut text) = (Vec::new(), "{".to_owned());
    for field in message.fields {
        // What is needed to get anywhere is always there.
        let needed = matches!(field.holds, Holds::Message(_)) && field.repeats && depth > 4;
        if depth == 0 || !needed && dice.roll(3) == 0 {
            continue;
        }
        let values = if field.repeats { 1 + dice.roll(3) } else { 1 };
        let all: Vec<(Vec<u8>, String)> =
            (0..values).map(|_| one(field.number, field.holds, dice, depth - 1)).collect();
        all.iter().for_each(|(wire, _)| bytes.extend_from_slice(wire));
        let values: Vec<&str> = all.iter().map(|(_, json)| json.as_str()).collect();
        let value = if field.repeats { format!("[{}]", values.join(",")) } else { values.concat() };
        let comma = if text.len() > 1 { "," } else { "" };
        write!(text, "{comma}\"{}\":{value}", field.name).unwrap();
    }
    text.push('}');
    (bytes, text)
}

fn one(number: u32, holds: Holds, dice: &mut Dice, depth: u32) -> (Vec<u8>, String) {
    let mut wire = Vec::new();
    let mut tagged = |kind: u64, of: &[u8]| {
        put_varint(u64::from(number) << 3 | kind, &mut wire);
        wire.extend_from_slice(of);
    };
    let varint = |value: u64| {
        let mut out = Vec::new();
        put_varint(value, &mut out);
        out
    };
    let sized = |bytes: &[u8]| [varint(bytes.len() as u64), bytes.to_vec()].concat();
    let time = NOW * SECOND + dice.roll(1_000_000_000);
    let small = dice.roll(7);
    let json = match holds {
        Holds::Message(message) => {
            let (bytes, json) = both(message, dice, depth);
            tagged(2, &sized(&bytes));
            json
        }
        Holds::Text => {
            let words = ["", "service.name", "neural.stage", "a\"b", "é", "By", "WARN"];
            let word = words[usize::try_from(small).unwrap()];
            tagged(2, &sized(word.as_bytes()));
            serde_json::to_string(word).unwrap()
        }
        Holds::Id => {
            let id = (u128::from(time) << 32 | 1).to_be_bytes();
            tagged(2, &sized(&id));
            format!("\"{:032x}\"", u128::from_be_bytes(id))
        }
        Holds::Bytes => {
            tagged(2, &sized(b"hi!"));
            "\"aGkh\"".to_owned()
        }
        Holds::Boolean => {
            tagged(0, &[u8::from(small > 2)]);
            (small > 2).to_string()
        }
        Holds::Integer => {
            tagged(0, &varint(small));
            if small.is_multiple_of(2) { small.to_string() } else { format!("\"{small}\"") }
        }
        Holds::Signed => {
            let value = i64::try_from(small).unwrap() - 3;
            tagged(0, &varint((value << 1 ^ value >> 63).cast_unsigned()));
            value.to_string()
        }
        Holds::Fixed32 => {
            tagged(5, &u32::try_from(small).unwrap().to_le_bytes());
            small.to_string()
        }
        Holds::Fixed64 => {
            let value = if small == 0 { 3 } else { time };
            tagged(1, &value.to_le_bytes());
            format!("\"{value}\"")
        }
        Holds::SignedFixed64 => {
            tagged(1, &(-5_i64).to_le_bytes());
            "\"-5\"".to_owned()
        }
        Holds::Double => {
            let value = small as f64 / 4.0;
            tagged(1, &value.to_le_bytes());
            format!("{value:?}")
        }
    };
    (wire, json)
}

proptest! {
    #[test]
    fn both_forms_of_a_message_say_the_same(seed in 1_u64.., signal in 0_usize..3) {
        let (signal, message) =
            [(Telemetry::Traces, &TRACES), (Telemetry::Metrics, &METRICS), (Telemetry::Logs, &LOGS)][signal];
        let (bytes, text) = both(message, &mut Dice(seed), 9);
        let settings = Settings { resource_attributes: vec!["By".to_owned()], ..Settings::default() };
        // How many bytes a fault takes depends on how it was written.
        let bare = |(counted, said): (RequestCounts, Vec<String>)| -> (RequestCounts, Vec<String>) {
            (counted, said.iter().map(|line| line.split(", bytes: ").next().unwrap().to_owned()).collect())
        };
        let one = bare(said(&mut Otlp::new(settings.clone()), signal, Form::Protobuf, &bytes));
        let two = bare(said(&mut Otlp::new(settings), signal, Form::Json, text.as_bytes()));
        // A metric without data says nothing in either form.
        prop_assume!(one.0.items > 0);
        prop_assert_eq!(one, two);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), seed in 1_u64..) {
        for (signal, message) in [(Telemetry::Traces, &TRACES), (Telemetry::Metrics, &METRICS), (Telemetry::Logs, &LOGS)] {
            for form in [Form::Protobuf, Form::Json] {
                drop(Request::parse(signal, form, &bytes));
            }
            let (mut whole, _) = both(message, &mut Dice(seed), 9);
            whole.truncate(cut.index(whole.len() + 1));
            if let Ok(request) = Request::parse(signal, Form::Protobuf, &whole) {
                Otlp::default().read(&request, at(0), &mut |with| { with(&mut |_| {}); 0 });
            }
        }
    }
}
