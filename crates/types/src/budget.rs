//! How much may pass within which time.

use std::fmt;

use jiff::Timestamp;

/// After what time a budget is whole again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// With each minute of UTC.
    Minute,
    /// With each hour of UTC.
    Hour,
    /// With each day of UTC.
    Day,
    /// Never: it is the sandbox's.
    #[default]
    Sandbox,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Sandbox];

    /// The number of the window that is open; later ones have greater numbers.
    pub fn window(self, now: Timestamp) -> i64 {
        match self.seconds() {
            Some(length) => now.as_second().div_euclid(length),
            None => 0,
        }
    }

    /// When a window ends and the next one opens; `None`: never.
    pub fn end(self, window: i64) -> Option<Timestamp> {
        let next = window.checked_add(1)?.checked_mul(self.seconds()?)?;
        Timestamp::from_second(next).ok()
    }

    /// Reads the word that [`Period::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == text)
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Sandbox => "sandbox",
        }
    }

    const fn seconds(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60),
            Self::Hour => Some(3600),
            Self::Day => Some(24 * 3600),
            Self::Sandbox => None,
        }
    }
}

/// How much the model calls of one protocol may take; a part that is `None` may take any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBudget {
    /// Most tokens within each window, of questions and answers together.
    pub tokens: Option<u64>,
    /// Most calls within each window.
    pub requests: Option<u64>,
    /// Most bytes of bodies within each window, both ways together.
    pub bytes: Option<u64>,
    /// How long a window is.
    pub per: Period,
}

/// A text that is no budget of calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; a budget is such as `tokens=2M,bytes=1G,requests=1000`, each part at most once and at \
     least one, with numbers from 1 and the units k, M, G, T (thousands) and Ki, Mi, Gi, Ti (of 1024)"
)]
pub struct CallBudgetError(String);

impl CallBudget {
    /// The largest number of a part: what every reader of JSON keeps exact.
    pub const MOST: u64 = (1 << 53) - 1;

    /// Reads `tokens=2M,bytes=1G,requests=1000`, of which each part may be missing, but not all.
    pub fn parse(text: &str, per: Period) -> Result<Self, CallBudgetError> {
        let mut budget = Self { tokens: None, requests: None, bytes: None, per };
        for pair in text.split(',') {
            let (name, amount) = pair.split_once('=').unwrap_or((pair, ""));
            let part = match name.trim() {
                "tokens" => &mut budget.tokens,
                "requests" => &mut budget.requests,
                "bytes" => &mut budget.bytes,
                "" => return Err(CallBudgetError("a part is missing".to_owned())),
                other => {
                    let shown = other.escape_debug();
                    return Err(CallBudgetError(format!("`{shown}` is no part of a budget")));
                }
            };
            let wrong = |what: &str| CallBudgetError(format!("`{}` {what}", pair.escape_debug()));
            let amount = quantity(amount.trim()).ok_or_else(|| wrong("has no number"))?;
            if part.replace(amount).is_some() {
                return Err(wrong("stands there twice"));
            }
        }
        Ok(budget)
    }

    /// The same, if each of its numbers can be one and there is one at least.
    pub fn checked(self) -> Option<Self> {
        let mut parts = [self.tokens, self.requests, self.bytes].into_iter().flatten().peekable();
        parts.peek()?;
        parts.all(|part| (1..=Self::MOST).contains(&part)).then_some(self)
    }
}

/// `tokens=2000000,bytes=1000000000 per hour`.
impl fmt::Display for CallBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("tokens", self.tokens), ("requests", self.requests), ("bytes", self.bytes)];
        let mut before = "";
        for (name, amount) in parts {
            let Some(amount) = amount else { continue };
            write!(f, "{before}{name}={}", short(amount))?;
            before = ",";
        }
        write!(f, " per {}", self.per.as_str())
    }
}

const UNITS: [(&str, u64); 8] = [
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
];

/// A number with a unit or without, as in `2M`.
fn quantity(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?, *size)));
    let (digits, size) = unit.unwrap_or((text, 1));
    // `parse` would take a sign.
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(size)).flatten()?;
    (1..=CallBudget::MOST).contains(&number).then_some(number)
}

/// The shortest text that is read as this number.
fn short(number: u64) -> String {
    let of = |(name, size): &(&str, u64)| {
        number.is_multiple_of(*size).then(|| format!("{}{name}", number / size))
    };
    let plain = number.to_string();
    UNITS.iter().filter_map(of).chain([plain.clone()]).min_by_key(String::len).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_of_calls_read_what_they_write() {
        for (text, written) in [
            ("tokens=2M,bytes=1G,requests=1000", "tokens=2M,requests=1k,bytes=1G per hour"),
            ("bytes=1Gi", "bytes=1Gi per hour"),
            (" requests = 7 ", "requests=7 per hour"),
            ("tokens=1500k", "tokens=1500k per hour"),
            ("tokens=1024,bytes=1T", "tokens=1Ki,bytes=1T per hour"),
            ("bytes=9007199254740991", "bytes=9007199254740991 per hour"),
        ] {
            let budget = CallBudget::parse(text, Period::Hour).expect(text);
            assert_eq!(budget.to_string(), written);
            assert_eq!(budget.checked(), Some(budget));
            let parts = written.strip_suffix(" per hour").expect("a period");
            assert_eq!(CallBudget::parse(parts, Period::Hour), Ok(budget));
        }
        for bad in [
            "",
            "tokens",
            "tokens=",
            "tokens=0",
            "tokens=-1",
            "tokens=+1",
            "tokens=1.5M",
            "tokens=1m",
            "tokens=1,",
            "tokens=1,tokens=2",
            "dollars=1",
            "bytes=9007199254740992",
            "bytes=99999999999T",
        ] {
            assert!(CallBudget::parse(bad, Period::Hour).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_has_no_number_or_one_that_is_none_is_no_budget() {
        let none = CallBudget { tokens: None, requests: None, bytes: None, per: Period::Day };
        assert_eq!(none.checked(), None);
        assert_eq!(CallBudget { tokens: Some(0), ..none }.checked(), None);
        let large = CallBudget { tokens: Some(1), bytes: Some(u64::MAX), ..none };
        assert_eq!(large.checked(), None);
        for period in Period::ALL {
            assert_eq!(Period::parse(period.as_str()), Some(period));
        }
        assert_eq!(Period::parse("Hour"), None);
    }
}
