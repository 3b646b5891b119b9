//! Limits and deadlines of the client.

use std::time::Duration;

/// How long a gateway has to accept a connection. After it: unavailable.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a gateway that was just started has to answer. After it: an error with the end of its
/// log.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two looks at a gateway that is starting. It is usually there after 20 to 40 ms.
pub(crate) const START_POLL: Duration = Duration::from_millis(4);

/// How long an attached client tries to reach its gateway again (contract 7). After it: lost.
pub(crate) const REATTACH_WINDOW: Duration = Duration::from_secs(10);

/// Between two tries to reach a gateway that went away.
pub(crate) const REATTACH_POLL: Duration = Duration::from_millis(100);

/// Chunks of input and of output that wait between the caller and the connection. Beyond it the
/// sender waits: back pressure reaches the terminal and the jail.
pub(crate) const STREAM_DEPTH: usize = 16;

/// Bytes of one stream that may be on their way unread. Bulk output needs more than HTTP/2's
/// 64 KiB, and more than this is only memory.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// The largest message that is taken from a gateway.
pub(crate) const MESSAGE: usize = 16 << 20;

/// Sandboxes that one page of a list holds: the most that a gateway gives.
pub(crate) const PAGE: i32 = 1000;

/// The longest path of a Unix socket: `sun_path` less its final zero byte.
pub(crate) const SOCKET_PATH: usize = 107;

/// The largest file of a gateway's record that is read (metadata, certificates).
pub(crate) const RECORD_FILE: u64 = 1 << 20;

/// Revisions of a policy that are asked for at once: each comes with its whole policy, and together
/// they must fit in a message.
pub(crate) const POLICY_PAGE: usize = 10;
