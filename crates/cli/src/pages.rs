//! The pages about findings, which `--explain` of the two `lint` verbs prints.

use openshell_credential::profile;

use crate::error::CliError;

/// The page about a code, however its letter is written.
pub(crate) fn page(code: &str) -> Result<&'static str, CliError> {
    let upper = code.to_ascii_uppercase();
    if let Some(page) = explanation(&upper) {
        return Ok(page);
    }
    let near = near(&upper);
    let error = CliError::usage(format!("there is no finding `{code}`"));
    Err(if near.is_empty() {
        error.help("a finding shows its code, such as `P0501` in `warning[P0501]`")
    } else {
        error.help(format!("near it are {}", near.join(", ")))
    })
}

/// Most codes that are offered in place of one that is none.
const OFFERED: usize = 6;

/// The codes that differ in one digit, the nearest numbers first.
fn near(code: &str) -> Vec<String> {
    let letter_and_digits = code.split_at_checked(1).filter(|(_, digits)| digits.len() == 4);
    let Some((letter, digits)) = letter_and_digits else { return Vec::new() };
    let Ok(number) = digits.parse::<u16>() else { return Vec::new() };
    let mut numbers: Vec<u16> = [1_u16, 10, 100, 1000]
        .into_iter()
        .flat_map(|place| {
            let rest = number.saturating_sub((number / place % 10).saturating_mul(place));
            (0..10_u16).map(move |digit| rest.saturating_add(digit.saturating_mul(place)))
        })
        .collect();
    numbers.sort_by_key(|other| (other.abs_diff(number), *other));
    numbers.dedup();
    let codes = numbers.into_iter().map(|number| format!("{letter}{number:04}"));
    codes.filter(|code| explanation(code).is_some()).take(OFFERED).collect()
}

/// The page about a code of policies, which profiles have too, or of profiles alone.
fn explanation(code: &str) -> Option<&'static str> {
    openshell_policy::explanation(code).or_else(|| profile::explanation(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_and_near_codes_offered() {
        assert!(page("p0501").unwrap().starts_with("## P0501: any code"));
        assert!(page("c0203").unwrap().starts_with("## C0203: a credential for too many"));
        let mut said = String::new();
        for code in ["P0550", "P0320", "P9999", "C0208", "any", "", "\u{e4}0101"] {
            said.push_str(&page(code).unwrap_err().to_string());
        }
        insta::assert_snapshot!(said);
    }
}
