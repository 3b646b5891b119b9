//! Wrong meanings, one sentence of the page changed in each. The questions have to tell every one
//! of them from the right meaning; that shows what a comparison with the compiled policy can find.

macro_rules! mutants {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// One sentence of the page, read wrongly.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[doc = $what])+ $name,)+
        }

        impl Mutant {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

mutants! {
    // Text.
    /// `*` in a path crosses `/`.
    StarCrossesSlash,
    /// `**` in a path does not cross `/`.
    DoubleStarStays,
    /// `*` in other strings stops at `/`.
    StringStarStopsAtSlash,
    /// `*` in other strings stops at `.`, as in another engine.
    StringStarStopsAtDot,
    /// `/x/**` matches `/x`, too.
    DoubleStarMatchesFolder,
    /// Braces are ordinary characters.
    BracesAreText,
    /// `*` in a host spans labels.
    HostStarSpansLabels,
    /// `**` in a host stands for one label.
    HostDoubleStarIsOne,
    /// A host wildcard matches its apex.
    WildcardMatchesApex,
    /// A host wildcard matches the host's alias.
    WildcardMatchesAlias,
    /// Host patterns are compared in their letter case.
    HostCaseMatters,
    // Connections.
    /// Of a range of ports only the first counts.
    RangesAreTheirFirst,
    /// The end of a range does not belong to it.
    RangesExcludeTheirLast,
    /// A literal binary matches by its path.
    LiteralMatchesByPath,
    /// A path is bound to one file at most.
    OneFileAPath,
    /// A digest is not looked at.
    DigestIgnored,
    /// An unknown digest equals any.
    UnknownDigestEquals,
    /// Every binary covers descendants.
    DescendantsAlways,
    /// No binary does.
    DescendantsNever,
    /// Only the parent counts as ancestor.
    ParentOnly,
    /// A digest may be another program's than the path.
    DigestOfAnyProgram,
    /// The moment of `until` still belongs to it.
    UntilIncludesItsMoment,
    /// `until` is not looked at.
    UntilIgnored,
    /// Transport is not looked at.
    TransportIgnored,
    /// A hostless endpoint covers names.
    HostlessCoversNames,
    /// `allowed_ips` beside a host allows addresses.
    ListBesideHostCovers,
    /// No address is never reachable.
    EverythingReachable,
    /// The grant names the first rule, however constrained.
    GrantIgnoresRank,
    /// `allowed_ips` constrains the host's alias.
    ListConstrainsAlias,
    /// The grant names the last of equals.
    GrantNamesLast,
    /// Names of rules order them, not their keys.
    NamesOrderRules,
    /// The denial names the first predicate of the first endpoint.
    DenialNamesFirst,
    // Requests: denials and specificity.
    /// Denying rules do nothing.
    DenyLoses,
    /// The most specific endpoints' denying rules count only.
    DenyOfKeptOnly,
    /// Every endpoint decides.
    SpecificityIgnored,
    /// The least specific endpoints decide.
    LeastSpecificDecides,
    /// The longer text is more specific.
    LongerIsMoreSpecific,
    /// Texts that differ may be equally specific.
    TextBreaksNoTie,
    /// Braces have the specificity of their longest alternative, matching or not.
    BracesCountTogether,
    /// An endpoint's `path` is not looked at.
    EndpointPathIgnored,
    /// An endpoint without requests to judge always lets pass.
    OpaqueAlwaysDecides,
    /// An endpoint without requests to judge never does.
    OpaqueNeverDecides,
    /// Every content is plain to rest.
    RestJudgesEverything,
    /// A denying rest rule sees plain content only.
    RestDeniesPlainOnly,
    /// A websocket endpoint judges any plain request.
    WebSocketJudgesEveryMethod,
    /// `enforcement: audit` is not looked at.
    AuditIgnored,
    /// `audit` is the default.
    AuditIsDefault,
    /// One kept endpoint with `audit` is enough.
    OneAuditIsEnough,
    /// A denial that is only noted ends the search.
    NotedDenialEnds,
    /// The first denying rule is decisive, although it is only to be noted.
    FirstDenialDecides,
    /// A request to no endpoint's path is only noted.
    OtherPathsAreNoted,
    /// A request may follow where a connection may not.
    RequestIgnoresConnection,
    // Requests: fields.
    /// One matching field is enough.
    OneFieldIsEnough,
    /// HEAD has to be named.
    HeadIsNotGet,
    /// A denial of GET denies HEAD.
    DeniedGetDeniesHead,
    /// `*` is every method.
    StarIsEveryMethod,
    /// A request's method is read without regard to case.
    MethodIgnoresCase,
    /// A rule's method is compared as written.
    RuleMethodKeepsCase,
    /// A name without a value passes.
    MissingNamePasses,
    /// For allowing one matching value is enough.
    AllowingByOneValue,
    /// For denying every value has to match.
    DenyingByEveryValue,
    /// Of `any` only the first pattern counts.
    FirstOfAny,
    /// All patterns of `any` have to match.
    EveryOfAny,
    /// A rule's header names are compared as written.
    HeaderNamesKeepCase,
    /// Denials compare paths exactly.
    DenialsExact,
    /// Denials compare paths as they are encoded.
    DenialsUndecoded,
    /// An encoded slash stops `*` in a denial.
    EncodedSlashStopsStar,
    /// Patterns of paths are compared in the spelling of the text.
    PatternsKeepTheirSpelling,
    /// Denials compare names of a query exactly.
    QueryNamesExact,
    /// Brackets behind a key of a query make it another one.
    BracketsCount,
    /// Allowing rules ignore case of paths.
    AllowingIgnoresCase,
    /// `path_case: sensitive` is not looked at.
    SensitiveIgnored,
    /// `path_case: insensitive` is not looked at.
    InsensitiveIgnored,
    // Requests: presets.
    /// `read-write` allows DELETE.
    ReadWriteDeletes,
    /// `read-only` forgets HEAD and OPTIONS.
    ReadOnlyIsGet,
    /// `read-only` lets messages pass.
    ReadOnlySends,
    /// `read-only` lets mutations pass.
    ReadOnlyMutates,
    /// `read-write` lets subscriptions pass.
    ReadWriteSubscribes,
    // Requests: operations and calls.
    /// One allowed operation or call of several is enough.
    OneOfBatchIsEnough,
    /// One rule has to match all operations or calls.
    OneRuleForBatch,
    /// A denying rule has to match all operations or calls.
    DenyingNeedsWholeBatch,
    /// An empty batch passes.
    EmptyBatchPasses,
    /// One allowed root field is enough.
    OneRootFieldIsEnough,
    /// An operation without root fields passes any list of them.
    NoRootFieldIsEnough,
    /// Every root field has to be denied.
    DenyingEveryRootField,
    /// The name of an operation is not looked at.
    OperationNameIgnored,
    /// Registered hashes are unknown.
    HashesAreUnknown,
    /// An unregistered hash passes as a nameless query.
    UnregisteredIsQuery,
    /// An unregistered hash is not denied by rules with GraphQL fields.
    UnknownHashEscapesDenials,
    /// Control messages need a rule without GraphQL fields.
    ControlNeverPasses,
    /// Every message passes rules with GraphQL fields.
    TextPassesOperationRules,
    /// Messages without operations are not denied by rules with GraphQL fields.
    TextEscapesDenials,
    /// Rules with GraphQL fields let the upgrade pass.
    OperationRulesUpgrade,
    /// Tool names are never strict.
    ToolNamesLoose,
    /// Tool names are always strict.
    ToolNamesStrict,
    /// No tool is a good name.
    NoToolIsGoodName,
    /// All known methods include `tools/call` beside rules for it.
    KnownIncludesNarrowed,
    /// All known methods are all methods.
    KnownIsEvery,
    /// Rules for `tools/call` are those that name it literally.
    NarrowedByLiteralOnly,
    /// `service` is not looked at.
    ServiceIgnored,
    /// A path that is no gRPC call passes `full`.
    FullTakesAnyPath,
    /// The answer names the last rule that matched.
    LastClauseNamed,
    /// The answer names the last endpoint that allows.
    LastEndpointNamed,
}
