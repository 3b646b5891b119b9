//! The AppArmor profile that lets our programs make user namespaces where AppArmor restricts them
//! (Ubuntu since 23.10: `kernel.apparmor_restrict_unprivileged_userns`).

use std::path::Path;

/// The profile for the two programs at these paths; `None` when a path cannot stand in a profile.
///
/// It confines nothing: the jail does that. It only says that these programs may make user
/// namespaces, which is what an unconfined program may do everywhere else.
pub(super) fn profile(programs: [&Path; 2]) -> Option<String> {
    let mut profile = String::from("abi <abi/4.0>,\ninclude <tunables/global>\n");
    for program in programs {
        let name = program.file_name()?.to_str()?;
        let path = program.to_str().filter(|path| is_plain(path))?;
        profile.push_str(&format!(
            "\nprofile {name} \"{path}\" flags=(unconfined) {{\n  userns,\n  \
             include if exists <local/{name}>\n}}\n"
        ));
    }
    Some(profile)
}

/// Without characters that mean something in a profile's path: globs, variables, quotes.
fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.chars().any(|c| c.is_control() || "\"\\*?[]{}^@$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_names_both_programs() {
        let programs = ["/opt/a b/openshell", "/opt/a b/openshell-supervisor"].map(Path::new);
        insta::assert_snapshot!(profile(programs).unwrap(), @r#"
        abi <abi/4.0>,
        include <tunables/global>

        profile openshell "/opt/a b/openshell" flags=(unconfined) {
          userns,
          include if exists <local/openshell>
        }

        profile openshell-supervisor "/opt/a b/openshell-supervisor" flags=(unconfined) {
          userns,
          include if exists <local/openshell-supervisor>
        }
        "#);
    }

    #[test]
    fn a_path_that_would_be_read_as_a_pattern_gets_no_profile() {
        for bad in ["/opt/*/openshell", "/opt/\"/openshell", "openshell", "/opt/@{x}/openshell"] {
            assert_eq!(profile([Path::new(bad), Path::new("/bin/b")]), None, "{bad}");
        }
    }
}
