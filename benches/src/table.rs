//! Tables of figures, one column a contender, and ours against each other one.

use crate::Contender;

/// Figures of one row, in the order of [`Contender::ALL`].
pub type Row = [f64; Contender::ALL.len()];

/// The first two lines of a table.
pub fn head(title: &str, unit: &str) {
    println!("\n{title}; {unit}");
    print!("  {:>6}  {:<15}", "rules", "");
    for contender in Contender::ALL {
        print!(" {:>12}", contender.name());
    }
    let others = Contender::ALL.into_iter().skip(1);
    println!("   others ÷ ours: {}", others.map(Contender::name).collect::<Vec<_>>().join(", "));
}

/// One line.
pub fn line(rules: usize, what: &str, row: &Row) {
    print!("  {rules:>6}  {what:<15}");
    for figure in row {
        print!(" {:>12}", digits(*figure));
    }
    print!("  ");
    let [ours, others @ ..] = row;
    for other in others {
        let ratio = if *ours > 0.0 { digits(other / ours) } else { "–".to_owned() };
        print!(" {ratio:>10}");
    }
    println!();
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that say something, and thousands apart.
fn digits(figure: f64) -> String {
    if figure < 100.0 {
        return if figure < 10.0 { format!("{figure:.2}") } else { format!("{figure:.1}") };
    }
    let whole = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let shown = [0.0, 1.234, 12.34, 999.6, 1_234_567.0].map(digits);
        assert_eq!(shown, ["0.00", "1.23", "12.3", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
    }
}
