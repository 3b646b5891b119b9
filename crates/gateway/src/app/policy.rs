//! Policies: checked here with the crate that the supervisor enforces them with.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use openshell_policy::{
    Applied, Diagnostic, Difference, Document, MergeError, Operation, Policy, parse,
};
use openshell_types::WorkspaceName;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{App, AppError};
use crate::compose::bound::{Bound, Unbindable, unbindable};
use crate::compose::compose;
use crate::compose::route::RULE_PREFIX;
use crate::limits::{POLICY_EDIT_RETRIES, POLICY_TEXT, POLICY_WAIT};
use crate::store::rows::policy::{NewRevision, Revision, Status, Unchanged};
use crate::store::rows::provider::Attached;
use crate::store::rows::sandbox::Sandbox;

/// The policy of a sandbox that was given none: the default view, and no network.
pub(crate) const DEFAULT: &str = "version: 1\n";

/// A policy text after its check.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It can be put in force.
    Good(NewRevision, Vec<Diagnostic>),
    /// It cannot: all that was found.
    Refused(Vec<Diagnostic>),
}

/// Checks a policy text.
fn check(text: &str) -> Result<Checked, AppError> {
    if text.len() > POLICY_TEXT {
        return Err(AppError::invalid("policy", format!("more than {POLICY_TEXT} bytes")));
    }
    not_ours(text)?;
    Ok(match Policy::compile(text) {
        // SECURITY: the egress would let through what such rules are to stop.
        Ok((policy, mut findings)) if policy.unenforced().is_some() => {
            findings.extend(policy.unenforced().cloned());
            Checked::Refused(findings)
        }
        Ok((policy, findings)) => {
            let revision = NewRevision {
                digest: policy.digest().to_string(),
                text: text.to_owned(),
                created_ms: Timestamp::now().as_millisecond(),
            };
            Checked::Good(revision, findings)
        }
        Err(findings) => Checked::Refused(findings),
    })
}

/// Refuses keys of rules that the routes of model calls have: they say who may use these.
fn not_ours(text: &str) -> Result<(), AppError> {
    // Without either in its text there is no such key: large policies are not read twice.
    if !text.contains(RULE_PREFIX) && !text.contains('\\') {
        return Ok(());
    }
    let Some(document) = parse(text).document else { return Ok(()) };
    match document.rule_keys().find(|(key, _)| key.starts_with(RULE_PREFIX)) {
        None => Ok(()),
        Some((key, at)) => Err(AppError::invalid(
            "policy",
            format!(
                "line {}: the rule `{key}` needs another key: those that begin with `{RULE_PREFIX}` \
                 belong to the routes of `openshell inference`",
                at.line
            ),
        )),
    }
}

/// What shall be done with a policy that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Nothing: it was to be checked.
    Check,
    /// Store it and push it to the supervisor.
    Store,
    /// And return when it is enforced or refused there, or the time is over.
    Wait(Duration),
}

/// What became of a policy that was set.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was stored, and is or is not in force yet.
    Stored { revision: Revision, findings: Vec<Diagnostic>, difference: Option<Compared> },
    /// It was only checked.
    Checked { findings: Vec<Diagnostic>, difference: Option<Compared> },
    /// It has errors; nothing was changed.
    Refused(Vec<Diagnostic>),
}

/// What a policy says other than another revision.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) revision: u32,
    pub(crate) difference: Difference,
}

/// What came of an edit.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) outcome: EditOutcome,
    /// What was not done as it was asked.
    pub(crate) warnings: Vec<String>,
    /// The text that came out.
    pub(crate) text: String,
}

/// What became of an edited policy.
#[derive(Debug)]
pub(crate) enum EditOutcome {
    /// As of one that was set.
    Made(Outcome),
    /// The revision says all that already.
    Unchanged(Revision),
}

impl App {
    /// Checks a policy text for a sandbox of a workspace that has these providers.
    pub(super) async fn check_policy(
        &self,
        workspace: &WorkspaceName,
        text: &str,
        attached: &[Attached],
    ) -> Result<Checked, AppError> {
        let checked = check(text)?;
        let Checked::Good(revision, mut findings) = checked else { return Ok(checked) };
        let bound = Bound::of(text);
        let Some(document) = bound.document() else {
            return Ok(Checked::Good(revision, findings));
        };
        let mut missing: BTreeMap<&str, Unbindable> = BTreeMap::new();
        let of = |name: &str| attached.iter().map(|one| &one.provider).find(|one| one.name == name);
        for name in document.bound_endpoints().filter_map(|(_, view)| view.provider) {
            if of(name).is_none() && !missing.contains_key(name) {
                let is_there = self.store.provider(workspace, name).await?.is_some();
                missing.insert(name, not_attached(name, is_there));
            }
        }
        let errors = document.unbindable(|view| {
            let name = view.provider?;
            of(name).map_or_else(|| missing.get(name).cloned(), |own| unbindable(own, view))
        });
        if errors.is_empty() {
            return Ok(Checked::Good(revision, findings));
        }
        findings.extend(errors);
        Ok(Checked::Refused(findings))
    }

