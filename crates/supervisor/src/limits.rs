//! Bounds of one supervisor, with their unit, reason, and what happens at the limit.

use std::time::Duration;

/// Output of the main command that is kept in memory, in bytes; the oldest makes room.
pub(crate) const OUTPUT_KEPT: usize = 1024 * 1024;

/// Changes of channel that are kept with that output; the oldest output makes room. A program that
/// alternates for every byte would otherwise cost sixteen bytes of memory for each.
pub(crate) const OUTPUT_SEGMENTS: usize = 16 * 1024;

/// main.log is moved to main.log.1, which is overwritten, when it has this many bytes.
pub(crate) const MAIN_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Longest data of one frame to the gateway, in bytes; longer output is sent in pieces.
pub(crate) const CHUNK: usize = 32 * 1024;

/// Streams that a session may have open at once; one more is refused.
pub(crate) const STREAMS: usize = 256;

/// Input frames of one stream that wait for a command that does not read; then the session waits
/// with them for [`INPUT_PATIENCE`].
pub(crate) const INPUT_FRAMES: usize = 128;

/// How long a full input queue may hold up a session; then its stream is ended.
pub(crate) const INPUT_PATIENCE: Duration = Duration::from_secs(10);

/// Frames that wait for the gateway; senders wait then.
pub(crate) const OUTGOING_FRAMES: usize = 32;

/// How long after events were told more of them are gathered, to be told together.
pub(crate) const EVENT_PAUSE: Duration = Duration::from_millis(5);

/// How long output is waited for once its command ended while a child holds the pipe open.
pub(crate) const DRAIN_IDLE: Duration = Duration::from_millis(30);

/// How many bytes of each output are read once its command ended: more than a pipe holds, so all
/// that the command itself wrote; a child that goes on writing is not waited for.
pub(crate) const DRAIN_BYTES: usize = 1024 * 1024 + CHUNK;

/// How long the main command may take to end after SIGTERM; then the jail is ended with it. Less
/// than a driver's patience with the supervisor.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a timed-out command may take to end after SIGTERM.
pub(crate) const TIMEOUT_GRACE: Duration = Duration::from_secs(2);

/// How long a connected gateway may take to acknowledge that the sandbox completed.
pub(crate) const FAREWELL: Duration = Duration::from_secs(10);

/// How long a gateway that is away is waited for, so that it learns the exit code when it is back;
/// after a day nobody asks.
pub(crate) const FAREWELL_AWAY: Duration = Duration::from_secs(24 * 3600);

/// How long clients may take to read the main command's last output.
pub(crate) const FAREWELL_CLIENTS: Duration = Duration::from_secs(30);

/// How long a sandbox that was asked to stop waits for the gateway to hear its last events. With
/// [`STOP_GRACE`] less than a driver's patience.
pub(crate) const FAREWELL_STOPPED: Duration = Duration::from_secs(2);

/// How long the gateway may take to close a session that we ended.
pub(crate) const GOODBYE: Duration = Duration::from_secs(1);

/// How long the main command's last output may take once the jail has ended.
pub(crate) const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// How long a gateway that is away may take to hear of a failed boot.
pub(crate) const FAREWELL_ERROR: Duration = Duration::from_secs(10);

/// First and longest pause between attempts to reach the gateway.
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(500));

/// How long the gateway may take from connect to its welcome.
pub(crate) const WELCOME: Duration = Duration::from_secs(10);

/// How often the files behind a policy's binary paths are looked at again.
pub(crate) const REBIND: Duration = Duration::from_secs(2);

/// How long the host's addresses are taken for current.
pub(crate) const HOST_ADDRESSES: Duration = Duration::from_secs(2);

/// Different destinations of refused packets that are told apart within a second; the others are
/// counted together under the unspecified address.
pub(crate) const BYPASS_DESTINATIONS: usize = 256;

/// Longest spec.json, upstream.json and policy.yaml that are read, in bytes; longer ones are
/// refused.
pub(crate) const CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// The longest list of authorities, this machine's or the operator's, in bytes; with a longer one
/// the sandbox does not start. Systems have some 220 KB.
pub(crate) const AUTHORITIES_BYTES: u64 = 4 * 1024 * 1024;

/// Connections that are served at once when so many files may be open: each has two, and four more
/// while it moves much; a quarter is kept for commands, the session, name servers and addresses that
/// are tried side by side. One more connection is reset.
pub(crate) fn connections(files: Option<u64>) -> usize {
    let most = openshell_egress::Settings::default().max_connections;
    let fit = files.map(|files| usize::try_from(files / 8).unwrap_or(usize::MAX));
    fit.map_or(most, |fit| fit.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n04_connections_never_use_up_the_descriptors() {
        let most = openshell_egress::Settings::default().max_connections;
        assert_eq!(connections(Some(4096)), 512);
        assert_eq!((connections(Some(1 << 20)), connections(None)), (most, most));
    }
}
