//! `strftime` for templates that put the date into the prompt.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A moment in UTC, as the proleptic Gregorian calendar names it.
struct Moment {
    year: i64,
    /// From 0.
    month: usize,
    /// From 1.
    day: u64,
    /// From 0.
    day_of_year: u64,
    /// From 0, Monday.
    weekday: usize,
    second_of_day: u64,
}

impl Moment {
    /// Times before 1970 count as its first second.
    fn at(time: SystemTime) -> Moment {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut days = seconds / 86_400;
        let weekday = (days + 3) % 7; // the first of January 1970 was a Thursday
        let mut year = 1970 + (days / 146_097 * 400) as i64; // calendars repeat after 400 years
        days %= 146_097;
        while days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        let day_of_year = days;
        let mut month = 0;
        while days >= days_in_month(year, month) {
            days -= days_in_month(year, month);
            month += 1;
        }
        Moment { year, month, day: days + 1, day_of_year, weekday: weekday as usize, second_of_day: seconds % 86_400 }
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_year(year: i64) -> u64 {
    365 + u64::from(is_leap(year))
}

/// Month from 0; from 11 on, December.
fn days_in_month(year: i64, month: usize) -> u64 {
    match month {
        1 => 28 + u64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Formats `time` in UTC with the directives of Python's `strftime` that templates use; any other
/// is an error that names it.
pub(super) fn format(time: SystemTime, format: &str) -> Result<String, String> {
    let moment = Moment::at(time);
    let mut out = String::with_capacity(format.len());
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let unpadded = rest.next_if_eq(&'-').is_some();
        let letter = rest.next().ok_or("strftime_now: the format ends in `%`")?;
        let text = directive(&moment, letter)
            .ok_or_else(|| format!("strftime_now: directive `%{letter}` is not supported"))?;
        let short = text.trim_start_matches('0');
        match unpadded {
            true if short.is_empty() => out.push('0'),
            true => out.push_str(short),
            false => out.push_str(&text),
        }
    }
    Ok(out)
}

/// What one directive stands for; `None` for one that is not supported.
fn directive(moment: &Moment, letter: char) -> Option<String> {
    let (hour, minute) = (moment.second_of_day / 3600, moment.second_of_day / 60 % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let (month, weekday) = (MONTHS[moment.month], DAYS[moment.weekday]);
    Some(match letter {
        'Y' => moment.year.to_string(),
        'y' => format!("{:02}", moment.year % 100),
        'm' => format!("{:02}", moment.month + 1),
        'B' => month.to_owned(),
        'b' | 'h' => month[..3].to_owned(),
        'd' => format!("{:02}", moment.day),
        'e' => format!("{:2}", moment.day),
        'j' => format!("{:03}", moment.day_of_year + 1),
        'A' => weekday.to_owned(),
        'a' => weekday[..3].to_owned(),
        'H' => format!("{hour:02}"),
        'I' => format!("{hour12:02}"),
        'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'M' => format!("{minute:02}"),
        'S' => format!("{:02}", moment.second_of_day % 60),
        'F' => format!("{}-{:02}-{:02}", moment.year, moment.month + 1, moment.day),
        'T' => format!("{hour:02}:{minute:02}:{:02}", moment.second_of_day % 60),
        'Z' => "UTC".to_owned(),
        'z' => "+0000".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_as_python_writes_them() {
        // Expected texts: Python's datetime.fromtimestamp(seconds, timezone.utc).strftime(...).
        let everything = "%Y %y %m %B %b %d %-d %j %A %a %H %I %p %M %S %F %T %%";
        let cases = [
            (0, "1970 70 01 January Jan 01 1 001 Thursday Thu 00 12 AM 00 00 1970-01-01 00:00:00 %"),
            (951_782_399, "2000 00 02 February Feb 28 28 059 Monday Mon 23 11 PM 59 59 2000-02-28 23:59:59 %"),
            (951_825_600, "2000 00 02 February Feb 29 29 060 Tuesday Tue 12 12 PM 00 00 2000-02-29 12:00:00 %"),
            (1_735_689_599, "2024 24 12 December Dec 31 31 366 Tuesday Tue 23 11 PM 59 59 2024-12-31 23:59:59 %"),
            (4_107_542_400, "2100 00 03 March Mar 01 1 060 Monday Mon 00 12 AM 00 00 2100-03-01 00:00:00 %"),
        ];
        for (seconds, expected) in cases {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(format(time, everything).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_directives_are_named() {
        let error = |text| format(UNIX_EPOCH, text).unwrap_err();
        assert!(error("%d %Q").contains("%Q"));
        assert!(error("100%").contains('%'));
        assert!(format(UNIX_EPOCH - Duration::from_secs(5), "%Y").is_ok());
    }
}
