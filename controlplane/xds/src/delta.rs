//! The delta protocol.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::connection::{Connection, Head, Protocol, private};
use crate::resource_type::ResourceType;
use crate::session::{Form, Session};

/// Increments, with removals: `DeltaAggregatedResources`.
#[derive(Debug)]
pub struct Delta;

/// One stream of the delta protocol.
pub type DeltaConnection = Connection<Delta>;

impl private::Sealed for Delta {}

impl Protocol for Delta {
    type Request = DeltaDiscoveryRequest;

    const NAME: &'static str = "delta";
    const FORM: Form = Form::Delta;

    fn head(request: &DeltaDiscoveryRequest) -> Head<'_> {
        Head {
            type_url: &request.type_url,
            nonce: &request.response_nonce,
            error: request.error_detail.as_ref(),
        }
    }

    fn take_node(request: &mut DeltaDiscoveryRequest) -> Option<Node> {
        request.node.take()
    }

    fn subscribe(session: &mut Session, kind: ResourceType, request: &DeltaDiscoveryRequest) {
        let (subscribe, unsubscribe) =
            (&request.resource_names_subscribe, &request.resource_names_unsubscribe);
        let ledger = session.ledger(kind);
        if ledger.opened {
            let change = ledger.subscription.change_delta(subscribe, unsubscribe);
            session.apply(kind, change);
        } else {
            let change = ledger.subscription.begin_delta(subscribe, unsubscribe);
            session.apply(kind, change);
            session.ledger(kind).adopt(request.initial_resource_versions.iter());
            session.open(kind);
        }
    }
}
