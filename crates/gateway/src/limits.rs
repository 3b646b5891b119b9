//! Limits of the gateway: each with its unit, its reason and what happens at the limit.

use std::time::Duration;

/// Bytes of one session frame from a supervisor; a larger one ends the session.
pub(crate) const SESSION_FRAME: usize = 256 * 1024;

/// Bytes of one session frame to a supervisor: policies and commands come whole. What would not fit
/// is refused before.
pub(crate) const GATEWAY_FRAME: usize = 1024 * 1024;

/// Bytes of one data chunk, so that streams of a session share it fairly; larger input is split.
pub(crate) const DATA_CHUNK: usize = 64 * 1024;

/// Bytes of a stream's output that a supervisor may send ahead of the client. More closes the
/// stream: it is what bounds the gateway's memory.
pub(crate) const STREAM_CREDIT: u64 = 256 * 1024;

/// What a supervisor may send on a stream before it has read its first credit.
pub(crate) const STREAM_SLACK: u64 = 1024 * 1024;

/// Commands and input frames that wait for a session; a sender waits for room.
pub(crate) const SESSION_QUEUE: usize = 64;

/// Streams of one session at a time; one more is refused.
pub(crate) const SESSION_STREAMS: usize = 256;

/// How long a session may take a frame; a slower supervisor's session is ended.
pub(crate) const SESSION_STALL: Duration = Duration::from_secs(30);

/// How long a new connection may take to say hello.
pub(crate) const HELLO: Duration = Duration::from_secs(10);

/// How long a call waits for the supervisor's session: it may be reconnecting.
pub(crate) const SESSION_WAIT: Duration = Duration::from_secs(15);

/// How long an attach waits for a sandbox that is being made.
pub(crate) const PROVISION_WAIT: Duration = Duration::from_secs(300);

/// How long a supervisor may take to open a stream; DEADLINE_EXCEEDED then.
pub(crate) const STREAM_OPEN: Duration = Duration::from_secs(10);

/// What a supervisor gets beyond a command's timeout to report it, before the gateway does.
pub(crate) const TIMEOUT_GRACE: Duration = Duration::from_secs(3);

/// How long a started supervisor may take to dial in; the sandbox fails then.
pub(crate) const DIAL_IN: Duration = Duration::from_secs(60);

/// How long an ephemeral sandbox waits for somebody to fetch its exit code.
pub(crate) const EXIT_FETCH: Duration = Duration::from_secs(15);

/// How often everything is reconciled, whether or not something asked for it.
pub(crate) const RECONCILE_EVERY: Duration = Duration::from_secs(10);

/// How long a delete call waits for the end; ACCEPTED then.
pub(crate) const DELETE_WAIT: Duration = Duration::from_secs(20);

/// How long open calls may go on after a shutdown was asked for.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// The longest wait for a policy to be enforced that a caller can ask for.
pub(crate) const POLICY_WAIT: Duration = Duration::from_secs(300);

/// How often an edit of a policy is made anew when another revision came in between; the caller is
/// told of the conflict then.
pub(crate) const POLICY_EDIT_RETRIES: u32 = 5;

/// Edits of a policy in one call; more are refused.
pub(crate) const POLICY_EDITS: usize = 1024;

/// Bytes of a policy's text: it goes to the supervisor in one frame. More is refused.
pub(crate) const POLICY_TEXT: usize = GATEWAY_FRAME - 4096;

/// Items of a page when the caller does not say, and at most.
pub(crate) const PAGE: u32 = 100;
pub(crate) const LONGEST_PAGE: u32 = 1000;

/// Labels or annotations of an object; more are refused.
pub(crate) const LABELS: usize = 64;

/// Bytes of one annotation value; longer is refused.
pub(crate) const ANNOTATION: usize = 32 * 1024;

/// Arguments, bytes of one argument and of all: of an exec and of a main command.
pub(crate) const ARGUMENTS: usize = 1024;
pub(crate) const ARGUMENT: usize = 32 * 1024;
pub(crate) const COMMAND: usize = 256 * 1024;

/// Bytes of a working directory's path.
pub(crate) const WORKDIR: usize = 4096;

