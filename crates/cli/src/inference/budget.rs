//! How much the calls of a route may take, as it is said on the command line.

use openshell_types::{CallBudget, CallBudgetError, Period};

/// How much the calls of a route may take.
#[derive(Debug, clap::Args)]
pub(super) struct Budget {
    /// How much the calls of a sandbox may take: `tokens=2M,bytes=1G,requests=1000`, where each part
    /// may be left out; '': any amount
    #[arg(long, value_name = "PARTS", value_parser = parts)]
    budget: Option<Parts>,

    /// When the budget is whole again: with each `minute`, `hour` or `day` of UTC, or never in the
    /// life of a `sandbox` [default: sandbox]
    #[arg(long, value_name = "PERIOD", requires = "budget", value_parser = period)]
    per: Option<Period>,
}

/// What `--budget` says; `None`, of the empty text: any amount.
#[derive(Clone, Copy, Debug)]
struct Parts(Option<CallBudget>);

impl Budget {
    /// What is said of the budget; `Some(None)`: any amount.
    pub(super) fn said(&self) -> Option<Option<CallBudget>> {
        let Parts(parts) = self.budget?;
        let per = self.per.unwrap_or_default();
        Some(parts.map(|parts| CallBudget { per, ..parts }))
    }
}

fn parts(text: &str) -> Result<Parts, CallBudgetError> {
    if text.trim().is_empty() {
        return Ok(Parts(None));
    }
    CallBudget::parse(text, Period::default()).map(|budget| Parts(Some(budget)))
}

fn period(text: &str) -> Result<Period, String> {
    Period::parse(text).ok_or_else(|| {
        let words = Period::ALL.map(|period| format!("`{}`", period.as_str())).join(", ");
        format!("there are {words}")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        budget: Budget,
    }

    fn said(words: &[&str]) -> Option<Option<CallBudget>> {
        let line = Line::try_parse_from([&["x"], words].concat());
        line.map(|line| line.budget.said()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_budget_is_said_in_parts_for_a_period() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["--budget", ""]), Some(None));
        let of = |words: &[&str]| said(words).flatten().expect("a budget").to_string();
        assert_eq!(of(&["--budget", "tokens=2M"]), "tokens=2M per sandbox");
        let per = ["--budget", "requests=10,bytes=1G", "--per", "minute"];
        assert_eq!(of(&per), "requests=10,bytes=1G per minute");
        for bad in [
            &["--per", "hour"][..],
            &["--budget", "tokens=2M", "--per", "week"],
            &["--budget", "tokens=many"],
            &["--budget", "2M"],
        ] {
            assert!(Line::try_parse_from([&["x"], bad].concat()).is_err(), "{bad:?}");
        }
    }
}
