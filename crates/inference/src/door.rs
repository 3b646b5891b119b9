//! Where calls come in: a name of our own, and the vendors' names.

use std::sync::LazyLock;

use openshell_credential::builtin;
use openshell_types::{Authority, BaseUrl, Host, HostName, ModelProtocol};

/// Where a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `inference.local`: the protocol is told by the path.
    Own,
    /// `PROTOCOL.inference.local`: one protocol alone.
    OwnOf(ModelProtocol),
    /// The model API of a vendor.
    Vendor(Vendor),
}

/// A vendor's model API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor {
    pub(crate) protocol: ModelProtocol,
    /// The path before that of an operation.
    pub(crate) path: &'static str,
}

impl Door {
    /// The door that is ours, if this name is one.
    pub fn own(name: &HostName) -> Option<Self> {
        let name = name.as_str();
        if name == OWN {
            return Some(Self::Own);
        }
        let protocol = name.strip_suffix(OWN)?.strip_suffix('.')?;
        ModelProtocol::parse(protocol).ok().map(Self::OwnOf)
    }

    /// The vendor's door, if its model API is there.
    pub fn vendor(to: &Authority) -> Option<Self> {
        VENDORS.iter().find(|(base, _)| base.authority == *to).map(|(_, own)| Self::Vendor(*own))
    }

    /// The vendor's door of this name, on whatever port.
    pub(crate) fn vendor_named(name: &HostName) -> Option<Self> {
        let is_named =
            |base: &BaseUrl| matches!(&base.authority.host, Host::Name(own) if own == name);
        VENDORS.iter().find(|(base, _)| is_named(base)).map(|(_, own)| Self::Vendor(*own))
    }

    /// The only protocol that is spoken there, if it is only one.
    pub const fn protocol(&self) -> Option<ModelProtocol> {
        match self {
            Self::Own => None,
            Self::OwnOf(protocol) => Some(*protocol),
            Self::Vendor(vendor) => Some(vendor.protocol),
        }
    }
}

/// The name of our own under which calls are taken.
const OWN: &str = "inference.local";

/// Where the profiles that serve models have their APIs.
static VENDORS: LazyLock<Vec<(BaseUrl, Vendor)>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for own in builtin::all() {
        let Some(inference) = &own.inference else { continue };
        let Some(text) = inference.base_url else { continue };
        let Ok(base) = BaseUrl::parse(text) else { continue };
        // The path stands at the end of the text.
        let path = text.get(text.len().saturating_sub(base.path.len())..).unwrap_or_default();
        all.extend(
            inference
                .protocols
                .iter()
                .map(|protocol| (base.clone(), Vendor { protocol: *protocol, path })),
        );
    }
    all
});

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        HostName::parse(text).expect(text)
    }

    #[test]
    fn own_doors_are_told_by_their_names() {
        assert_eq!(Door::own(&name("inference.local")), Some(Door::Own));
        let gemini = Some(Door::OwnOf(ModelProtocol::Gemini));
        assert_eq!(Door::own(&name("gemini.inference.local")), gemini);
        for other in
            ["xinference.local", "x.inference.local", "local", "inference.local.example.com"]
        {
            assert_eq!(Door::own(&name(other)), None, "{other}");
        }
    }

    #[test]
    fn each_profile_with_a_base_has_a_door() {
        assert_eq!(VENDORS.len(), 6);
        for (base, vendor) in VENDORS.iter() {
            assert_eq!(base.path, vendor.path);
            assert_eq!(Door::vendor(&base.authority), Some(Door::Vendor(*vendor)));
        }
        let to = Authority::parse("api.anthropic.com:443").expect("an authority");
        let door = Door::vendor(&to).expect("a vendor");
        assert_eq!(door.protocol(), Some(ModelProtocol::Anthropic));
        let to = Authority::parse("api.anthropic.com:80").expect("an authority");
        assert_eq!(Door::vendor(&to), None);
    }
}
