//! Every bound on what a jail, a client or an upstream can make the egress hold or wait for.

use std::time::Duration;

/// Connections served at once. Each holds at most two sockets and two buffers; one more is reset
/// and counted.
pub const CONNECTIONS: usize = 8192;

/// How long, in seconds, a proxy client may take for its request head; then it is closed.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long identifying the caller may take; then the connection is denied.
pub const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long resolving one name may take, retries included; then the upstream counts as unreachable.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connecting to one address may take; then it counts as unreachable.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one address is tried before the next is tried beside it (RFC 8305, section 8).
pub const DIAL_STAGGER: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried; the rest are checked, but not dialled.
pub const DIAL_ADDRESSES: usize = 8;

/// How long opening a tunnel through the operator's proxy may take, from dialling the proxy to the end
/// of its answer, for all addresses of a name together; then the upstream counts as unreachable.
pub const PROXY_HANDSHAKE: Duration = Duration::from_secs(30);

/// Bytes of the proxy's answer; with a longer one the upstream counts as unreachable.
pub const PROXY_HEAD: usize = 8 * 1024;

/// Size of a relay buffer within TLS to the proxy, which is that of a record; held only while data is
/// there to be moved.
pub const PROXY_RELAY_BUFFER: usize = 16 * 1024;

/// How long a client that has begun a TLS hello may take to end it; then the connection is denied.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a denied transparent client is given to show that it speaks HTTP, so that it can be
/// told why; then it is reset.
pub const DENIED_PEEK: Duration = Duration::from_millis(300);

/// How long a client that got our last words may take to read them and close; then it is dropped.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes that such a client may still send, which are discarded; beyond them it is reset.
pub const FAREWELL_BYTES: usize = 256 * 1024;

/// Size of a relay buffer, held only while data is there to be moved.
pub const RELAY_BUFFER: usize = 64 * 1024;

/// Bytes that one way of a tunnel has moved before it gets a pipe, which small exchanges are not
/// worth.
pub const BULK: u64 = 256 * 1024;

/// Size of such a pipe, and most of what is moved at once.
pub const PIPE: usize = 256 * 1024;

/// How long a pipe is kept while nothing comes; then its descriptors are given back.
pub const BULK_IDLE: Duration = Duration::from_secs(1);

/// How long a tunnel with one way ended may be silent on the other; then it is reset.
pub const HALF_CLOSED_IDLE: Duration = Duration::from_secs(15 * 60);

/// How often a live tunnel is re-judged without a policy change, for rules with a time limit.
pub const REJUDGE_EVERY: Duration = Duration::from_secs(30);

/// How long accepting pauses when the process is out of descriptors or memory; then it goes on.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long refused connections beyond [`CONNECTIONS`] are folded into one event.
pub const OVERFLOW_FOLD: Duration = Duration::from_secs(1);

/// The largest DNS message that is read, in octets; a longer one is cut and malformed.
pub const DNS_MESSAGE: usize = 4096;

/// How long one DNS connection over TCP may stay idle; then it is closed.
pub const DNS_TCP_IDLE: Duration = Duration::from_secs(10);

/// Questions over one DNS connection over TCP; then it is closed.
pub const DNS_TCP_QUESTIONS: usize = 256;

/// Seconds for which a client may keep a synthetic address.
pub const DNS_TTL: u32 = 5;

/// The largest datagram that is read, in bytes: the most that UDP can carry.
pub const DATAGRAM: usize = 65_535;

/// Flows of UDP at once, each of which also takes the place of a connection; datagrams of one more
/// are refused and counted.
pub const FLOWS: usize = 2048;

/// Datagrams that wait for their flow; more are lost.
pub const FLOW_WAITING: usize = 64;

/// KiB of datagrams, over all flows, that wait for theirs; more are lost.
pub const DATAGRAMS: usize = 32 * 1024;

