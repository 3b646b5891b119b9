//! From a table to a BPF program.
//!
//! Numbers are cut into ranges of equal rules, and the ranges become a balanced tree of
//! comparisons: about eight steps to any call, where a chain would take hundreds. The tree is made
//! only of instructions that the kernel's own constant folding understands, so a call that is
//! always allowed costs one bit test there and never runs the program at all.

use std::io;

use libc::sock_filter;

use super::rule::{Case, Group, If, Rule, Verdict};

/// `AUDIT_ARCH_*` of this build.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCH: u32 = 0xc000_003e;
/// `AUDIT_ARCH_*` of this build.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCH: u32 = 0xc000_00b7;

/// The bit that marks an x32 call on x86-64. No other architecture has numbers this large.
pub(super) const X32_BIT: u32 = 0x4000_0000;
/// What some programs call to ask whether a filter is there; it has the bit, and is not x32.
pub(super) const NO_CALL: u32 = u32::MAX;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

pub(super) const LOAD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
pub(super) const JUMP_ANY: u16 = 0x45;
pub(super) const AND: u16 = 0x54;
pub(super) const RETURN: u16 = 0x06;

/// A rule that holds from `first` to the next range's `first`.
#[derive(Clone, Copy)]
struct Range {
    first: u32,
    rule: Rule,
}

/// Compiles `groups`; calls that none of them names get `otherwise`.
pub(super) fn program(groups: &[Group], otherwise: Verdict) -> io::Result<Vec<sock_filter>> {
    let mut code = vec![
        // SECURITY: the numbers mean other calls under another architecture (K2), so this is first.
        load(ARCHITECTURE),
        jump(JUMP_EQUAL, ARCH, 1, 0),
        ret(Verdict::Kill),
        load(NUMBER),
        jump(JUMP_AT_LEAST, X32_BIT, 0, 3),
        jump(JUMP_EQUAL, NO_CALL, 0, 1),
        ret(otherwise),
        ret(Verdict::Kill),
    ];
    code.extend(tree(&ranges(groups, otherwise)?)?);
    Ok(code)
}

fn ranges(groups: &[Group], otherwise: Verdict) -> io::Result<Vec<Range>> {
    let mut rules = Vec::new();
    for group in groups {
        for call in group.calls {
            let number = u32::try_from(call.number).map_err(|_| unusable(call.name))?;
            rules.push((number, group.rule, call.name));
        }
    }
    rules.sort_unstable_by_key(|&(number, ..)| number);
    let mut ranges = vec![Range { first: 0, rule: Rule::Always(otherwise) }];
    let mut begin = |first: u32, rule: Rule| {
        // An empty range before it vanishes, and equal neighbours are one.
        ranges.pop_if(|last| last.first == first);
        if ranges.last().is_none_or(|last| last.rule != rule) {
            ranges.push(Range { first, rule });
        }
    };
    let mut previous = None;
    for (number, rule, name) in rules {
        if previous == Some(number) {
            return Err(unusable(name));
        }
        previous = Some(number);
        begin(number, rule);
        begin(number + 1, Rule::Always(otherwise));
    }
    Ok(ranges)
}

fn tree(ranges: &[Range]) -> io::Result<Vec<sock_filter>> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = high.first() else {
        return Ok(vec![ret(Verdict::Kill)]);
    };
    if low.is_empty() {
        return leaf(middle.rule);
    }
    let (below, above) = (tree(low)?, tree(high)?);
    let mut code = Vec::with_capacity(2 + below.len() + above.len());
    match u8::try_from(below.len()) {
        Ok(distance) => code.push(jump(JUMP_AT_LEAST, middle.first, distance, 0)),
        Err(_) => {
            let distance = u32::try_from(below.len()).map_err(|_| unusable("tree"))?;
            code.push(jump(JUMP_AT_LEAST, middle.first, 0, 1));
            code.push(jump(JUMP, distance, 0, 0));
        }
    }
    code.extend(below);
    code.extend(above);
    Ok(code)
}

fn leaf(rule: Rule) -> io::Result<Vec<sock_filter>> {
    let mut code = Vec::new();
    let otherwise = match rule {
        Rule::Always(verdict) => verdict,
        Rule::Cases(cases, otherwise) => {
            for each in cases {
                code.extend(case(each)?);
            }
            otherwise
        }
    };
    code.push(ret(otherwise));
    Ok(code)
}

/// The conditions of one case, its answer, and a way past both.
fn case(case: &Case) -> io::Result<Vec<sock_filter>> {
    let mut code = vec![ret(case.then)];
    // From the last condition to the first, so that the distance past the answer is known.
    for condition in case.when.iter().rev() {
        let past = u8::try_from(code.len()).map_err(|_| unusable("case"))?;
        let mut test = vec![load(ARGUMENTS + 8 * u32::from(condition.arg()))];
        match *condition {
            If::Any { mask, .. } => test.push(jump(JUMP_ANY, mask, 0, past)),
            If::OneOf { mask, values, .. } => {
                if mask != u32::MAX {
                    test.push(sock_filter { code: AND, jt: 0, jf: 0, k: mask });
                }
                for (after, value) in (0..values.len()).rev().zip(values) {
                    let hit = u8::try_from(after).map_err(|_| unusable("case"))?;
                    let miss = if after == 0 { past } else { 0 };
                    test.push(jump(JUMP_EQUAL, *value, hit, miss));
                }
            }
        }
        test.append(&mut code);
        code = test;
    }
    Ok(code)
}

impl If {
    const fn arg(&self) -> u8 {
        match self {
            Self::OneOf { arg, .. } | Self::Any { arg, .. } => *arg,
        }
    }
}

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

const fn ret(verdict: Verdict) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: verdict.to_return_value() }
}

fn unusable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("unusable filter table at {what}"))
}