/// Environment variables of a command, and bytes of one value.
pub(crate) const VARIABLES: usize = 1024;
pub(crate) const VARIABLE: usize = 32 * 1024;

/// Bytes of all environment variables of a command.
pub(crate) const ENVIRONMENT: usize = 256 * 1024;

/// Bytes of a request to open a stream: command and environment go in one frame.
pub(crate) const OPEN_FRAME: usize = GATEWAY_FRAME - 4096;

/// Mounts and tool binds of a sandbox.
pub(crate) const MOUNTS: usize = 256;

/// Lines of a log tail, at most.
pub(crate) const LOG_TAIL: u32 = 10_000;

/// Bytes of a Unix socket's path.
pub(crate) const SOCKET_PATH: usize = 107;

/// Bytes of a main command's output that are read from its log once its supervisor is gone.
pub(crate) const LEFTOVER: u64 = 4 * 1024 * 1024;

/// How often a log is looked at while no session tells of its growth.
pub(crate) const FOLLOW_POLL: Duration = Duration::from_secs(1);

/// Lines of a log that are read at once; their text is in memory until it is sent.
pub(crate) const LOG_BATCH: usize = 256;

/// Entries of `no_proxy`; a list with more is refused.
pub(crate) const NO_PROXY: usize = 1024;

/// Bytes of the file with a proxy's user and password; a longer one is refused.
pub(crate) const PROXY_AUTH: usize = 4096;

/// Provider profiles of a workspace's own; more are refused.
pub(crate) const PROFILES: usize = 256;

/// Providers of one sandbox; one more is refused.
pub(crate) const PROVIDERS: usize = 32;

/// Places to which the credentials of one sandbox are bound, each port and each place in a request
/// counted; with more nothing is put in force. A message to a supervisor has to hold them.
pub(crate) const BINDINGS: usize = 2048;

/// How long a supervisor may take until nothing is sent with the credentials before. It bounds each
/// request itself.
pub(crate) const PROVIDER_WAIT: Duration = Duration::from_secs(15);

/// Bytes of the URL of a request of the gateway's own; a longer one is refused.
pub(crate) const OUTBOUND_URL: usize = 4096;

/// Bytes of the head of an answer to it; a longer one is an error.
pub(crate) const OUTBOUND_HEAD: usize = 64 * 1024;

/// Seconds that a backend of model calls may be silent, at most; a longer limit is refused.
pub(crate) const ROUTE_IDLE: u32 = 24 * 60 * 60;

/// Programs of one route; more are refused.
pub(crate) const ROUTE_BINARIES: usize = 64;

/// How long a backend may take to say whether it takes a key; the route is refused then.
pub(crate) const PROBE_WAIT: Duration = Duration::from_secs(10);

/// Bytes of what it says; of a longer answer the list of models is not looked at.
pub(crate) const PROBE_ANSWER: usize = 1024 * 1024;

/// How long a token endpoint may take for all of its answer.
pub(crate) const TOKEN_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of its answer; a longer one is an error.
pub(crate) const TOKEN_ANSWER: usize = 64 * 1024;

/// Bytes of what it says of an error; the rest is cut off.
pub(crate) const TOKEN_ERROR: usize = 256;

/// How long after a failure a renewal is tried again.
pub(crate) const REFRESH_RETRY: Duration = Duration::from_secs(60);

/// How long a renewal is its taker's alone: longer than a token endpoint may take.
pub(crate) const REFRESH_CLAIM: Duration = Duration::from_secs(90);

/// How often due renewals are looked for at least.
pub(crate) const REFRESH_LOOK: Duration = Duration::from_secs(30);

/// Renewals that are done at once; more wait.
pub(crate) const REFRESHES: usize = 16;

/// How long renewals may go on after a shutdown was asked for: what a server gave is stored.
pub(crate) const REFRESH_DRAIN: Duration = Duration::from_secs(5);

/// How often a renewal is stored when the database fails, and the pause between.
pub(crate) const REFRESH_STORE_TRIES: u32 = 5;
pub(crate) const REFRESH_STORE_PAUSE: Duration = Duration::from_secs(1);
