//! Whether the process at the other end of a Unix socket is the gateway's own user.

use std::fs;
use std::path::PathBuf;

use rustix::process::geteuid;
use tokio::net::UnixStream;

/// Whether a peer has the gateway's uid and user namespace.
// SECURITY: a rootless jail's agent has the caller's own uid on the host. It never finds the
// socket, but a mount could bring it one day; its user namespace still gives it away.
pub(crate) fn peer_is_ours(stream: &UnixStream) -> bool {
    let Ok(credentials) = stream.peer_cred() else { return false };
    let Some(pid) = credentials.pid().filter(|pid| *pid > 0) else { return false };
    let own = fs::read_link("/proc/self/ns/user");
    let peer = fs::read_link(PathBuf::from(format!("/proc/{pid}/ns/user")));
    credentials.uid() == geteuid().as_raw()
        && matches!((own, peer), (Ok(own), Ok(peer)) if own == peer)
}

/// The uid that stands for every uid that is not mapped here.
pub(crate) fn overflow_uid() -> u32 {
    const USUAL: u32 = 65_534;
    fs::read_to_string("/proc/sys/kernel/overflowuid")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(USUAL)
}
