//! Conditions as typed facts: which types and reasons exist, and which value is the good one.

use std::borrow::Cow;
use std::fmt;

use super::{Detail, Rejection, joined};

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every one, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names!(
    /// The type of a condition, in Gateway API's words.
    ConditionType {
        /// The object is valid and taken.
        Accepted,
        /// Everything that it refers to exists and may be used.
        ResolvedRefs,
        /// The proxies have it.
        Programmed,
        /// A policy has an effect.
        Attached,
        /// It stands in conflict with another one (a bad sign when true).
        Conflicted,
        /// A part of it is not used (a bad sign when true).
        PartiallyInvalid,
        /// The CRDs are of a release of Gateway API that is supported.
        SupportedVersion,
        /// Hostnames or certificates of listeners on one port overlap, so that clients may use one's connection for the
        /// other's hosts. They get 421, and ask again.
        OverlappingTLSConfig,
        /// Clients with invalid certificates are let in, as asked for.
        InsecureFrontendValidationMode,
        /// All that may be spent of a budget is spent.
        Exhausted,
    }
);

names!(
    /// Why a condition is as it is, in Gateway API's words where it has one.
    Reason {
        /// Good: taken.
        Accepted,
        /// Good: every reference resolves.
        ResolvedRefs,
        /// Good: on the proxies.
        Programmed,
        /// Good: no conflict.
        NoConflicts,
        /// Good: a policy has an effect.
        Attached,
        /// Good: the CRDs are of a release that is supported.
        SupportedVersion,
        /// Good: not all that may be spent is spent.
        WithinLimit,
        /// Good: a policy has an effect together with others, or in part.
        Merged,
        /// The proxies cannot do what needs the AI engine.
        AiEngineUnavailable,
        /// A setting is in use that is worth knowing.
        ConfigurationChanged,
        /// Another policy of the same target comes first.
        Conflicted,
        /// No address has been given yet.
        AddressNotAssigned,
        /// The address is taken or cannot be had.
        AddressNotUsable,
        /// A referenced backend does not exist.
        BackendNotFound,
        /// A filter of a route refers to an object that does not exist.
        FilterNotFound,
        /// Two listeners want the same hosts on one port.
        HostnameConflict,
        /// Filters that exclude each other.
        IncompatibleFilters,
        /// A fault of the control plane.
        InternalError,
        /// The object cannot be used, as its message says.
        Invalid,
        /// A backend is to be reached with TLS by a policy that is not valid.
        InvalidBackendTLS,
        /// Certificate authorities of a kind that is not known here.
        InvalidCACertificateKind,
        /// Certificate authorities that do not exist or cannot be read.
        InvalidCACertificateRef,
        /// A certificate cannot be used.
        InvalidCertificateRef,
        /// The certificate that is shown to backends cannot be used.
        InvalidClientCertificateRef,
        /// A reference to a kind that is not known here.
        InvalidKind,
        /// A filter of a listener makes no sense.
        InvalidListenerFilter,
        /// A filter of a listener refers to what cannot be used.
        InvalidListenerFilterRef,
        /// Parameters that cannot be used.
        InvalidParameters,
        /// A listener allows a kind of route that it cannot have.
        InvalidRouteKinds,
        /// All that may be spent is spent.
        LimitReached,
        /// At least one listener is not valid.
        ListenersNotValid,
        /// None of the backends that a policy applies to is one that it has an effect on.
        NoAffectedBackend,
        /// No proxy is ready to serve.
        NoResources,
        /// No certificate authorities are left.
        NoValidCACertificate,
        /// The Gateway does not let this ListenerSet add listeners.
        NotAllowed,
        /// No listener of the parent allows this route.
        NotAllowedByListeners,
        /// No listener of the parent has a common hostname with this route.
        NoMatchingListenerHostname,
        /// The parent has no such listener.
        NoMatchingParent,
        /// Two listeners on a port have certificates for the same hosts.
        OverlappingCertificates,
        /// Two listeners on a port have hosts in common.
        OverlappingHostnames,
        /// All that a policy says is said by policies that go before it.
        Overridden,
        /// The Gateway of a ListenerSet is not accepted.
        ParentNotAccepted,
        /// Not on any proxy yet.
        Pending,
        /// The proxy cannot bind the port.
        PortUnavailable,
        /// Two listeners want different protocols on one port.
        ProtocolConflict,
        /// The reference crosses namespaces and no ReferenceGrant permits it.
        RefNotPermitted,
        /// A proxy refused the configuration.
        RejectedByProxy,
        /// A referenced Secret does not exist.
        SecretNotFound,
        /// A referenced Secret does not hold what is needed.
        SecretInvalid,
        /// A target of a policy does not exist.
        TargetNotFound,
        /// An address of a type that cannot be served.
        UnsupportedAddress,
        /// A protocol that cannot be served.
        UnsupportedProtocol,
        /// A field or value that is not supported yet.
        UnsupportedValue,
        /// The CRDs are of a release of Gateway API that is not supported.
        UnsupportedVersion,
    }
);

