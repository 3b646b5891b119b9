//! The URL of a server, as a person's configuration has it.

use openshell_policy::yaml::{Key, Layout, Value};
use openshell_types::{Authority, Host, Port};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) is_secure: bool,
    pub(super) to: Authority,
    /// Empty, or `/` and what follows, without one at its end.
    pub(super) path: String,
    /// The name that stands before the host.
    pub(super) user: Option<String>,
}

impl Site {
    /// Reads `https://host[:port][/path]`, of either scheme. Why it is refused never quotes it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(why.to_owned());
        let (is_secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return wrong("not a URL that begins with `https://` or `http://`"),
        };
        if url.len() > LONGEST {
            return Err(format!("a URL of more than {LONGEST} characters"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        // SECURITY: I8; settings are shown, and so no place for a password.
        if user.is_some_and(|user| user.contains(':')) {
            return wrong("a password has no place in it; it is a credential");
        }
        let user = user.filter(|user| !user.is_empty());
        if user.is_some_and(|user| !user.bytes().all(is_plain)) {
            return wrong("a name before the host that is not letters, digits and any of `-._~@+`");
        }
        let path = path.trim_end_matches('/');
        let dots = |part: &str| matches!(part, "." | "..");
        // SECURITY: the path becomes a pattern, in which `*` and `{` would mean more than they say.
        let fits = path.bytes().all(|b| is_plain(b) || b == b'/');
        if !fits || path.contains("//") || path.split('/').any(dots) {
            return wrong("a path that is not letters, digits and any of `-._~@+` between slashes");
        }
        let default = Port::new(if is_secure { 443 } else { 80 });
        let to = Authority::parse_with_default(authority, default)
            .map_err(|_| "no host, or none that can be".to_owned())?;
        let is_localhost = |name: &str| name == "localhost" || name.ends_with(".localhost");
        if matches!(&to.host, Host::Name(name) if is_localhost(name.as_str())) {
            return wrong(
                "`localhost` is the sandbox itself; the host is `host.openshell.internal`",
            );
        }
        Ok(Self { is_secure, to, path: path.to_owned(), user: user.map(str::to_owned) })
    }

    /// The pattern of all paths beneath its own.
    pub(super) fn below(&self) -> String {
        format!("{}/**", self.path)
    }

    /// The endpoint of a policy that leads there.
    pub(super) fn endpoint(&self, path: Option<String>, access: &'static str) -> Value {
        let host = match &self.to.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let mut keys = vec![
            (Key::Known("host"), Value::text(&host)),
            (Key::Known("port"), Value::word(&self.to.port)),
        ];
        keys.extend(path.map(|path| (Key::Known("path"), Value::text(&path))));
        keys.push((Key::Known("protocol"), Value::word(&"rest")));
        keys.push((Key::Known("access"), Value::word(&access)));
        keys.push((Key::Known("enforcement"), Value::word(&"enforce")));
        Value::List(vec![Value::Map(Layout::Item, keys)])
    }
}

/// Longest URL, in characters.
const LONGEST: usize = 1024;

fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~@+".contains(&b)
}
