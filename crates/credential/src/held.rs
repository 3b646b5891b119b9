//! The credentials of one sandbox as its supervisor holds them.

use std::collections::HashMap;
use std::sync::Arc;

use openshell_policy::{BoundEndpoint, Glob};
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Placement, Redacted, SigV4, SigV4Part,
};

use crate::echo::{Echoes, Value};
use crate::forms::Forms;
use crate::limits::{ECHOED_BYTES, FORMER};
use crate::misuse::{Misuse, Place};
use crate::placeholder::Minter;

/// What a sandbox's programs may authenticate with, ready to be put in the place of what they hold.
#[derive(Debug, Default)]
pub struct Credentials {
    epoch: u64,
    pub(crate) all: Vec<Held>,
    pub(crate) forms: Forms,
    pub(crate) minter: Option<Minter>,
    /// Values that went to servers and do so no more, the latest first.
    former: Vec<Former>,
    /// What each server could tell of the values that go there.
    echoes: HashMap<Authority, Arc<Echoes>>,
}

/// A value that went to a server before it was replaced or taken away.
#[derive(Clone, Debug)]
struct Former {
    to: Authority,
    name: String,
    placeholder: String,
    secret: Redacted<String>,
}

impl Former {
    fn is(&self, other: &Self) -> bool {
        self.to == other.to && self.secret.expose() == other.secret.expose()
    }
}

/// One credential.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) placeholder: String,
    pub(crate) secret: Redacted<String>,
    pub(crate) expires_ms: Option<i64>,
    pub(crate) bindings: Vec<Bound>,
}

/// A binding, ready to be held against requests.
#[derive(Debug)]
pub(crate) struct Bound {
    to: Authority,
    of: Of,
    pub(crate) placement: Placement,
}

/// Which requests to a server a binding is for.
#[derive(Debug)]
enum Of {
    /// Those of every program, to these paths.
    Everyone(Option<Glob>),
    /// Those for which this endpoint of the policy speaks.
    Endpoint(BoundEndpoint),
}

/// Where something goes, and what of the policy gives it credentials.
#[derive(Clone, Copy, Debug)]
pub struct Going<'a> {
    /// The server.
    pub to: &'a Authority,
    /// The canonical path.
    pub path: &'a str,
    /// The endpoints that bind credentials, and speak for requests of its program to this path.
    pub bound: &'a [BoundEndpoint],
}

impl Credentials {
    /// Takes what the gateway sent.
    pub fn new(set: CredentialSet) -> Self {
        let CredentialSet { epoch, mark, all } = set;
        let all: Vec<Held> = all.into_iter().map(Held::new).collect();
        let forms = Forms::of(all.iter().map(|held| held.placeholder.as_str()));
        let minter = (*mark.expose() != [0; 32]).then(|| Minter::new(*mark.expose()));
        let echoes = echoes(&all, &[]);
        Self { epoch, all, forms, minter, former: Vec::new(), echoes }
    }

    /// The same where others were in force. SECURITY: I3; what was sent may be told later, and may
    /// still be good then: servers take a token until it ends, and nobody takes one back.
    pub fn after(self, before: &Self) -> Self {
        let is_sent = |one: &Former| self.sent().any(|own| own.is(one));
        let mut former: Vec<Former> = Vec::new();
        for one in before.sent().chain(before.former.iter().cloned()) {
            let is_known = is_sent(&one) || former.iter().any(|own| own.is(&one));
            let of_server = former.iter().filter(|own| own.to == one.to).count();
            if !is_known && of_server < FORMER {
                former.push(one);
            }
        }
        let echoes = echoes(&self.all, &former);
        Self { former, echoes, ..self }
    }