    /// Sets the policy of a sandbox.
    pub(crate) async fn set_policy(
        &self,
        sandbox: &Sandbox,
        text: &str,
        commit: Commit,
        unchanged: Unchanged,
    ) -> Result<Outcome, AppError> {
        let attached = self.attached(sandbox).await?;
        let checked = self.check_policy(&sandbox.workspace, text, &attached).await?;
        let (new, findings) = match checked {
            Checked::Good(new, findings) => (new, findings),
            Checked::Refused(findings) => return Ok(Outcome::Refused(findings)),
        };
        may_change(sandbox)?;
        let in_force = (sandbox.enforced_revision > 0).then_some(sandbox.enforced_revision);
        let before = self.store.revision(&sandbox.id, in_force).await?;
        let difference = before.and_then(|before| compare(&before, text));
        if commit == Commit::Check {
            return Ok(Outcome::Checked { findings, difference });
        }
        match self.put(sandbox, new, commit, unchanged).await? {
            Some(revision) => Ok(Outcome::Stored { revision, findings, difference }),
            None => {
                let current = self.sandbox_by_id(&sandbox.id).await?.resource_version;
                Err(AppError::Conflict { current })
            }
        }
    }

    /// Edits the newest policy of a sandbox: all operations or none. `operations` makes them for a
    /// revision; they are made anew when another one comes in between.
    pub(crate) async fn edit_policy(
        &self,
        sandbox: &Sandbox,
        operations: impl Fn(&Revision) -> Result<Vec<Operation>, AppError> + Send + Sync,
        commit: Commit,
        resource_version: Option<u64>,
    ) -> Result<Edited, AppError> {
        may_change(sandbox)?;
        for _ in 0..=POLICY_EDIT_RETRIES {
            let newest = self.revision(sandbox, None).await?.number;
            let base = self.store.revision_to_edit(&sandbox.id).await?;
            let base = base.ok_or_else(|| AppError::no_sandbox(sandbox.name.as_str()))?;
            let operations = operations(&base)?;
            let (before, after) = match apply(&base, &operations)? {
                Ok(applied) => applied,
                Err(findings) => return Ok(Edited::refused(findings)),
            };
            let (text, warnings) = (after.document.formatted(), after.warnings);
            let edited = |outcome| Edited { outcome, warnings, text: text.clone() };
            if !after.changed {
                let changes = self.registry.state(&sandbox.id);
                let revision = self.settled(sandbox, base.number, commit, changes).await?;
                return Ok(edited(EditOutcome::Unchanged(revision)));
            }
            let attached = self.attached(sandbox).await?;
            let checked = self.check_policy(&sandbox.workspace, &text, &attached).await?;
            let (new, findings) = match checked {
                Checked::Good(new, findings) => (new, findings),
                Checked::Refused(findings) => {
                    return Ok(edited(EditOutcome::Made(Outcome::Refused(findings))));
                }
            };
            let difference = Difference::between(&before, &after.document);
            let difference = Some(Compared { revision: base.number, difference });
            if commit == Commit::Check {
                let checked = Outcome::Checked { findings, difference };
                return Ok(edited(EditOutcome::Made(checked)));
            }
            let unchanged = Unchanged { newest: Some(newest), resource_version };
            if let Some(revision) = self.put(sandbox, new, commit, unchanged).await? {
                let stored = Outcome::Stored { revision, findings, difference };
                return Ok(edited(EditOutcome::Made(stored)));
            }
            let current = self.sandbox_by_id(&sandbox.id).await?.resource_version;
            if resource_version.is_some_and(|expected| expected != current) {
                return Err(AppError::Conflict { current });
            }
        }
        let current = self.sandbox_by_id(&sandbox.id).await?.resource_version;
        Err(AppError::Conflict { current })
    }

