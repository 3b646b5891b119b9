//! Which programs the rules tell apart.

use std::collections::{BTreeMap, BTreeSet};

use openshell_types::Digest;

use super::automaton::{Row, Universe, atoms};
use super::budget::{Budget, COMBINATIONS, Exhausted};
use super::world::{Side, World};
use crate::decision::{Caller, Program};
use crate::document::Binary;
use crate::pattern::Glob;

/// A rule: of which document, and where in it.
pub(super) type RuleId = (Side, usize);
type Rules = BTreeSet<RuleId>;

/// One caller for each set of rules that can cover a caller together.
pub(super) fn callers(
    world: &World<'_>,
    rules: &Rules,
    budget: &mut Budget,
) -> Result<Vec<(Caller, Rules)>, Exhausted> {
    let programs = programs(world, rules, budget)?;
    // What ancestors add: each set that some of them add together, with the fewest of them.
    let mut added: BTreeMap<Rules, Vec<Program>> = BTreeMap::from([(Rules::new(), Vec::new())]);
    let mut distinct: BTreeMap<Rules, Program> = BTreeMap::new();
    for found in &programs {
        if !found.as_ancestor.is_empty() {
            distinct.entry(found.as_ancestor.clone()).or_insert_with(|| found.program.clone());
        }
    }
    for (more, program) in &distinct {
        for (known, ancestors) in added.clone() {
            let together: Rules = known.union(more).copied().collect();
            let longer = ancestors.len().saturating_add(1);
            if added.get(&together).is_none_or(|other| other.len() > longer) {
                let all = ancestors.iter().cloned().chain([program.clone()]).collect();
                added.insert(together, all);
            }
        }
        if added.len() > COMBINATIONS {
            return Err(Exhausted::combinations("ancestors"));
        }
    }
    let mut callers: BTreeMap<Rules, Caller> = BTreeMap::new();
    for found in &programs {
        for (more, ancestors) in &added {
            let covered: Rules = found.as_caller.union(more).copied().collect();
            let shorter = |known: &Caller| known.ancestors.len() <= ancestors.len();
            if covered.is_empty() || callers.get(&covered).is_some_and(shorter) {
                continue;
            }
            let by = Caller { exe: found.program.clone(), ancestors: ancestors.clone() };
            callers.insert(covered, by);
            if callers.len() > COMBINATIONS {
                return Err(Exhausted::combinations("programs and ancestors"));
            }
        }
    }
    Ok(callers.into_iter().map(|(rules, by)| (by, rules)).collect())
}

fn is_match(pattern: &str, path: Option<&&str>) -> bool {
    Glob::is_glob(pattern) && path.is_some_and(|path| Glob::new(pattern).matches(path))
}

/// A program and the rules that it fits.
struct Found {
    program: Program,
    as_caller: Rules,
    as_ancestor: Rules,
}

fn programs(
    world: &World<'_>,
    rules: &Rules,
    budget: &mut Budget,
) -> Result<Vec<Found>, Exhausted> {
    let mut paths: Vec<&str> = Vec::new();
    let mut named: Vec<(RuleId, &Binary, usize)> = Vec::new();
    for id in rules {
        let Some(site) = world.sites.iter().find(|site| site.is_of(*id)) else { continue };
        for binary in &site.rule.binaries {
            let path = binary.path.value.as_str();
            let at = paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                paths.push(path);
                paths.len().saturating_sub(1)
            });
            named.push((*id, binary, at));
        }
    }
    let rows: Vec<Row> = paths.iter().map(|path| Row::program(path)).collect();
    let mut all = Vec::new();
    let mut note = |path: Option<&str>, matched: &[usize]| {
        let here: Vec<_> = named.iter().filter(|(_, _, at)| matched.contains(at)).collect();
        let digests: BTreeSet<Option<Digest>> =
            here.iter().map(|(_, binary, _)| binary.sha256).chain([None]).collect();
        for sha256 in digests {
            let fitting = here
                .iter()
                .filter(|(_, binary, _)| binary.sha256.is_none() || binary.sha256 == sha256);
            let as_caller: Rules = fitting.clone().map(|(id, _, _)| *id).collect();
            let as_ancestor =
                fitting.filter(|(_, binary, _)| binary.descendants).map(|(id, _, _)| *id).collect();
            all.push(Found { program: world.program(path, sha256), as_caller, as_ancestor });
        }
    };
    for atom in atoms(&rows, Universe::Program, budget)? {
        note(Some(&atom.text), &atom.matched);
    }
    // A literal path that no program shows still stands for a file.
    for (at, path) in paths.iter().enumerate() {
        if !Glob::is_glob(path) && !Universe::Program.holds(path) {
            let fits = |other: &usize| {
                *other == at || paths.get(*other).is_some_and(|path| is_match(path, paths.get(at)))
            };
            let matched: Vec<usize> = (0..paths.len()).filter(fits).collect();
            note(Some(path), &matched);
        }
    }
    // A file that has no name any more.
    note(None, &[]);
    Ok(all)
}
