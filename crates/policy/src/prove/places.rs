//! Which hosts and addresses the endpoints tell apart.

use std::collections::BTreeSet;

use openshell_types::HostName;

use super::addresses::representatives;
use super::automaton::{Row, Universe, atoms_that};
use super::budget::{Budget, Exhausted};
use super::world::{Place, Side, World};
use crate::HOST_ALIAS;
use crate::pattern::{HostPattern, Network};

/// One place of each class that the tested document names, with the endpoints that match it.
/// `only` narrows the names to those that it matches.
pub(super) fn places(
    world: &World<'_>,
    only: Option<&HostPattern>,
    budget: &mut Budget,
) -> Result<Vec<(Place, Vec<usize>)>, Exhausted> {
    let mut all = names(world, only, budget)?;
    all.extend(addresses(world, only)?);
    Ok(all)
}

fn names(
    world: &World<'_>,
    only: Option<&HostPattern>,
    budget: &mut Budget,
) -> Result<Vec<(Place, Vec<usize>)>, Exhausted> {
    // The host's own name is matched exactly or not at all.
    let mut texts = vec![HOST_ALIAS.to_owned()];
    let mut rows = vec![Row::literal(HOST_ALIAS)];
    let mut wild = vec![false];
    let mut sites: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, site) in world.sites.iter().enumerate() {
        let Some(host) = site.endpoint.host.as_ref().map(|host| &host.value) else { continue };
        if matches!(host, HostPattern::Address(_)) {
            continue;
        }
        let text = host.to_string();
        let row = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
            texts.push(text);
            rows.push(Row::host(host));
            wild.push(matches!(host, HostPattern::Wildcard(_)));
            sites.push(Vec::new());
            texts.len().saturating_sub(1)
        });
        if let Some(list) = sites.get_mut(row) {
            list.push(at);
        }
    }
    let only_row = only.map(|only| {
        rows.push(Row::host(only));
        rows.len().saturating_sub(1)
    });
    let matching = |matched: &[usize]| -> Vec<usize> {
        let alias = matched.contains(&0);
        let rows = matched.iter().filter(|row| !(alias && wild.get(**row) == Some(&true)));
        rows.filter_map(|row| sites.get(*row)).flatten().copied().collect()
    };
    let relevant = |matched: &[usize]| {
        let tested = |at: &usize| world.sites.get(*at).is_some_and(|s| s.side == Side::Tested);
        only_row.is_none_or(|row| matched.contains(&row)) && matching(matched).iter().any(tested)
    };
    let valid = |text: &str| HostName::parse(text).is_ok();
    let atoms = atoms_that(&rows, Universe::Host, budget, (valid, relevant))?;
    let place = |text: &str| HostName::parse(text).ok().map(Place::Name);
    Ok(atoms
        .into_iter()
        .filter_map(|atom| Some((place(&atom.text)?, matching(&atom.matched))))
        .collect())
}

fn addresses(
    world: &World<'_>,
    only: Option<&HostPattern>,
) -> Result<Vec<(Place, Vec<usize>)>, Exhausted> {
    let mut networks: Vec<Network> = Vec::new();
    for site in &world.sites {
        match site.endpoint.host.as_ref().map(|host| &host.value) {
            Some(HostPattern::Address(address)) => {
                networks.extend(Network::parse(&address.to_string()));
            }
            Some(_) => {}
            None => networks.extend(site.endpoint.allowed_ips.iter().map(|range| range.value)),
        }
    }
    // Within a range it is an address like any other, until somebody asks for it.
    if let Some(HostPattern::Address(own)) = only {
        networks.extend(Network::parse(&own.to_string()));
    }
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for address in representatives(&networks)? {
        let wanted = match only {
            None => true,
            Some(HostPattern::Address(own)) => *own == address,
            Some(_) => false,
        };
        let matched: Vec<usize> = world
            .sites
            .iter()
            .enumerate()
            .filter(|(_, site)| match site.endpoint.host.as_ref().map(|host| &host.value) {
                Some(HostPattern::Address(own)) => *own == address,
                Some(_) => false,
                None => site.endpoint.allowed_ips.iter().any(|range| range.value.contains(address)),
            })
            .map(|(at, _)| at)
            .collect();
        let tested =
            matched.iter().any(|at| world.sites.get(*at).is_some_and(|s| s.side == Side::Tested));
        if wanted && tested && seen.insert(matched.clone()) {
            all.push((Place::Address(address), matched));
        }
    }
    Ok(all)
}
