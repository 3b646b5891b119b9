//! What each finding of a profile means, at length: `provider profile lint --explain` prints it.

const PAGES: [&str; 1] = [include_str!("../../explanations/profiles.md")];

/// The page about a code such as `C0203`: what it says, why that matters, an example and its mend.
/// `None` for a code that no finding of profiles has; those of policies have
/// [`openshell_policy::explanation`].
pub fn explanation(code: &str) -> Option<&'static str> {
    openshell_policy::page(&PAGES, code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::profile::read_all;

    /// The codes that stand as strings in the sources of profiles.
    fn codes() -> BTreeSet<String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/profile");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let texts =
            files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
        let is_code = |word: &&str| {
            word.len() == 5
                && word.starts_with("C0")
                && word[1..].bytes().all(|b| b.is_ascii_digit())
        };
        texts
            .flat_map(|text| text.split('"').filter(is_code).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// A whole profile of an example, which may be one of a credential or an endpoint.
    fn whole(kind: &str, body: &str) -> String {
        let indented = body.lines().map(|line| format!("    {line}\n")).collect::<String>();
        match kind {
            "" => body.to_owned(),
            "credential" => format!("id: our-service\ncredentials:\n  -\n{indented}"),
            "endpoint" => format!(
                "id: our-service\ncredentials:\n  - {{ name: key, env_vars: [OUR_KEY], auth_style: bearer }}\n  \
                 - {{ name: id, env_vars: [AWS_ACCESS_KEY_ID] }}\n\
                 binaries: [{{ path: /usr/bin/curl }}]\nendpoints:\n  -\n{indented}"
            ),
            other => panic!("an example of kind {other:?}"),
        }
    }

    fn examples(page: &str) -> Vec<String> {
        page.split("```yaml")
            .skip(1)
            .map(|rest| {
                let (kind, rest) = rest.split_once('\n').unwrap();
                whole(kind.trim(), rest.split_once("```").unwrap().0)
            })
            .collect()
    }

    #[test]
    fn every_code_of_profiles_has_a_page_with_an_example_and_its_mend() {
        let codes = codes();
        assert!(codes.len() >= 12, "only {} codes were found", codes.len());
        for code in &codes {
            let page = explanation(code).unwrap_or_else(|| panic!("{code} has no page"));
            assert!(page.starts_with(&format!("## {code}: ")), "{code}: {page}");
            assert_eq!(page.matches("\n## ").count(), 0, "{code}: more than one page");
            let examples = examples(page);
            let [failing, mended] = examples.as_slice() else {
                panic!("{code} has {} examples", examples.len())
            };
            let found = |text: &str| -> Vec<&'static str> {
                let checked = read_all([text], |_| false).remove(0);
                checked.findings.iter().map(|finding| finding.code).collect()
            };
            let (failing, mended) =
                (found(failing), read_all([mended.as_str()], |_| false).remove(0));
            assert!(failing.contains(&code.as_str()), "{code}: {failing:?}");
            assert!(mended.profile.is_some(), "{code}: {:#?}", mended.findings);
            let left = mended.findings.iter().filter(|finding| finding.code == code);
            assert_eq!(left.count(), 0, "{code}: {:#?}", mended.findings);
        }
    }

    #[test]
    fn every_page_is_about_a_code_of_profiles() {
        let codes = codes();
        for heading in PAGES.iter().flat_map(|page| page.lines()) {
            if let Some(heading) = heading.strip_prefix("## ") {
                let code = heading.split(':').next().unwrap();
                assert!(codes.contains(code), "no source says {code}");
            }
        }
        for word in ["", "C", "C9999", "C0101:", "P0101", "C010", "C01011"] {
            assert_eq!(explanation(word), None, "{word}");
        }
    }
}
