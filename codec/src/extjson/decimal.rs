//! IEEE 754-2008 Decimal128 in its binary-integer encoding, to text and back.
//!
//! The text follows the BSON specification (`to-scientific-string` of General Decimal Arithmetic), which keeps
//! coefficient and exponent apart: `1.0` and `1.00` are different values. Some encodings have no text (NaNs with sign
//! or payload, infinities with stray bits, coefficients of more than 34 digits).

const MAX_DIGITS: usize = 34;
const MAX_COEFFICIENT: u128 = 10_u128.pow(MAX_DIGITS as u32) - 1;
const BIAS: i32 = 6176;
const MAX_EXPONENT: i32 = 6111;
const SIGN: u128 = 1 << 127;
const INFINITY: u128 = 0x7800 << 112;
const NAN: u128 = 0x7C00 << 112;

/// Appends the text of the number with these bits, if the text leads back to the same bits.
pub(super) fn write(bits: u128, out: &mut Vec<u8>) -> Option<()> {
    if bits == NAN {
        out.extend_from_slice(b"NaN");
        return Some(());
    }
    if bits & SIGN != 0 {
        out.push(b'-');
    }
    let magnitude = bits & !SIGN;
    if magnitude == INFINITY {
        out.extend_from_slice(b"Infinity");
        return Some(());
    }
    // The other layout, marked by two set bits, only holds coefficients that are too large.
    let (biased, coefficient) = ((magnitude >> 113) as i32, magnitude & ((1 << 113) - 1));
    if magnitude >> 125 == 0b11 || coefficient > MAX_COEFFICIENT {
        return None;
    }
    write_finite(coefficient, biased - BIAS, out);
    Some(())
}

fn write_finite(coefficient: u128, exponent: i32, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(coefficient).as_bytes();
    let adjusted = exponent + digits.len() as i32 - 1;
    if exponent > 0 || adjusted < -6 {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'E');
        out.push(if adjusted < 0 { b'-' } else { b'+' });
        out.extend_from_slice(itoa::Buffer::new().format(adjusted.unsigned_abs()).as_bytes());
    } else if exponent == 0 {
        out.extend_from_slice(digits);
    } else if adjusted >= 0 {
        let (whole, fraction) = digits.split_at(adjusted as usize + 1);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-adjusted - 1) as usize));
        out.extend_from_slice(digits);
    }
}

/// The bits of the number that `text` names; `None` if it names none, or none that Decimal128 holds exactly. Where the
/// exponent is out of range, zeros move between coefficient and exponent, as IEEE 754 has it.
pub(super) fn parse(text: &[u8]) -> Option<u128> {
    let (sign, magnitude) = match text {
        [b'-', rest @ ..] => (SIGN, rest),
        [b'+', rest @ ..] => (0, rest),
        rest => (0, rest),
    };
    if magnitude.eq_ignore_ascii_case(b"nan") {
        return Some(sign | NAN);
    }
    if magnitude.eq_ignore_ascii_case(b"infinity") || magnitude.eq_ignore_ascii_case(b"inf") {
        return Some(sign | INFINITY);
    }
    let (coefficient, exponent) = fit(parse_finite(magnitude)?)?;
    Some(sign | ((exponent + i64::from(BIAS)) as u128) << 113 | coefficient)
}

struct Finite {
    coefficient: u128,
    /// Significant digits in the coefficient.
    digits: usize,
    exponent: i64,
}

fn parse_finite(text: &[u8]) -> Option<Finite> {
    let mut finite = Finite {
        coefficient: 0,
        digits: 0,
        exponent: 0,
    };
    let (mut seen_digit, mut seen_point, mut dropped) = (false, false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                if finite.digits == MAX_DIGITS {
                    // Only zeros may follow a full coefficient: anything else would have to be rounded.
                    dropped |= byte != b'0';
                    finite.exponent += 1;
                } else if finite.coefficient != 0 || byte != b'0' {
                    finite.coefficient = finite.coefficient * 10 + u128::from(byte - b'0');
                    finite.digits += 1;
                }
                finite.exponent -= i64::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            b'e' | b'E' if seen_digit => {
                let exponent: i64 = std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?;
                // Beyond a few billion the value is out of range or zero either way.
                finite.exponent += exponent.clamp(-(1 << 40), 1 << 40);
                at = text.len();
                continue;
            }
            _ => return None,
        }
        at += 1;
    }
    (seen_digit && !dropped).then_some(finite)
}

