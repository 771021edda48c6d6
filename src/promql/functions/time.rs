//! Dates of the Gregorian calendar in UTC, from seconds since 1970.

/// A day and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql) struct Date {
    pub(in crate::promql) year: i64,
    /// From 1.
    pub(in crate::promql) month: i64,
    /// From 1.
    pub(in crate::promql) day: i64,
    /// From 0, which is Sunday.
    pub(in crate::promql) weekday: i64,
    /// From 1.
    pub(in crate::promql) yearday: i64,
    pub(in crate::promql) hour: i64,
    pub(in crate::promql) minute: i64,
    pub(in crate::promql) second: i64,
}

/// Days before each month of a year that is no leap year.
const BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
/// Days of 400, 100, 4 and 1 years.
const SPANS: [i64; 4] = [146_097, 36_524, 1461, 365];

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

impl Date {
    /// The date at a number of seconds.
    pub(in crate::promql) fn at(seconds: i64) -> Self {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // From the first day of the year 1: 1970 begins 719,162 days later.
        let since = days + 719_162;
        let [four_hundreds, mut rest] = [since.div_euclid(SPANS[0]), since.rem_euclid(SPANS[0])];
        // The last day of 400 years and of 4 years is one more than 4 times what is below.
        let hundreds = (rest / SPANS[1]).min(3);
        rest -= hundreds * SPANS[1];
        let fours = rest / SPANS[2];
        rest -= fours * SPANS[2];
        let ones = (rest / SPANS[3]).min(3);
        rest -= ones * SPANS[3];
        let year = four_hundreds * 400 + hundreds * 100 + fours * 4 + ones + 1;
        let begins =
            |month: usize| BEFORE.get(month).copied().unwrap_or(365) + i64::from(month > 1 && leap(year));
        let month = (1..12).rev().find(|month| begins(*month) <= rest).unwrap_or(0);
        Self {
            year,
            month: month as i64 + 1,
            day: rest - begins(month) + 1,
            weekday: (days + 4).rem_euclid(7),
            yearday: rest + 1,
            hour: second / 3600,
            minute: second % 3600 / 60,
            second: second % 60,
        }
    }

    pub(super) fn days_in_month(&self) -> i64 {
        match self.month {
            2 => 28 + i64::from(leap(self.year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_hundred_years_follows_the_one_before() {
        let mut before = Date::at(-86_400 * 365 * 400);
        for day in -365 * 400 + 1..365 * 400 {
            let date = Date::at(day * 86_400);
            let next_month = date.day == 1 && before.day == before.days_in_month();
            assert!(
                date.day == before.day + 1 && date.month == before.month || next_month,
                "{before:?} {date:?}"
            );
            assert_eq!(date.weekday, (before.weekday + 1) % 7);
            let next_year = date.yearday == 1 && before.month == 12 && date.year == before.year + 1;
            assert!(date.yearday == before.yearday + 1 && date.year == before.year || next_year);
            before = date;
        }
    }

    #[test]
    fn known_days() {
        let date = Date::at(1_136_239_445);
        assert_eq!((date.year, date.month, date.day, date.weekday), (2006, 1, 2, 1));
        assert_eq!((date.hour, date.minute, date.second, date.yearday), (22, 4, 5, 2));
        assert_eq!(Date::at(0).year, 1970);
        assert_eq!(Date::at(1_456_790_399).days_in_month(), 29);
        // The bounds of 64 bits are years as well.
        assert!(Date::at(i64::MAX).year > 0 && Date::at(i64::MIN).year < 0);
    }
}
