//! The numbers of protocol 1.00, which writes each with as few bytes as it needs.
//!
//! A byte says how many bytes follow, least first; 0 is the number 0 by itself, and of a negative count the number is
//! negative and what is omitted is all ones (`eos::portable_archive`, as liblsl before 1.10 wrote it).

/// What an archive begins with, but for its version, which follows.
pub(super) const BEGIN: [u8; 2] = [0x7f, 1];

/// The number that bytes begin with, and how many bytes it took. `None` if there are too few.
///
/// # Errors
/// There is no such number.
pub(super) fn number(bytes: &[u8]) -> Result<Option<(i64, usize)>, ()> {
    let Some((&size, rest)) = bytes.split_first() else { return Ok(None) };
    let size = size.cast_signed();
    let count = usize::from(size.unsigned_abs());
    if count > 8 {
        return Err(());
    }
    let Some(digits) = rest.get(..count) else { return Ok(None) };
    let mut whole = if size < 0 { [0xff; 8] } else { [0; 8] };
    whole.iter_mut().zip(digits).for_each(|(to, from)| *to = *from);
    Ok(Some((i64::from_le_bytes(whole), 1 + count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_liblsl_wrote_them() {
        for (bytes, number) in [
            (&[0_u8][..], 0),
            (&[1, 1], 1),
            (&[0xff, 0xfe], -2),
            (&[2, 5, 1], 261),
            (&[0xfe, 0xfa, 0xfe], -262),
            (&[4, 0, 0, 0x80, 0x40], 0x4080_0000),
            (&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -1),
        ] {
            assert_eq!(super::number(bytes), Ok(Some((number, bytes.len()))));
            let cut = super::number(&bytes[..bytes.len() - 1]);
            assert_eq!(cut, Ok(None), "{bytes:?}");
        }
        assert_eq!(number(&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1]), Err(()));
        assert_eq!(number(&[0x80]), Err(()));
    }
}