    /// What is sent to servers.
    fn sent(&self) -> impl Iterator<Item = Former> + '_ {
        let all = self.all.iter().flat_map(|held| held.bindings.iter().map(move |own| (held, own)));
        let sent = all.filter(|(held, bound)| {
            is_sent(&bound.placement) && held.secret.expose().len() >= ECHOED_BYTES
        });
        sent.map(|(held, bound)| Former {
            to: bound.to.clone(),
            name: held.name.clone(),
            placeholder: held.placeholder.clone(),
            secret: held.secret.clone(),
        })
    }

    /// What is looked for in the answers of this server; `None` where nothing is.
    pub fn echoes(&self, of: &Authority) -> Option<&Arc<Echoes>> {
        self.echoes.get(of)
    }

    /// Which state of what is attached this is.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether some credential is for this server: what passes to it must be read.
    pub fn binds(&self, to: &Authority) -> bool {
        self.bound(to).next().is_some()
    }

    /// What is bound to this server, whatever the path.
    pub(crate) fn bound(&self, to: &Authority) -> impl Iterator<Item = (&Held, &Bound)> {
        self.all.iter().flat_map(move |held| {
            held.bindings
                .iter()
                .filter(move |bound| bound.to == *to)
                .map(move |bound| (held, bound))
        })
    }
}

fn echoes(all: &[Held], former: &[Former]) -> HashMap<Authority, Arc<Echoes>> {
    let mut servers: HashMap<&Authority, Vec<Value<'_>>> = HashMap::new();
    for held in all {
        for bound in held.bindings.iter().filter(|bound| is_sent(&bound.placement)) {
            let values = servers.entry(&bound.to).or_default();
            values.push(Value {
                name: &held.name,
                secret: &held.secret,
                placeholder: &held.placeholder,
            });
        }
    }
    for Former { to, name, placeholder, secret } in former {
        servers.entry(to).or_default().push(Value { name, secret, placeholder });
    }
    let made = |(to, values): (&Authority, Vec<Value<'_>>)| {
        Some((to.clone(), Arc::new(Echoes::of(&values)?)))
    };
    servers.into_iter().filter_map(made).collect()
}

/// Whether a value that is placed so is put on the wire, and is secret.
const fn is_sent(placement: &Placement) -> bool {
    !matches!(placement, Placement::SigV4(SigV4 { part: SigV4Part::Secret | SigV4Part::KeyId, .. }))
}

impl Held {
    /// The misuse that its placeholder is where it is bound to the server, but by rules of the policy
    /// for other programs or paths alone.
    pub(crate) fn closed(&self, going: Going<'_>, place: &Place) -> Option<Misuse> {
        let mut here = self.bindings.iter().filter(|bound| bound.to == *going.to).peekable();
        let rule = here.peek()?.closed_by(going)?.to_owned();
        let is_closed = here.all(|bound| bound.closed_by(going).is_some());
        let (name, place) = (self.name.clone(), place.clone());
        is_closed.then_some(Misuse::OtherProgram { name, place, rule })
    }

    fn new(credential: Credential) -> Self {
        let Credential { name, placeholder, secret, expires_ms, bindings } = credential;
        let bindings = bindings.into_iter().map(Bound::new).collect();
        Self { name, placeholder, secret, expires_ms, bindings }
    }

    /// The provider's name.
    pub(crate) fn provider(&self) -> &str {
        self.name.rsplit_once('/').map_or(self.name.as_str(), |(provider, _)| provider)
    }
}

impl Bound {
    fn new(binding: Binding) -> Self {
        let Binding { host, port, path, placement, rule } = binding;
        let of = match rule {
            // Its path is the policy's affair, which knows more than one.
            Some(rule) => {
                Of::Endpoint(BoundEndpoint { rule: rule.into(), path: path.map(Into::into) })
            }
            None => Of::Everyone(path.as_deref().map(Glob::new)),
        };
        Self { to: Authority { host, port }, of, placement }
    }

    /// Whether it is for what goes to this path of its server.
    pub(crate) fn covers(&self, going: Going<'_>) -> bool {
        match &self.of {
            Of::Everyone(path) => path.as_ref().is_none_or(|glob| glob.matches(going.path)),
            Of::Endpoint(own) => going.bound.contains(own),
        }
    }

    /// The rule of the policy that keeps it from what goes there, for another program or path.
    pub(crate) fn closed_by(&self, going: Going<'_>) -> Option<&str> {
        match &self.of {
            Of::Endpoint(own) if !going.bound.contains(own) => Some(&own.rule),
            Of::Endpoint(_) | Of::Everyone(_) => None,
        }
    }
}