/// How long the client of a flow of UDP may be silent, whatever its server says; then the flow ends,
/// and the next datagram is judged anew (RFC 4787, section 4.3: two minutes at least).
pub const FLOW_IDLE: Duration = Duration::from_secs(120);

/// How long the datagrams of a refused flow are refused without being judged again, unless the
/// policy changes.
pub const FLOW_REFUSED: Duration = Duration::from_secs(5);

/// Different refused questions that are counted apart within one fold; the rest are counted
/// together.
pub const DNS_FOLDS: usize = 256;

/// How long equal refused questions are folded into one event.
pub const DNS_FOLD: Duration = Duration::from_secs(5);

/// Bytes to make room for in one read of a head.
pub const HEAD_READ: usize = 4 * 1024;

/// How long a client that keeps its connection may be silent between two requests; then it is
/// closed.
pub const KEPT_ALIVE: Duration = Duration::from_secs(10 * 60);

/// How long a body that is judged as a whole may take to arrive; then it is denied.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// KiB of bodies, over all connections, that are held to be judged and until their answers end;
/// another body waits for as long as one may take to arrive, then it is denied.
pub const BODIES: usize = 128 * 1024;

/// KiB of the answers of backends, over all calls, that are held until what they cost is told; what
/// one costs for which there is no room is not counted.
pub const ANSWERS: usize = 64 * 1024;

/// The longest body into which values of credentials are put, in octets; a longer one is denied.
pub const FILLED: usize = 4 * 1024 * 1024;

/// The longest body with a content coding that is decoded and searched for placeholders, in octets; a
/// longer one passes unsearched to servers to which no credential is bound, and to no other.
pub const SEARCHED: usize = 4 * 1024 * 1024;

/// The same, decoded.
pub const SEARCHED_DECODED: usize = 16 * 1024 * 1024;

/// KiB that the decoders of answers hold, over all connections, at most 17 MiB each; another answer
/// with a coding waits for as long as a body may take to arrive, then its request fails.
pub const DECODERS: usize = 256 * 1024;

/// Octets of an answer with a coding that wait, since what they become may be the beginning of a value;
/// with more it is broken off. A block of zstd, the longest unit that waits for its end, fits.
pub const ANSWER_HELD: usize = 512 * 1024;

/// How long a few octets of an answer wait, since they may be the beginning of a value, when nothing
/// follows them; then they pass.
pub const ANSWER_WAITS: Duration = Duration::from_secs(1);

/// The longest form, in octets, that is searched for another method; a longer one is judged as if
/// it named each.
pub const FORM: usize = 64 * 1024;

/// Interim responses to one request; then the server is taken for broken.
pub const INTERIM_RESPONSES: usize = 32;

/// How long a connection to a server waits for its next request; then it is closed.
pub const LINE_IDLE: Duration = Duration::from_secs(30);

/// The same for a request that must not be sent twice.
pub const LINE_IDLE_ONCE: Duration = Duration::from_secs(1);

/// Connections that wait for their next request; one more is closed.
pub const LINES: usize = 256;

/// The same, to one server.
pub const LINES_EACH: usize = 32;

/// WebSocket messages of clients that have begun and that the server has not taken, over all
/// connections, of at most 16 MiB each; another waits for as long as one may be silent, then its connection is closed.
pub const WEBSOCKET_ASSEMBLIES: usize = 32;

/// How long a client may be silent within a WebSocket message; then the connection is closed.
pub const WEBSOCKET_ASSEMBLY_IDLE: Duration = Duration::from_secs(30);

/// How long a client may take for a WebSocket message; then the connection is closed.
pub const WEBSOCKET_ASSEMBLY: Duration = Duration::from_secs(120);

/// How long a server may take to accept a WebSocket message; then the connection is closed.
pub const WEBSOCKET_SEND: Duration = Duration::from_secs(120);

/// How long the other side of a WebSocket may take to answer a close frame; then its connection is
/// closed all the same.
pub const WEBSOCKET_CLOSE: Duration = Duration::from_secs(10);

