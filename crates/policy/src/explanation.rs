//! What each finding means, at length: `policy lint --explain` prints it.

/// All pages, by the hundreds of their codes.
const PAGES: [&str; 5] = [
    include_str!("../explanations/text.md"),
    include_str!("../explanations/sections.md"),
    include_str!("../explanations/requests.md"),
    include_str!("../explanations/lints.md"),
    include_str!("../explanations/tests.md"),
];

/// The page about a code such as `P0103`: what it says, why that matters, an example and its mend.
/// `None` for a code that no finding has.
pub fn explanation(code: &str) -> Option<&'static str> {
    page(&PAGES, code)
}

/// The page about a code, a letter and four digits, among `pages`: each begins with `## ` and its
/// code. `None` when no page is about it.
pub fn page(pages: &[&'static str], code: &str) -> Option<&'static str> {
    let mut letters = code.bytes();
    let is_code = code.len() == 5
        && letters.next().is_some_and(|letter| letter.is_ascii_uppercase())
        && letters.all(|digit| digit.is_ascii_digit());
    if !is_code {
        return None;
    }
    pages.iter().find_map(|pages| {
        let (_, page) = pages.split_once(&format!("\n## {code}:"))?;
        // With its heading: the code is part of the page.
        let start = pages.len().checked_sub(page.len())?.checked_sub(code.len() + "## :".len())?;
        let page = pages.get(start..)?;
        let end = page.get(1..)?.find("\n## ").map_or(page.len(), |end| end.saturating_add(2));
        page.get(..end)
    })
}
