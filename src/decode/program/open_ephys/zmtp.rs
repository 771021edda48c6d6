//! ZMTP 3.0, as far as a subscriber without security needs it: greeting, commands, frames of messages.
//!
//! Layout: RFC 23/ZMTP. Version 3.0 is what is announced, so that a publisher of 3.1 speaks it as well; then there
//! are no heartbeats, and a subscription is a message. Every topic is subscribed to.

use crate::event::FaultKind;

/// What the subscriber sends first.
pub(super) fn greeting() -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    let parts: [(usize, &[u8]); 4] = [(0, &[0xFF]), (9, &[0x7F]), (10, &[3, 0]), (12, b"NULL")];
    for (at, part) in parts {
        if let Some(place) = bytes.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    }
    bytes
}

/// What it sends when it has been greeted.
pub(super) const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";
/// What it sends when the publisher is ready.
pub(super) const SUBSCRIBE: &[u8] = b"\x00\x01\x01";

const GREETING: usize = 64;
/// Bytes of the longest command that is read.
const COMMAND: u64 = 4096;
const MORE: u8 = 1;
const LONG: u8 = 2;
const IS_COMMAND: u8 = 4;

/// A piece of what a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece<'b> {
    /// Its greeting.
    Greeting,
    /// A command: its name, and what comes with it.
    Command(&'b [u8], &'b [u8]),
    /// A part of a message, and whether more follow.
    Part(&'b [u8], bool),
}

/// How many bytes a piece has, as far as they tell; at least one more than there are if it is not complete.
type Piecewise<'b> = Result<Result<(Piece<'b>, usize), usize>, FaultKind>;

/// The greeting at the beginning of `bytes`.
pub(super) fn greeted(bytes: &[u8]) -> Piecewise<'_> {
    for (at, wanted) in [(0, 0xFF), (9, 0x7F)] {
        if bytes.get(at).is_some_and(|is| *is != wanted) {
            return Err(FaultKind::Syntax);
        }
    }
    if bytes.get(10).is_some_and(|major| *major < 3) {
        return Err(FaultKind::UnknownType);
    }
    let Some(whole) = bytes.get(..GREETING) else { return Ok(Err(GREETING)) };
    if whole.get(12..32) != greeting().get(12..32) {
        // It wants to know who asks.
        return Err(FaultKind::UnknownType);
    }
    Ok(Ok((Piece::Greeting, GREETING)))
}

/// The frame at the beginning of `bytes`; a part of a message may have so many.
pub(super) fn frame(bytes: &[u8], most: u64) -> Piecewise<'_> {
    let Some((&flags, rest)) = bytes.split_first() else { return Ok(Err(1)) };
    if flags & !(MORE | LONG | IS_COMMAND) != 0 || flags & MORE != 0 && flags & IS_COMMAND != 0 {
        return Err(FaultKind::Frame);
    }
    let (length, head) = if flags & LONG == 0 {
        let Some(length) = rest.first() else { return Ok(Err(2)) };
        (u64::from(*length), 2)
    } else {
        let Some(length) = rest.first_chunk() else { return Ok(Err(9)) };
        (u64::from_be_bytes(*length), 9)
    };
    let is_command = flags & IS_COMMAND != 0;
    if length > if is_command { COMMAND } else { most } {
        return Err(FaultKind::TooLong);
    }
    let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(head);
    let Some(body) = bytes.get(head..end) else { return Ok(Err(end)) };
    let piece = if is_command {
        let name = body.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()));
        let (name, data) = name.ok_or(FaultKind::Frame)?;
        Piece::Command(name, data)
    } else {
        Piece::Part(body, flags & MORE != 0)
    };
    Ok(Ok((piece, end)))
}

/// A property that comes with `READY`, by its name in any case.
pub(super) fn property<'b>(mut data: &'b [u8], wanted: &str) -> Option<&'b [u8]> {
    loop {
        let (length, rest) = data.split_first()?;
        let (name, rest) = rest.split_at_checked((*length).into())?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(value);
        }
        data = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_understood() {
        let said = greeting();
        assert_eq!(greeted(&said), Ok(Ok((Piece::Greeting, 64))));
        assert_eq!(greeted(&said[..20]), Ok(Err(64)));
        let Ok(Ok((Piece::Command(name, data), used))) = frame(READY, 0) else { panic!("a command") };
        assert_eq!(
            (name, property(data, "socket-type"), used),
            (&b"READY"[..], Some(&b"SUB"[..]), READY.len())
        );
        assert_eq!(frame(SUBSCRIBE, 1), Ok(Ok((Piece::Part(&[1], false), 3))));
    }

    #[test]
    fn frames_are_short_or_long_and_bounded() {
        let long = [&[3, 0, 0, 0, 0, 0, 0, 1, 0][..], &[7; 256]].concat();
        assert_eq!(frame(&long, 256), Ok(Ok((Piece::Part(&[7; 256], true), 265))));
        assert_eq!(frame(&long[..100], 256), Ok(Err(265)));
        assert_eq!(frame(&long, 255), Err(FaultKind::TooLong));
        assert_eq!(frame(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX), Ok(Err(usize::MAX)));
        assert_eq!(frame(b"\x08\x00", 1), Err(FaultKind::Frame));
        assert_eq!(frame(b"\x04\x01\x09", 1), Err(FaultKind::Frame));
        assert_eq!(greeted(b"GET /"), Err(FaultKind::Syntax));
        let mut curve = greeting();
        curve[12..17].copy_from_slice(b"CURVE");
        assert_eq!(greeted(&curve), Err(FaultKind::UnknownType));
        assert_eq!(property(b"\x05Socke", "socket-type"), None);
    }
}
