//! BGAPI, the binary protocol of Bluegiga's Bluetooth dongles (BLED112): messages out of bytes, and the few
//! commands that a client of one peripheral needs.
//!
//! Numbers of classes, commands and events are those of the maker's "Bluetooth Smart Software API Reference"
//! 1.3, as public client libraries list them. Messages that no such client meets are not known here and are
//! no messages: the marks of this protocol are weak, and a wrong length would swallow good bytes.

use super::byte;

/// Bytes before the payload: kind and high bits of the length, length, class, command.
pub const HEADER: usize = 4;
/// The most bytes of an array in a message: an advertisement has 31.
const ARRAY: usize = 31;
/// A response to a command.
const RESPONSE: u8 = 0x00;
/// An event.
const EVENT: u8 = 0x80;

/// Messages: kind, class, command, bytes of the payload, and whether the last of them says how many more follow.
const KNOWN: &[(u8, u8, u8, usize, bool)] = &[
    (EVENT, 0, 0, 12, false),
    (EVENT, 0, 6, 2, false),
    (EVENT, 3, 0, 16, false),
    (EVENT, 3, 1, 6, false),
    (EVENT, 3, 2, 2, true),
    (EVENT, 3, 4, 3, false),
    (EVENT, 4, 1, 5, false),
    (EVENT, 4, 2, 6, true),
    (EVENT, 4, 4, 4, true),
    (EVENT, 4, 5, 5, true),
    (EVENT, 6, 0, 11, true),
    (RESPONSE, 3, 0, 3, false),
    (RESPONSE, 4, 1, 3, false),
    (RESPONSE, 4, 3, 3, false),
    (RESPONSE, 4, 5, 3, false),
    (RESPONSE, 4, 6, 3, false),
    (RESPONSE, 6, 1, 2, false),
    (RESPONSE, 6, 2, 2, false),
    (RESPONSE, 6, 3, 3, false),
    (RESPONSE, 6, 4, 2, false),
    (RESPONSE, 6, 7, 2, false),
];

/// What bytes are the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Of no message.
    No,
    /// Perhaps of one.
    More,
    /// Of one of so many bytes.
    Whole(usize),
}

/// What `bytes` are the beginning of.
#[must_use]
pub fn shape(bytes: &[u8]) -> Shape {
    let fits = |&&(kind, class, command, fixed, array): &&(u8, u8, u8, usize, bool)| {
        let length = |&length: &u8| {
            let length = usize::from(length);
            length >= fixed && length <= fixed + if array { ARRAY } else { 0 }
        };
        bytes.first().is_none_or(|b| *b == kind)
            && bytes.get(1).is_none_or(length)
            && bytes.get(2).is_none_or(|b| *b == class)
            && bytes.get(3).is_none_or(|b| *b == command)
    };
    let Some(&(.., fixed, array)) = KNOWN.iter().find(fits) else { return Shape::No };
    if bytes.len() < HEADER {
        return Shape::More;
    }
    let length = usize::from(byte(bytes, 1));
    let counted = bytes.get(HEADER + fixed - 1).map(|count| fixed + usize::from(*count));
    if array && counted.is_some_and(|counted| counted != length) {
        return Shape::No;
    }
    match bytes.get(..HEADER + length) {
        None => Shape::More,
        Some(whole) if matches!(read(whole), Message::Found { data, .. } if !advertises(data)) => Shape::No,
        Some(_) => Shape::Whole(HEADER + length),
    }
}

/// Whether an advertisement is a row of structures of known kinds, as Bluetooth has them.
fn advertises(mut data: &[u8]) -> bool {
    while let [length, rest @ ..] = data {
        let length = usize::from(*length);
        let known = rest.first().is_none_or(|kind| length == 0 || *kind <= 0x3D || *kind == 0xFF);
        match rest.get(length..) {
            Some(next) if known => data = next,
            _ => return false,
        }
    }
    true
}

