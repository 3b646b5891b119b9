//! The policy decides: the only place where a [`Permit`] comes from.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use openshell_credential::Credentials;
use openshell_inference::Door;
use openshell_policy::address::{AddressClass, classify};
use openshell_policy::{
    BoundEndpoint, Caller, Decision, Destination, Grant, HOST_ALIAS, Policy, Predicate,
};
use openshell_types::{Authority, Generation, Host};
use tokio::sync::watch;

use crate::accept::Context;
use crate::ledger::{Carries, Meter, Place};
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::{Identified, PolicyInForce, State, Unidentified};
use crate::sending::InFlight;
use crate::upstream_proxy::Reached;

/// The latest policy.
pub(crate) type PolicyWatch = watch::Receiver<Arc<PolicyInForce>>;

/// The proof that a policy allowed one connection. It is made here alone, moved and never copied;
/// without it nothing is resolved or dialled.
pub(crate) struct Permit {
    policy: Arc<PolicyInForce>,
    grant: Grant,
    to: Authority,
    by: Arc<Caller>,
    transport: Transport,
    /// It leads to the backend of a route, which its operator chose, on behalf of a caller that may
    /// use it. `grant` is the caller's.
    is_backend: bool,
}

/// What becomes of a connection.
pub(crate) enum Decided {
    /// The policy allows it.
    Allowed(Permit),
    /// It is for the router.
    Routed(Door),
}

/// Asks what becomes of a connection of `by` to `to`. A rule that allows it comes before the router;
/// names of the router's own are always for the router.
pub(crate) fn decide(
    policy: Arc<PolicyInForce>,
    to: Authority,
    by: Arc<Caller>,
) -> Result<Decided, Refusal> {
    if let Host::Name(name) = &to.host
        && let Some(door) = Door::own(name)
    {
        return match to.port.number() {
            80 | 443 => Ok(Decided::Routed(door)),
            _ => Err(Refusal::no_model_call(format!("`{name}` is there on ports 80 and 443"))),
        };
    }
    let door = policy.routes.intercepts(&to);
    match (authorize(policy, to, by), door) {
        (Ok(permit), _) => Ok(Decided::Allowed(permit)),
        (Err(_), Some(door)) => Ok(Decided::Routed(door)),
        (Err(refusal), None) => Err(refusal),
    }
}

/// The same for whoever opened a connection, if that could be told. Notes it in its record.
pub(crate) fn decide_for(
    context: &Context,
    to: &Authority,
    identified: Result<Identified, Unidentified>,
    attempt: &mut Attempt,
) -> Result<(Identified, Decided), Refusal> {
    attempt.to(to);
    let policy = Arc::clone(&context.policy.borrow());
    attempt.under(policy.generation);
    let who = identified.map_err(|why| Refusal::unidentified(&why))?;
    let decided = decide(policy, to.clone(), Arc::clone(&who.caller))?;
    Ok((who, decided))
}

/// What is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Asks `policy` whether `by` may connect to `to`.
pub(crate) fn authorize(
    policy: Arc<PolicyInForce>,
    to: Authority,
    by: Arc<Caller>,
) -> Result<Permit, Refusal> {
    permit(policy, (to, Transport::Tcp), by)
}

/// Asks `policy` whether `by` may make calls that the rule of this key is for. `to` stands for them.
/// SECURITY: I10; whom a route names says its own rule alone: a person's rule for more hosts, or one of
/// a provider's, gives nobody the key of a backend.
pub(crate) fn authorize_calls(
    policy: Arc<PolicyInForce>,
    (rule, to): (&str, Authority),
    by: Arc<Caller>,
) -> Result<Permit, Refusal> {
    let decision = policy.policy.connect_by(rule, &destination(&to), &by, Timestamp::now());
    let grant = granted(&policy, &to, &by, decision)?;
    Ok(Permit { policy, grant, to, by, transport: Transport::Tcp, is_backend: false })
}

/// Asks `policy` whether `by` may exchange datagrams with `to`.
pub(crate) fn authorize_datagrams(
    policy: Arc<PolicyInForce>,
    to: Authority,
    by: Arc<Caller>,
) -> Result<Permit, Refusal> {
    permit(policy, (to, Transport::Udp), by)
}

