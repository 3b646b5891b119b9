//! A kernel that answers one system call in another way, as an older or a broken one would.

#![expect(unsafe_code, reason = "the tests' own filter is installed by hand")]

use libc::{sock_filter, sock_fprog};

/// Which call, and what it answers.
#[derive(Clone, Copy)]
pub struct Fake {
    pub call: libc::c_long,
    /// Only if this is the first argument.
    pub first: Option<u32>,
    /// Zero is a success that did nothing.
    pub errno: i32,
}

impl Fake {
    pub fn call(call: libc::c_long, errno: i32) -> Self {
        Self { call, first: None, errno }
    }
}

/// From now on the kernel answers this process and its children so.
pub fn answer(fake: Fake) {
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let unless = |value: u32, skip: u8| sock_filter {
        code: u16::try_from(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K).unwrap(),
        jt: 0,
        jf: skip,
        k: value,
    };
    let give = |value| statement(libc::BPF_RET | libc::BPF_K, value);
    let errno = libc::SECCOMP_RET_ERRNO | u32::try_from(fake.errno).unwrap();
    let number = u32::try_from(fake.call).unwrap();
    let mut program = vec![load(NUMBER)];
    if let Some(first) = fake.first {
        program.extend([unless(number, 3), load(FIRST_ARGUMENT), unless(first, 1)]);
    } else {
        program.push(unless(number, 1));
    }
    program.extend([give(errno), give(libc::SECCOMP_RET_ALLOW)]);
    rustix::thread::set_no_new_privs(true).unwrap();
    let length = u16::try_from(program.len()).unwrap();
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies `len` instructions, which live until it returns.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf: 0, k }
}
