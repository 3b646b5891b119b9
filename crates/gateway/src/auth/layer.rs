//! The layer that every request passes first.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use openshell_wire::{Method, Mode};
use tonic::Status;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::{Channel, Ctx};
use crate::rpc::SERVED;

/// Puts [`Authorize`] around a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorizeLayer {
    ctx: Ctx,
}

impl AuthorizeLayer {
    /// For a listener whose callers all came this way.
    pub(crate) const fn new(channel: Channel) -> Self {
        Self { ctx: Ctx { channel } }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize { ctx: self.ctx, inner }
    }
}

/// Refuses what the caller may not ask for, and tells the rest who calls.
#[derive(Clone, Debug)]
pub(crate) struct Authorize<S> {
    ctx: Ctx,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Authorize<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match authorize(request.uri().path()) {
            Ok(()) => {
                request.extensions_mut().insert(self.ctx);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// Whether a local caller may call the method at this path. Both listeners admit only the gateway's
/// own user, who is the admin of everything here: no role and no scope is lacking.
fn authorize(path: &str) -> Result<(), Status> {
    let Some(method) = Method::of_path(path) else {
        return Err(Status::unimplemented(format!("there is no method `{path}`")));
    };
    match method.mode {
        Mode::Unauthenticated | Mode::Bearer | Mode::Dual => {}
        Mode::Sandbox => {
            return Err(Status::permission_denied("this method is for supervisors only"));
        }
        Mode::Peer => return Err(Status::permission_denied("this method is for gateways only")),
        Mode::Operator => {
            return Err(Status::permission_denied("this method is for the operator only"));
        }
    }
    if SERVED.contains(&path) {
        Ok(())
    } else {
        Err(Status::unimplemented(format!("`{path}` is not served by this gateway")))
    }
}

#[cfg(test)]
mod tests {
    use openshell_wire::METHODS;
    use tonic::Code;

    use super::*;

    #[test]
    fn every_method_of_the_descriptors_is_open_to_its_callers_and_closed_to_others() {
        for method in METHODS {
            let result = authorize(method.path).map_err(|status| status.code());
            let expected = match method.mode {
                Mode::Sandbox | Mode::Peer | Mode::Operator => Err(Code::PermissionDenied),
                Mode::Unauthenticated | Mode::Bearer | Mode::Dual => {
                    if SERVED.contains(&method.path) { Ok(()) } else { Err(Code::Unimplemented) }
                }
            };
            assert_eq!(result, expected, "{}", method.path);
        }
    }

    #[test]
    fn served_methods_are_methods_and_unknown_ones_are_refused() {
        for path in SERVED {
            assert!(Method::of_path(path).is_some(), "{path}");
        }
        assert_eq!(
            authorize("/openshell.v1.OpenShell/Nope").map_err(|status| status.code()),
            Err(Code::Unimplemented)
        );
    }
}