fn permit(
    policy: Arc<PolicyInForce>,
    (to, transport): (Authority, Transport),
    by: Arc<Caller>,
) -> Result<Permit, Refusal> {
    let grant = ask(&policy, (&to, transport), &by)?;
    Ok(Permit { policy, grant, to, by, transport, is_backend: false })
}

impl Permit {
    /// The permit for the backend of a route that this one lets its caller use.
    pub(crate) fn for_backend(self, backend: &Authority) -> Self {
        Self { to: backend.clone(), is_backend: true, ..self }
    }

    /// Whether it leads to the backend of a route.
    pub(crate) const fn is_backend(&self) -> bool {
        self.is_backend
    }

    /// Where to.
    pub(crate) const fn to(&self) -> &Authority {
        &self.to
    }

    /// Who asked.
    pub(crate) fn by(&self) -> &Caller {
        &self.by
    }

    /// The policy that allowed it.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy.policy
    }

    /// Whether requests over the connection are judged one by one. SECURITY: I9; where a credential
    /// is bound, or was, they are.
    pub(crate) fn inspects(&self) -> bool {
        self.credentials().binds(&self.to)
            || self.credentials().echoes(&self.to).is_some()
            || self.policy().inspects(&destination(&self.to), &self.by, Timestamp::now())
    }

    /// What may be authenticated with under it.
    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.policy.credentials
    }

    /// The endpoints of the policy that give its program's requests to a path credentials.
    pub(crate) fn bound_endpoints(&self, path: &str) -> Vec<BoundEndpoint> {
        let to = destination(&self.to);
        self.policy().bound_endpoints(&to, &self.by, path, Timestamp::now())
    }

    /// Counts a request that carries a value of its credentials.
    pub(crate) fn begin_sending(&self) -> InFlight {
        self.policy.sending.begin()
    }

    /// The state that allowed it.
    pub(crate) fn state(&self) -> State {
        self.policy.state()
    }

    /// The generation that allowed it.
    pub(crate) fn generation(&self) -> Generation {
        self.policy.generation
    }

    /// Counts what passes over it, when its requests are not judged.
    pub(crate) fn meter(&self, context: &Context) -> Meter {
        let (to, by) = (self.to.clone(), Arc::clone(&self.by));
        let carries = match self.transport {
            Transport::Tcp => Carries::Stream,
            Transport::Udp => Carries::Datagrams,
        };
        context.meter(Place { to, by, carries })
    }

    /// The rule that allowed it.
    pub(crate) fn rule(&self) -> &str {
        self.policy.policy.rule_name(&self.grant)
    }

    /// Whether it is for the host's own loopback.
    pub(crate) fn is_host_loopback(&self) -> bool {
        if self.is_backend {
            return matches!(&self.to.host, Host::Name(name) if name.as_str() == HOST_ALIAS);
        }
        self.policy.policy.host_loopback(&self.grant)
    }

    /// Whether the policy lists the addresses to which it may lead.
    pub(crate) fn lists_addresses(&self) -> bool {
        !self.is_backend && self.policy.policy.lists_addresses(&self.grant)
    }

    /// Whether it covers a server that was reached by its name, wherever that is.
    pub(crate) fn admits_unseen(&self) -> Result<(), Refusal> {
        if self.is_host_loopback() || self.lists_addresses() {
            let detail = "the policy has a word on addresses, and the proxy was told a name";
            return Err(Refusal::unreachable("policy_changed", detail.to_owned()));
        }
        Ok(())
    }

    /// Whether it covers this address.
    pub(crate) fn admits(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.is_backend {
            return admits_backend(address);
        }
        let policy = &self.policy.policy;
        policy
            .admits(&self.grant, address)
            .map_err(|refusal| Refusal::address(policy.explain_address(&self.grant, &refusal)))
    }

    /// Asks the policy that is in force now, for a connection that reached a server, or that is not
    /// dialled yet.
    /// SECURITY: E10; a permit of an older generation relays nothing.
    fn renew(
        &mut self,
        policy: Arc<PolicyInForce>,
        reached: Option<Reached>,
    ) -> Result<(), Refusal> {
        let grant = ask(&policy, (&self.to, self.transport), &self.by)?;
        let was_loopback = self.is_host_loopback();
        (self.policy, self.grant) = (policy, grant);
        let address = match reached {
            None => return Ok(()),
            Some(Reached::ByName) => return self.admits_unseen(),
            Some(Reached::Address(address)) => address.ip(),
        };
        match (was_loopback, self.is_host_loopback()) {
            (true, true) => Ok(()),
            (false, false) => self.admits(address),
            _ => Err(Refusal::own_address(address)),
        }
    }

    /// Renews the permit if the policy changed since.
    pub(crate) fn refresh(
        &mut self,
        policies: &mut PolicyWatch,
        reached: Reached,
    ) -> Result<(), Refusal> {
        let policy = Arc::clone(&policies.borrow_and_update());
        if policy.state() == self.state() {
            return Ok(());
        }
        self.renew(policy, Some(reached))
    }

    /// Waits until the connection is no longer allowed; says why, and under which generation.
    /// Asks at every change of the policy, and now and then for rules with a time limit.
    pub(crate) async fn revoked(
        &mut self,
        policies: &mut PolicyWatch,
        reached: Option<Reached>,
    ) -> (Refusal, Generation) {
        loop {
            let changed = tokio::time::timeout(crate::limits::REJUDGE_EVERY, policies.changed());
            if let Ok(Err(_)) = changed.await {
                // Nobody can change the policy any more; time limits still count.
                tokio::time::sleep(crate::limits::REJUDGE_EVERY).await;
            }
            let policy = Arc::clone(&policies.borrow_and_update());
            let generation = policy.generation;
            if let Err(refusal) = self.renew(policy, reached) {
                return (refusal, generation);
            }
        }
    }
}