/// The complete, or else the shortened, name in an advertisement.
#[must_use]
pub fn name(mut data: &[u8]) -> Option<&str> {
    let mut found = None;
    while let [length, rest @ ..] = data {
        let (one, next) = rest.split_at_checked(usize::from(*length))?;
        match one {
            [9, name @ ..] => return std::str::from_utf8(name).ok(),
            [8, name @ ..] => found = std::str::from_utf8(name).ok(),
            _ => {}
        }
        data = next;
    }
    found
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The dongle started.
    Booted,
    /// The dongle refused to connect, with this code, or began to, with 0.
    Connecting(u16),
    /// A peripheral advertises.
    Found {
        /// Its address.
        address: [u8; 6],
        /// 0 if the address is public, 1 if it is random.
        kind: u8,
        /// What it advertises.
        data: &'a [u8],
    },
    /// A connection stands.
    Connected(u8),
    /// A connection ended, with this reason.
    Disconnected(u16),
    /// A procedure ended, with this code; 0 is success.
    Completed(u16),
    /// The dongle took what is to be written to an attribute.
    Written,
    /// A service: its first and last handle, and its UUID, the last byte first.
    Service(u16, u16, &'a [u8]),
    /// An attribute: its handle and UUID, the last byte first.
    Attribute(u16, &'a [u8]),
    /// The value of an attribute: how it came (1: notified) and what it is.
    Value(u8, &'a [u8]),
    /// Something that a client can ignore.
    Other,
}

/// Reads a whole message.
#[must_use]
pub fn read(message: &[u8]) -> Message<'_> {
    let Some((&[kind, _, class, command], rest)) = message.split_first_chunk::<HEADER>() else {
        return Message::Other;
    };
    let word = |at: usize| u16::from_le_bytes([byte(rest, at), byte(rest, at + 1)]);
    let array = |at: usize| rest.get(at + 1..).unwrap_or_default();
    match (kind, class, command) {
        (EVENT, 0, 0) => Message::Booted,
        (RESPONSE, 6, 3) => Message::Connecting(word(0)),
        // Bit 0 of the flags: it stands.
        (EVENT, 3, 0) if byte(rest, 1) & 1 == 1 => Message::Connected(byte(rest, 0)),
        (EVENT, 3, 4) => Message::Disconnected(word(1)),
        (EVENT, 4, 1) => Message::Completed(word(1)),
        (RESPONSE, 4, 5 | 6) => Message::Written,
        (EVENT, 4, 2) => Message::Service(word(1), word(3), array(5)),
        (EVENT, 4, 4) => Message::Attribute(word(1), array(3)),
        (EVENT, 4, 5) => Message::Value(byte(rest, 3), array(4)),
        (EVENT, 6, 0) => {
            let address = std::array::from_fn(|at| byte(rest, 2 + at));
            Message::Found { address, kind: byte(rest, 8), data: array(10) }
        }
        _ => Message::Other,
    }
}

/// Appends a command.
fn command(class: u8, command: u8, payload: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    // No command here comes near 255 bytes.
    out.extend([0, length as u8, class, command]);
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// Looks for peripherals, whatever they advertise.
pub fn discover(out: &mut Vec<u8>) {
    command(6, 2, &[&[2]], out);
}

/// Ends looking, or connecting.
pub fn end_procedure(out: &mut Vec<u8>) {
    command(6, 4, &[], out);
}

/// Connects: interval 10 to 76 of 1.25 ms, gone after 100 of 10 ms, no latency (the numbers that BrainFlow
/// uses, where other ones lose packets).
pub fn connect(address: [u8; 6], kind: u8, out: &mut Vec<u8>) {
    command(6, 3, &[&address, &[kind], &[10, 0, 76, 0, 100, 0, 0, 0]], out);
}

/// Ends a connection.
pub fn disconnect(connection: u8, out: &mut Vec<u8>) {
    command(3, 0, &[&[connection]], out);
}

/// Lists the services.
pub fn services(connection: u8, out: &mut Vec<u8>) {
    command(4, 1, &[&[connection, 1, 0, 0xFF, 0xFF, 2, 0x00, 0x28]], out);
}

/// Lists the attributes between two handles.
pub fn attributes(connection: u8, (first, last): (u16, u16), out: &mut Vec<u8>) {
    command(4, 3, &[&[connection], &first.to_le_bytes(), &last.to_le_bytes()], out);
}

/// Writes an attribute.
pub fn write(connection: u8, handle: u16, value: &[u8], out: &mut Vec<u8>) {
    command(4, 5, &[&[connection], &handle.to_le_bytes(), &[value.len() as u8], value], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_their_shape() {
        let value = [0x80, 8, 4, 5, 0, 0x19, 0, 1, 3, 7, 8, 9];
        assert_eq!(shape(&value), Shape::Whole(12));
        assert_eq!(read(&value), Message::Value(1, &[7, 8, 9]));
        for length in 0..value.len() {
            assert_eq!(shape(&value[..length]), Shape::More);
        }
        assert_eq!(shape(&[0x80, 8, 4, 5, 0, 0x19, 0, 1, 4]), Shape::No, "the array has another length");
        assert_eq!(shape(&[0x80, 200]), Shape::No);
        assert_eq!(shape(&[0x80, 3, 9]), Shape::No);
    }

    #[test]
    fn a_name_is_found_in_an_advertisement() {
        let data = b"\x02\x01\x06\x0e\x09Ganglion-1a2b";
        assert_eq!(name(data), Some("Ganglion-1a2b"));
        let mut scan = vec![0x80, 11 + data.len() as u8, 6, 0, 0xC0, 0, 1, 2, 3, 4, 5, 6, 1, 0xFF];
        scan.push(data.len() as u8);
        scan.extend(data);
        assert_eq!(shape(&scan), Shape::Whole(scan.len()));
        assert!(matches!(read(&scan), Message::Found { address: [1, 2, 3, 4, 5, 6], kind: 1, .. }));
        // A structure that is longer than what holds it.
        scan[18] = 0x30;
        assert_eq!(shape(&scan), Shape::No);
    }

    #[test]
    fn commands_are_written_as_the_reference_has_them() {
        let mut out = Vec::new();
        connect([1, 2, 3, 4, 5, 6], 1, &mut out);
        assert_eq!(out, [0, 15, 6, 3, 1, 2, 3, 4, 5, 6, 1, 10, 0, 76, 0, 100, 0, 0, 0]);
        out.clear();
        write(0, 0x1234, b"b", &mut out);
        assert_eq!(out, [0, 5, 4, 5, 0, 0x34, 0x12, 1, b'b']);
    }
}
