//! Listeners of one port whose hosts overlap, by hostname or by certificate (Gateway API, `OverlappingTLSConfig`; GEP-3567).
//!
//! A client that has a connection to one may send it requests for the other. Such requests are answered 421.

use std::collections::BTreeSet;

use ir::Hostname;

use super::super::listener::{Listener, ListenerProtocol};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Notes with each listener what it has in common with others.
pub(super) fn note(view: &impl View, listeners: &mut [Listener]) {
    let ends_tls = |listener: &&Listener| {
        listener.has_its_port() && listener.protocol.is_some_and(ListenerProtocol::ends_tls)
    };
    let hosts: Vec<Option<Hosts>> =
        listeners.iter().map(|listener| ends_tls(&listener).then(|| Hosts::of(view, listener))).collect();
    let found: Vec<_> = hosts
        .iter()
        .enumerate()
        .map(|(index, mine)| {
            let mine = mine.as_ref()?;
            let others = hosts.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Vec<&Hosts> = others
                .filter_map(|(_, hosts)| hosts.as_ref())
                .filter(|other| other.port == mine.port)
                .collect();
            let named = |common: &dyn Fn(&Hosts) -> bool| -> Vec<&str> {
                others.iter().filter(|other| common(other)).map(|other| other.name.as_str()).collect()
            };
            let by_hostname = named(&|other| other.hostname.intersect(&mine.hostname).is_some());
            if !by_hostname.is_empty() {
                let message = format!("its hostname overlaps with that of {}", by_hostname.join(", "));
                return Some(Rejection::new(Reason::OverlappingHostnames, message));
            }
            let by_certificate = named(&|other| other.shares_certified_names(mine));
            let message =
                format!("its certificates are also for hosts of those of {}", by_certificate.join(", "));
            (!by_certificate.is_empty()).then(|| Rejection::new(Reason::OverlappingCertificates, message))
        })
        .collect();
    for (listener, overlap) in listeners.iter_mut().zip(found) {
        listener.tls.overlap = overlap;
    }
}

/// The hosts of a listener.
struct Hosts {
    name: String,
    port: Option<u16>,
    hostname: Hostname,
    /// Those that its certificates are for.
    certified: BTreeSet<Hostname>,
}

impl Hosts {
    fn of(view: &impl View, listener: &Listener) -> Self {
        let certificates = listener.tls.certificates.iter().filter_map(|secret| view.certificate(secret));
        let names = certificates.flat_map(|certificate| match &certificate.result {
            Ok(facts) => facts.names.clone(),
            Err(_) => Vec::new(),
        });
        Self {
            name: listener.spec.name.clone(),
            port: listener.port,
            hostname: listener.hostname.clone(),
            certified: names.map(|name| Hostname::parse(&name)).collect(),
        }
    }

    fn shares_certified_names(&self, other: &Self) -> bool {
        self.certified.iter().any(|mine| other.certified.iter().any(|its| mine.intersect(its).is_some()))
    }
}