/// How long a client may take from its TLS hello to the end of the handshake; then it is dropped.
/// One that opens hundreds at once is busy for long (N3): reading its list of authorities anew for
/// each takes it more time than all the rest.
pub const ACCEPT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an upstream may take for its side of a TLS handshake; then it counts as unreachable.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Names with a leaf certificate at the ready, some 4 KiB each. The one that was not used for the
/// longest time makes room (D10), and is signed anew when it is asked for again.
pub const LEAVES: usize = 1024;
/// For how long a leaf certificate is valid; it is made anew once half of that is over.
pub const LEAF_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);
/// For how long an authority is valid: longer than any start of a sandbox lasts.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 3600);
/// How far before now certificates begin, for clients whose clock is behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);
/// Sessions with upstreams that may be resumed, up to eight of each name; older ones make room.
pub const SESSIONS: usize = 1024;
/// Upstreams whose choice of a protocol is remembered; the one that was not asked for the longest
/// time makes room.
pub const REMEMBERED: usize = 1024;
/// How long such a choice is remembered; then the upstream is asked before its client is answered.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
/// The largest file of further authorities that is read, in bytes; a longer one is refused.
pub const CA_FILE: usize = 4 * 1024 * 1024;

/// Streams that a client of HTTP/2 may have open at once on one connection; more wait.
pub const STREAMS: u32 = 128;

/// Octets of one HTTP/2 stream that are taken before its reader took them.
pub const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same, of all streams of one connection.
pub const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Octets of one HTTP/2 stream that wait for their reader's window.
pub const STREAM_SENT: usize = 256 * 1024;

/// Streams that a client of HTTP/2 reset before they were looked at; one more ends its connection.
pub const RESET_STREAMS: usize = 32;

/// How long the handshake of HTTP/2 may take; then the connection is closed.
pub const H2_HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a stream waits for room on its server's connection before it looks whether that is still
/// there; then it waits again.
pub const ROOM_TICK: Duration = Duration::from_secs(1);

/// How long a client may be silent within a body that is passed on as it comes; then its connection
/// is reset.
pub const BODY_IDLE: Duration = Duration::from_secs(10 * 60);

/// Longest time until a head with a credential in it is sent, and a body with one, or a message:
/// whoever changes the credential waits that long at most. The request fails then.
pub const CREDENTIAL_SENT: Duration = Duration::from_secs(10);

/// How long a caller of the router may be silent between two calls; then its connection is closed.
pub const CALLER_IDLE: Duration = Duration::from_secs(2 * 60);

/// How long such a caller may take to answer a ping of HTTP/2; then its connection is closed.
pub const CALLER_PING: Duration = Duration::from_secs(20);

/// Octets of the body of a call for which there is room when it begins; then it is doubled as they
/// come.
pub const BODY_FIRST: usize = 4 * 1024;

/// How long the body of a call waits for room, while it holds what it has; then it is refused.
pub const BODY_ROOM: Duration = Duration::from_secs(10);

/// Calls at once over one HTTP/2 connection to a backend; one more takes another. Servers let at
/// least 100 streams be open (RFC 9113, section 6.5.2).
pub const WIRE_CALLS: usize = 64;

/// The same, over all connections; one more is refused.
pub const BACKEND_CALLS: usize = 512;

/// Octets of one backend's answer over HTTP/2 that are taken before the caller took them.
pub const WIRE_STREAM_WINDOW: u32 = 256 * 1024;

/// The same, of all answers over one connection: those whose callers read nothing leave room for all
/// others.
pub const WIRE_WINDOW: u32 = 64 * WIRE_STREAM_WINDOW;

/// How long a kept connection to a backend is given to be ready for a call; then another is taken.
pub const WIRE_READY: Duration = Duration::from_millis(100);

/// How long a body of HTTP/2 with a credential in it counts as being sent after the last of it was
/// queued.
pub const STREAM_BODY_SENT: Duration = Duration::from_millis(200);
