//! ListenerSets: their listeners are those of a Gateway, in types of their own.

pub use gateway_api::experimental::listenersets::ListenerSet;
use gateway_api::experimental::listenersets::{
    ListenerSetListeners, ListenerSetListenersAllowedRoutes, ListenerSetListenersAllowedRoutesNamespacesFrom,
    ListenerSetListenersTls, ListenerSetListenersTlsMode,
};

use super::GROUP;
use super::gateways::{
    GatewayListeners, GatewayListenersAllowedRoutes, GatewayListenersAllowedRoutesKinds,
    GatewayListenersAllowedRoutesNamespaces, GatewayListenersAllowedRoutesNamespacesFrom,
    GatewayListenersAllowedRoutesNamespacesSelector,
    GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions, GatewayListenersTls,
    GatewayListenersTlsCertificateRefs, GatewayListenersTlsMode,
};
use crate::NamespacedName;

/// Where a ListenerSet is.
pub fn name(set: &ListenerSet) -> NamespacedName {
    let metadata = &set.metadata;
    NamespacedName::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// The Gateway that a ListenerSet adds listeners to; `None` if its parent is of another kind.
pub fn gateway(set: &ListenerSet) -> Option<NamespacedName> {
    let parent = &set.spec.parent_ref;
    let group = parent.group.as_deref().unwrap_or(GROUP);
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let own = set.metadata.namespace.as_deref().unwrap_or_default();
    (group == GROUP && kind == "Gateway")
        .then(|| NamespacedName::new(parent.namespace.as_deref().unwrap_or(own), &parent.name))
}

/// Its listeners, as a Gateway has them. Taken apart member by member, so that one that a newer version adds is an
/// error of the compiler.
pub fn listeners(set: &ListenerSet) -> impl Iterator<Item = GatewayListeners> {
    set.spec.listeners.iter().cloned().map(|listener| {
        let ListenerSetListeners { allowed_routes, hostname, name, port, protocol, tls } = listener;
        GatewayListeners {
            allowed_routes: allowed_routes.map(routes),
            hostname,
            name,
            port,
            protocol,
            tls: tls.map(self::tls),
        }
    })
}

fn routes(allowed: ListenerSetListenersAllowedRoutes) -> GatewayListenersAllowedRoutes {
    use ListenerSetListenersAllowedRoutesNamespacesFrom as From;
    let ListenerSetListenersAllowedRoutes { kinds, namespaces } = allowed;
    let kinds = kinds.map(|kinds| {
        let kinds = kinds.into_iter();
        kinds.map(|kind| GatewayListenersAllowedRoutesKinds { group: kind.group, kind: kind.kind }).collect()
    });
    let namespaces = namespaces.map(|namespaces| GatewayListenersAllowedRoutesNamespaces {
        from: namespaces.from.map(|from| match from {
            From::All => GatewayListenersAllowedRoutesNamespacesFrom::All,
            From::Selector => GatewayListenersAllowedRoutesNamespacesFrom::Selector,
            From::Same => GatewayListenersAllowedRoutesNamespacesFrom::Same,
        }),
        selector: namespaces.selector.map(|selector| GatewayListenersAllowedRoutesNamespacesSelector {
            match_expressions: selector.match_expressions.map(|expressions| {
                let expressions = expressions.into_iter();
                expressions
                    .map(|expression| GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions {
                        key: expression.key,
                        operator: expression.operator,
                        values: expression.values,
                    })
                    .collect()
            }),
            match_labels: selector.match_labels,
        }),
    });
    GatewayListenersAllowedRoutes { kinds, namespaces }
}

fn tls(tls: ListenerSetListenersTls) -> GatewayListenersTls {
    let ListenerSetListenersTls { certificate_refs, mode, options } = tls;
    let certificate_refs = certificate_refs.map(|references| {
        let references = references.into_iter();
        references
            .map(|reference| GatewayListenersTlsCertificateRefs {
                group: reference.group,
                kind: reference.kind,
                name: reference.name,
                namespace: reference.namespace,
            })
            .collect()
    });
    let mode = mode.map(|mode| match mode {
        ListenerSetListenersTlsMode::Terminate => GatewayListenersTlsMode::Terminate,
        ListenerSetListenersTlsMode::Passthrough => GatewayListenersTlsMode::Passthrough,
    });
    GatewayListenersTls { certificate_refs, mode, options }
}