/// Waits until a credential is bound to this server; says what becomes of what began before that, and
/// under which generation.
/// SECURITY: I3; nobody looked at it, and it may tell what others send now.
pub(crate) async fn bound(mut policies: PolicyWatch, to: &Authority) -> (Refusal, Generation) {
    loop {
        let policy = Arc::clone(&policies.borrow_and_update());
        if policy.credentials.echoes(to).is_some() {
            let detail = "a credential was bound to the server since".to_owned();
            return (Refusal::unreachable("policy_changed", detail), policy.generation);
        }
        drop(policy);
        if policies.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// A backend may be anywhere but where no server of models is: its operator chose it, and may have it
/// on this host. SECURITY: B3; its name may still be made to lead to a metadata service.
fn admits_backend(address: IpAddr) -> Result<(), Refusal> {
    match classify(address) {
        AddressClass::Never(_) if !address.to_canonical().is_loopback() => {
            Err(Refusal::own_address(address))
        }
        _ => Ok(()),
    }
}

/// Waits for the end of what allowed a connection over which requests are judged.
pub(crate) struct Watch {
    permit: Permit,
    policies: PolicyWatch,
}

impl Watch {
    pub(crate) fn new(permit: Permit, context: &Context) -> Self {
        let mut policies = context.policy.clone();
        // A policy that came since the permit was given counts as a change.
        if policies.borrow_and_update().state() != permit.state() {
            policies.mark_changed();
        }
        Self { permit, policies }
    }

    /// What allowed it.
    pub(crate) const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Waits until the connection is no longer allowed; see [`Permit::revoked`].
    pub(crate) async fn ended(&mut self) -> (Refusal, Generation) {
        self.permit.revoked(&mut self.policies, None).await
    }
}

/// Where to, as the policy is asked.
pub(crate) fn destination(to: &Authority) -> Destination<'_> {
    match &to.host {
        Host::Name(name) => Destination::Name(name, to.port),
        Host::Address(address) => Destination::Address(address.to_canonical(), to.port),
    }
}

fn ask(
    policy: &PolicyInForce,
    (to, transport): (&Authority, Transport),
    by: &Caller,
) -> Result<Grant, Refusal> {
    let (destination, now) = (destination(to), Timestamp::now());
    let decision = match transport {
        Transport::Tcp => policy.policy.connect(&destination, by, now),
        Transport::Udp => policy.policy.datagram(&destination, by, now),
    };
    granted(policy, to, by, decision)
}

fn granted(
    policy: &PolicyInForce,
    to: &Authority,
    by: &Caller,
    decision: Decision,
) -> Result<Grant, Refusal> {
    match decision {
        Decision::Allow(grant) => Ok(grant),
        Decision::Deny(denial) => {
            let why = policy.policy.explain(&destination(to), Some(by), &decision);
            Err(match denial.predicate {
                Predicate::NeverReachable => Refusal::address(why),
                _ => Refusal::policy(why),
            })
        }
    }
}