    /// Stores a policy and pushes it to the sandbox's supervisor. `None`: something is no longer as
    /// it must be.
    async fn put(
        &self,
        sandbox: &Sandbox,
        new: NewRevision,
        commit: Commit,
        unchanged: Unchanged,
    ) -> Result<Option<Revision>, AppError> {
        let changes = self.registry.state(&sandbox.id);
        let stored = self.store.add_revision(&sandbox.id, &new, unchanged).await?;
        let Some(number) = stored else { return Ok(None) };
        tracing::info!(sandbox = %sandbox.name, revision = number, "Policy set");
        if let Some(session) = self.registry.session(&sandbox.id) {
            match compose(&self.store, &sandbox.id).await.map(|own| own.into_message(&self.vault)) {
                Ok(Ok(message)) => session.push(message).await,
                Ok(Err(error)) | Err(error) => {
                    // As if the supervisor had found it.
                    let error = error.to_string();
                    self.store.fail_revision(&sandbox.id, number, &error).await?;
                }
            }
        }
        self.registry.changed(&sandbox.id);
        self.settled(sandbox, number, commit, changes).await.map(Some)
    }

    /// A revision: at once, or when it is enforced or refused, or the time for that is over.
    async fn settled(
        &self,
        sandbox: &Sandbox,
        number: u32,
        commit: Commit,
        mut changes: watch::Receiver<u64>,
    ) -> Result<Revision, AppError> {
        let patience = match commit {
            Commit::Wait(patience) => Some(patience.min(POLICY_WAIT)),
            Commit::Store | Commit::Check => None,
        };
        let deadline = Instant::now().checked_add(patience.unwrap_or_default());
        let deadline = deadline.unwrap_or_else(Instant::now);
        loop {
            let revision = self.revision(sandbox, Some(number)).await?;
            let waits = patience.is_some() && revision.status == Status::Pending;
            if !waits || !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return Ok(revision);
            }
        }
    }

    /// One revision of a sandbox's policy, or the newest.
    pub(crate) async fn revision(
        &self,
        sandbox: &Sandbox,
        number: Option<u32>,
    ) -> Result<Revision, AppError> {
        self.store.revision(&sandbox.id, number).await?.ok_or_else(|| AppError::NotFound {
            kind: "policy revision",
            name: number.map_or_else(|| "newest".to_owned(), |number| number.to_string()),
        })
    }
}

impl Edited {
    /// An edit whose document cannot be. What was found has no place in any text of the caller's.
    fn refused(findings: Vec<Diagnostic>) -> Self {
        let placeless = |finding| Diagnostic { line: 0, column: 0, ..finding };
        let findings = findings.into_iter().map(placeless).collect();
        let outcome = EditOutcome::Made(Outcome::Refused(findings));
        Self { outcome, warnings: Vec::new(), text: String::new() }
    }
}

/// Why a provider that the sandbox does not have cannot be bound.
fn not_attached(name: &str, is_there: bool) -> Unbindable {
    if is_there {
        let help = format!(
            "`openshell sandbox provider attach SANDBOX {name}`, or `--provider {name}` at `openshell \
             sandbox create`"
        );
        return (format!("the provider `{name}` is not attached to the sandbox"), help);
    }
    let help = format!("`openshell provider create --name {name} --type generic --credential KEY`");
    (format!("there is no provider `{name}`"), help)
}

fn may_change(sandbox: &Sandbox) -> Result<(), AppError> {
    if sandbox.observed.phase.is_last() {
        return Err(AppError::Precondition(format!(
            "the sandbox is {}: no policy can come into force",
            if sandbox.observed.exit_code.is_some() { "completed" } else { "not running" }
        )));
    }
    Ok(())
}

/// `None` when one of the two cannot be read: an older gateway stored it.
fn compare(before: &Revision, text: &str) -> Option<Compared> {
    let difference = Difference::between(&parse(&before.text).document?, &parse(text).document?);
    Some(Compared { revision: before.number, difference })
}

/// The document before and what the operations make of it, or what would be wrong with that.
fn apply(
    base: &Revision,
    operations: &[Operation],
) -> Result<Result<(Document, Applied), Vec<Diagnostic>>, AppError> {
    let Some(before) = parse(&base.text).document else {
        return Err(AppError::Precondition(format!(
            "revision {} cannot be edited: this version finds errors in it",
            base.number
        )));
    };
    match before.apply(operations) {
        Ok(after) => Ok(Ok((before, after))),
        Err(MergeError::Invalid(findings)) => Ok(Err(findings)),
        Err(MergeError::Refused { operation, reason }) => {
            let what = operations.get(operation).map(ToString::to_string).unwrap_or_default();
            Err(AppError::Precondition(format!("cannot {what}: {reason}")))
        }
    }
}
