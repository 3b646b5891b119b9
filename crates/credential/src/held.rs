//! The credentials of one sandbox as its supervisor holds them.

use std::collections::HashMap;
use std::sync::Arc;

use openshell_policy::Glob;
use openshell_types::{
    Authority, Binding, Credential, CredentialSet, Placement, Redacted, SigV4, SigV4Part,
};

use crate::echo::{Echoes, Value};
use crate::forms::Forms;
use crate::placeholder::Minter;

/// What a sandbox's programs may authenticate with, ready to be put in the place of what they hold.
#[derive(Debug, Default)]
pub struct Credentials {
    epoch: u64,
    pub(crate) all: Vec<Held>,
    pub(crate) forms: Forms,
    pub(crate) minter: Option<Minter>,
    /// What each server could tell of the values that go there.
    echoes: HashMap<Authority, Arc<Echoes>>,
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

/// A binding with its path compiled.
#[derive(Debug)]
pub(crate) struct Bound {
    to: Authority,
    path: Option<Glob>,
    pub(crate) placement: Placement,
}

impl Credentials {
    /// Takes what the gateway sent.
    pub fn new(set: CredentialSet) -> Self {
        let CredentialSet { epoch, mark, all } = set;
        let all: Vec<Held> = all.into_iter().map(Held::new).collect();
        let forms = Forms::of(all.iter().map(|held| held.placeholder.as_str()));
        let minter = (*mark.expose() != [0; 32]).then(|| Minter::new(*mark.expose()));
        let echoes = echoes(&all);
        Self { epoch, all, forms, minter, echoes }
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

fn echoes(all: &[Held]) -> HashMap<Authority, Arc<Echoes>> {
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
        let Binding { host, port, path, placement } = binding;
        Self { to: Authority { host, port }, path: path.as_deref().map(Glob::new), placement }
    }

    /// Whether it is for requests to this path.
    pub(crate) fn covers(&self, path: &str) -> bool {
        self.path.as_ref().is_none_or(|glob| glob.matches(path))
    }
}
