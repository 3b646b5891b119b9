//! The words of generated documents and questions. Some occur twice, to be drawn more often.

/// What the literal paths of binaries are bound to.
pub const BOUND: &[(&str, &[u64])] = &[
    ("/usr/bin/curl", &[1]),
    ("/usr/bin/node", &[2, 3]),
    ("/usr/bin/nodejs", &[2]),
    ("/opt/a/tool", &[4]),
    ("/opt/none", &[]),
];

pub const BINARIES: &[&str] = &[
    "/usr/bin/curl",
    "/usr/bin/curl",
    "/usr/bin/node",
    "/usr/bin/nodejs",
    "/opt/a/tool",
    "/opt/none",
    "/usr/bin/*",
    "/opt/*",
    "/opt/**",
    "/**",
];

/// Executables: inode and path.
pub const PROGRAMS: &[(u64, &str)] = &[
    (1, "/usr/bin/curl"),
    (1, "/usr/bin/curl"),
    (2, "/usr/bin/node"),
    (3, "/usr/bin/node"),
    (4, "/opt/a/tool"),
    (5, "/opt/tool"),
    (6, "/usr/bin/curl"),
    (7, "/bin/sh"),
    (1, ""),
    (8, ""),
];

pub const DIGESTS: &[&str] = &[
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];

pub const HOSTS: &[&str] = &[
    "a.x.com",
    "a.x.com",
    "A.X.com",
    "b.x.com",
    "x.com",
    "*.x.com",
    "**.x.com",
    "a*.x.com",
    "*b.x.com",
    "c.*.x.com",
    "c.**.x.com",
    "host.openshell.internal",
    "host.openshell.internal",
    "*.openshell.internal",
    "10.0.0.1",
    "2001:db8::1",
];

pub const NAMES: &[&str] = &[
    "a.x.com",
    "b.x.com",
    "ab.x.com",
    "x.com",
    "c.a.x.com",
    "c.a.b.x.com",
    "host.openshell.internal",
    "b.openshell.internal",
    "a.y.org",
];

pub const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "::ffff:10.0.0.1",
    "192.168.1.1",
    "8.8.8.8",
    "2001:db8::1",
    "2001:db8::2",
    "fd12::7",
    "127.0.0.1",
    "169.254.169.254",
    "::ffff:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
];

pub const NETWORKS: &[&str] =
    &["10.0.0.0/8", "10.0.0.1", "192.168.0.0/16", "fd12::/48", "2001:db8::1", "8.8.0.0/16"];

pub const PORTS: &[&str] = &["443", "443", "80", "\"440-450\"", "\"443-444\""];
pub const DIALLED: &[u16] = &[443, 443, 444, 445, 80, 440, 450, 451, 22];

/// Before every rule's end.
pub const EARLY: &str = "2029-12-31T23:59:59Z";
/// The ends of rules.
pub const UNTIL: &[&str] = &["2030-01-01T00:00:00Z", "2031-06-01T12:00:00Z"];
/// The moments of questions; one is the end of a rule.
pub const MOMENTS: &[&str] = &[
    "2030-01-01T00:00:00Z",
    "2030-01-01T00:00:00Z",
    "2031-01-01T00:00:00Z",
    "2032-01-01T00:00:00Z",
];

/// Patterns of paths.
pub const PATHS: &[&str] = &[
    "/a",
    "/a/b",
    "/b",
    "/a/*",
    "/a/**",
    "/*",
    "/**",
    "**",
    "/a*",
    "/a**",
    "/*/b",
    "/**/b",
    "/a/*/c",
    "/{a,b}",
    "/{a,b/*}/c",
    "/{a,b}/{b,c*}",
    "/{a,**}",
    "/A",
    "/A/**",
    "/b/**",
    "/a:b",
    "/a%3ab",
    "/a%2Fb",
    "/%61/*",
    "/é/**",
    "/{%61,b}:*",
];

pub const SEGMENTS: &[&str] =
    &["a", "a", "a", "b", "b", "c", "A", "ab", "ac", "", "a:b", "a%3Ab", "a%2Fb", "%C3%A9"];

pub const METHODS: &[&str] = &[
    "GET", "get", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*", "*", "PROPFIND",
    "propfind",
];
pub const SENT: &[&str] = &[
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "get",
    "WEBSOCKET_TEXT",
];

pub const QUERY_KEYS: &[&str] = &["q", "q", "r", "r", "Q", "q[]"];
/// How a key of a query may be written, `q` standing for it.
pub const KEY_SPELLINGS: &[&str] = &["q[]", "q[0]", "q[a][b]", "Q", "q]", "q["];
pub const HEADERS: &[&str] = &["X-Team", "x-team", "accept"];
pub const PARAMS: &[&str] = &["arguments.path", "id"];

pub const VALUES: &[&str] = &["a", "b", "ab", "a.b", "a/b", "", "A"];
pub const VALUE_PATTERNS: &[&str] = &["a", "b", "a*", "*b", "*", "a*b", "**b", "a.*"];

pub const OPERATION_TYPES: &[&str] = &["query", "query", "mutation", "subscription", "*"];
pub const OPERATIONS: &[&str] = &["Get", "GetUser", "Set.User", "Set", ""];
pub const OPERATION_PATTERNS: &[&str] = &["Get", "Get*", "*User", "*", "Set*"];
pub const FIELDS: &[&str] = &["user", "users", "viewer", "deleteUser"];
pub const FIELD_PATTERNS: &[&str] = &["user", "user*", "viewer", "*", "delete*", "*User"];

pub const CALLS: &[&str] = &["a.get", "a.set", "a/get", "b", "tools/call"];
pub const CALL_PATTERNS: &[&str] = &["a.get", "a.*", "*get", "*", "b", "a*"];

pub const MCP_CALLS: &[&str] = &[
    "initialize",
    "tools/list",
    "tools/call",
    "tools/call",
    "resources/read",
    "notifications/initialized",
    "other/unknown",
];
pub const MCP_PATTERNS: &[&str] = &[
    "tools/call",
    "tools/call",
    "tools/*",
    "tools/list",
    "initialize",
    "*",
    "resources/*",
    "other/*",
];
pub const TOOLS: &[&str] = &["read", "read_file", "read.all", "delete.all", "bad name", "a/b"];
pub const TOOL_PATTERNS: &[&str] = &["read", "read*", "*", "delete*", "*all"];

pub const SERVICES: &[&str] = &["pkg.A", "pkg.B", "other"];
pub const SERVICE_PATTERNS: &[&str] = &["pkg.A", "pkg.*", "*", "other", "*.B"];
pub const GRPC_METHODS: &[&str] = &["Get", "GetAll", "Set"];
pub const GRPC_PATTERNS: &[&str] = &["Get", "Get*", "*", "Set"];