/// One condition of a status, without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: ConditionType,
    /// `True` or `False`.
    pub status: bool,
    /// Why.
    pub reason: Reason,
    /// What to tell a person: object and field, and what to do.
    pub message: Cow<'static, str>,
    /// The same thing by thing, where it is about fields or more than one thing. Of a condition that says that all is
    /// well: what is to be mended all the same.
    pub details: Box<[Detail]>,
    /// Whether it says no more than another condition of the object or of a listener does.
    pub is_consequence: bool,
}

impl ConditionType {
    /// The value that this condition has when all is well.
    pub fn good(self) -> bool {
        match self {
            Self::Accepted
            | Self::ResolvedRefs
            | Self::Programmed
            | Self::Attached
            | Self::SupportedVersion => true,
            Self::Conflicted
            | Self::PartiallyInvalid
            | Self::OverlappingTLSConfig
            | Self::InsecureFrontendValidationMode
            | Self::Exhausted => false,
        }
    }

    /// Whether it only points something out: what it says is as the user has it.
    fn is_notice(self) -> bool {
        matches!(self, Self::OverlappingTLSConfig | Self::InsecureFrontendValidationMode | Self::Exhausted)
    }
}

impl Condition {
    /// A condition that says that all is well.
    pub fn good(kind: ConditionType, reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::plain(kind, kind.good(), reason, message.into())
    }

    /// A condition that says that something is wrong.
    pub fn bad(kind: ConditionType, reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::plain(kind, !kind.good(), reason, message.into())
    }

    /// A condition that says that something is wrong, and at which fields.
    pub fn faults(kind: ConditionType, reason: Reason, details: Vec<Detail>) -> Self {
        let message = joined(&details);
        Self { details: details.into(), ..Self::bad(kind, reason, message) }
    }

    /// The same for one thing.
    pub(crate) fn rejected(kind: ConditionType, rejection: &Rejection) -> Self {
        Self::faults(kind, rejection.reason, vec![rejection.detail.clone()])
    }

    /// Whether all references resolve: a reason and what is wrong where some do not.
    pub(crate) fn resolved_refs(reason: Option<Reason>, details: Vec<Detail>) -> Self {
        match reason {
            None => Self::good(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "every reference resolves"),
            Some(reason) => Self::faults(ConditionType::ResolvedRefs, reason, details),
        }
    }

    /// The same with things that are to be mended all the same.
    #[must_use]
    pub(crate) fn with_notes(self, notes: &[Detail]) -> Self {
        let words = notes.iter().map(|note| format!("; note: {note}"));
        let message = std::iter::once(self.message.to_string()).chain(words).collect::<String>();
        Self { message: message.into(), details: notes.into(), ..self }
    }

    /// The same with other words in the status.
    #[must_use]
    pub(crate) fn in_words(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same as something that follows from what another condition says.
    #[must_use]
    pub(crate) fn following(self) -> Self {
        Self { is_consequence: true, ..self }
    }

    fn plain(kind: ConditionType, status: bool, reason: Reason, message: Cow<'static, str>) -> Self {
        Self { kind, status, reason, message, details: Box::default(), is_consequence: false }
    }

    /// Whether it says that something is wrong.
    pub fn is_problem(&self) -> bool {
        self.status != self.kind.good() && !self.kind.is_notice()
    }

    /// Whether it says that something is wrong which no other condition says.
    pub fn says_something_wrong(&self) -> bool {
        self.is_problem() && !self.is_consequence
    }
}