fn fit(mut finite: Finite) -> Option<(u128, i64)> {
    let (least, most) = (i64::from(-BIAS), i64::from(MAX_EXPONENT));
    if finite.coefficient == 0 {
        return Some((0, finite.exponent.clamp(least, most)));
    }
    while finite.exponent > most && finite.digits < MAX_DIGITS {
        finite.coefficient *= 10;
        finite.digits += 1;
        finite.exponent -= 1;
    }
    while finite.exponent < least && finite.coefficient.is_multiple_of(10) {
        finite.coefficient /= 10;
        finite.exponent += 1;
    }
    (least..=most)
        .contains(&finite.exponent)
        .then_some((finite.coefficient, finite.exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::Decimal128;
    use proptest::prelude::*;

    fn text(bits: u128) -> Option<String> {
        let mut out = Vec::new();
        write(bits, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    fn same_as_the_reference(bits: u128) {
        if let Some(text) = text(bits) {
            assert_eq!(text, Decimal128::from_bytes(bits.to_le_bytes()).to_string());
            assert_eq!(parse(text.as_bytes()), Some(bits), "{text}");
            assert_eq!(
                text.parse::<Decimal128>().unwrap().bytes(),
                bits.to_le_bytes(),
                "{text}"
            );
        }
    }

    #[test]
    fn texts_of_the_specification() {
        for canonical in [
            "0",
            "-0",
            "0E-6176",
            "0E+6111",
            "0.1",
            "0.1234567890123456789012345678901234",
            "1E+3",
            "1.000000E-7",
            "0.000001",
            "9.999999999999999999999999999999999E+6144",
            "1E-6176",
            "-1.0",
            "1.00",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.00",
            "1.234567890123456789012345678901234E-6143",
            "12345678901234567",
            "0E-7",
            "0E+1",
        ] {
            assert_eq!(text(parse(canonical.as_bytes()).unwrap()).as_deref(), Some(canonical));
            same_as_the_reference(parse(canonical.as_bytes()).unwrap());
        }
    }

    #[test]
    fn other_texts_of_the_same_values() {
        for (given, canonical) in [
            ("+1", "1"),
            ("1e3", "1E+3"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1E+6112", "1.0E+6112"),
            ("inf", "Infinity"),
            ("nan", "NaN"),
            ("1E+6144", "1.000000000000000000000000000000000E+6144"),
            ("10E-6177", "1E-6176"),
            ("0E-999999999999", "0E-6176"),
            ("00001", "1"),
            (
                "10000000000000000000000000000000000",
                "1.000000000000000000000000000000000E+34",
            ),
        ] {
            assert_eq!(
                text(parse(given.as_bytes()).unwrap()).as_deref(),
                Some(canonical),
                "{given}"
            );
        }
        for bad in [
            "",
            "-",
            ".",
            "E5",
            "1E",
            "1E+",
            "1.2.3",
            "abc",
            "1 ",
            " 1",
            "1E99999999999999999999",
            "1E+6145",
            "1E-6177",
            "--1",
            "12345678901234567890123456789012345",
            "sNaN",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn encodings_without_a_text() {
        for bits in [
            NAN | 1,
            NAN | SIGN,
            INFINITY | 1,
            0x7E00 << 112,
            0x6000 << 112,
            MAX_COEFFICIENT + 1,
            (1 << 113) - 1,
        ] {
            assert_eq!(text(bits), None, "{bits:x}");
        }
    }

    proptest! {
        #[test]
        fn bits_text_bits(coefficient in any::<u128>(), shift in 0..128_u32, exponent in 0..12288_u128, negative: bool) {
            let sign = if negative { SIGN } else { 0 };
            same_as_the_reference(sign | (exponent << 113) | ((coefficient >> shift) % (MAX_COEFFICIENT + 1)));
        }

        #[test]
        fn any_bits(bits: u128) {
            same_as_the_reference(bits);
        }

        #[test]
        fn any_text(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,40}([eE][-+]?[0-9]{0,5})?") {
            let ours = parse(text.as_bytes());
            if let Some(bits) = ours {
                let mut out = Vec::new();
                prop_assert!(write(bits, &mut out).is_some());
                prop_assert_eq!(parse(&out), ours);
            }
        }
    }
}
