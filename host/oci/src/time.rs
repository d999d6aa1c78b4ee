//! Times as configs and indexes write them: RFC 3339 text to seconds and back, all in UTC.

/// The last second that four digits of a year can say.
const LAST: i64 = 253_402_300_799;

/// The first second of the year 0.
const FIRST: i64 = -62_167_219_200;

/// Reads `2024-02-03T04:05:06.789Z` and the same with an offset. Fractions are dropped.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = &text[from..to];
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    };
    if [bytes[4], bytes[7], bytes[13], bytes[16]] != *b"--::"
        || !matches!(bytes[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let rest = &text[19..];
    let fraction = rest
        .strip_prefix('.')
        .map_or(0, |f| 1 + f.bytes().take_while(u8::is_ascii_digit).count());
    let offset = parse_offset(&rest[fraction..])?;
    Some(
        days_from_civil(number(0, 4)?, month, day) * 86_400 + hour * 3600 + minute * 60 + second
            - offset,
    )
}

/// Seconds east of UTC.
fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn broken_down(seconds: i64) -> (i64, i64, i64, i64, i64, i64) {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    (
        year,
        month,
        day,
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// `2024-02-03T04:05:06Z`; a time that four digits of a year cannot say is cut to the nearest that they can.
#[must_use]
pub fn to_rfc3339(seconds: i64) -> String {
    let (year, month, day, hour, minute, second) = broken_down(seconds.clamp(FIRST, LAST));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_to_the_second() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.123456789Z", Some(1_709_210_096)),
            ("2024-02-29T14:34:56+02:00", Some(1_709_210_096)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2024-13-01T00:00:00Z", None),
            ("2024-02-29T12:34:56", None),
            ("2024-02-29T12:34:56+2", None),
            ("", None),
            ("2024-02-2éT12:34:56Z", None),
        ] {
            assert_eq!(parse_rfc3339(text), seconds, "{text}");
        }
    }

    #[test]
    fn times_survive_a_round_trip() {
        for seconds in [
            0,
            -1,
            951_782_400,
            1_709_210_096,
            4_102_444_799,
            -62_135_596_800,
        ] {
            assert_eq!(parse_rfc3339(&to_rfc3339(seconds)), Some(seconds));
        }
    }

    #[test]
    fn times_beyond_all_years_are_cut() {
        assert_eq!(to_rfc3339(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(to_rfc3339(i64::MIN), "0000-01-01T00:00:00Z");
    }
}
