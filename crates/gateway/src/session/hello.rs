//! The first frame of a session: which sandbox it is, and the proof.

use openshell_types::{Digest, SandboxId};
use openshell_wire::session::Hello;
use tonic::Status;

use crate::store::Store;
use crate::store::rows::sandbox::{Desired, Sandbox};

/// The version of the session protocol that this gateway speaks.
pub(super) const VERSION: u32 = 1;

/// The sandbox whose supervisor says hello.
pub(super) async fn authenticate(store: &Store, hello: &Hello) -> Result<Sandbox, Status> {
    if hello.version != VERSION {
        return Err(Status::failed_precondition(format!(
            "session protocol version {} is not spoken; {VERSION} is",
            hello.version
        )));
    }
    // One answer for every reason: a guesser learns nothing about which sandboxes there are.
    let refused = || Status::unauthenticated("invalid session token");
    let id = SandboxId::parse(&hello.sandbox_id).map_err(|_| refused())?;
    let sandbox = store
        .sandbox(&id)
        .await
        .map_err(|error| {
            tracing::error!(%error, "Session could not be authenticated");
            Status::unavailable("the gateway's database is not available")
        })?
        .ok_or_else(refused)?;
    let presented = Digest::of(hello.token.as_bytes());
    let expected = sandbox.token_sha256.as_deref().unwrap_or_default();
    if !same(presented.as_bytes(), expected) || sandbox.desired == Desired::Absent {
        return Err(refused());
    }
    Ok(sandbox)
}

/// Compares in a time that does not depend on where the first difference is.
// SECURITY: the compared values are digests already; this keeps even their prefixes unguessable.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn compares_whole_values() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"ab"));
        assert!(!same(b"abc", b""));
    }
}
