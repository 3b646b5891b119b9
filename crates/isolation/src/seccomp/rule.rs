//! The vocabulary of the tables.

/// One system call: its name, for tests and people, and its number here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Such as `SYS_read`.
    pub(crate) name: &'static str,
    /// Its number on this architecture.
    pub(crate) number: i64,
}

/// Calls that are treated alike, and the reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Who needs them, or what refusing them stops.
    #[expect(dead_code, reason = "for people: every group has to give its reason")]
    pub(crate) why: &'static str,
    /// What happens to them.
    pub(crate) rule: Rule,
    /// The calls.
    pub(crate) calls: &'static [Call],
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The same whatever its arguments are.
    Always(Verdict),
    /// The first case of which every condition holds decides; the verdict at the end when none does.
    Cases(&'static [Case], Verdict),
}

/// One row of a rule that looks at arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// All of these must hold.
    pub(crate) when: &'static [If],
    /// Then this is the answer.
    pub(crate) then: Verdict,
}

/// A condition on the low 32 bits of one argument.
///
/// INVARIANT: every argument named in a table is an `int`, an `unsigned int` or flags of which the
/// kernel reads no more than 32 bits. It ignores the upper half, so the filter must as well: a
/// comparison of all 64 bits would be passed by setting one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum If {
    /// `argument & mask` is one of the values.
    OneOf {
        /// Which argument, 0 to 5.
        arg: u8,
        /// Bits that are looked at.
        mask: u32,
        /// Accepted values.
        values: &'static [u32],
    },
    /// `argument & mask` is not zero.
    Any {
        /// Which argument, 0 to 5.
        arg: u8,
        /// Bits that are looked at.
        mask: u32,
    },
}

/// The end of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The kernel does it.
    Allow,
    /// It is not done, and answers this errno.
    Fail(i32),
    /// The listener does it.
    Notify,
    /// The process dies by SIGSYS.
    Kill,
}

impl Verdict {
    /// The filter's return value.
    pub(super) const fn to_return_value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Fail(errno) => {
                libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA)
            }
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Self::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// Spells calls as `calls![SYS_read SYS_write]`.
macro_rules! calls {
    ($($name:ident)*) => {
        &[$($crate::seccomp::Call { name: stringify!($name), number: libc::$name as i64 }),*]
    };
}
pub(crate) use calls;
