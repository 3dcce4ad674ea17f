//! The state-of-the-world protocol.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;

use crate::connection::{Connection, Head, Protocol, private};
use crate::resource_type::ResourceType;
use crate::session::{Form, Session};

/// State of the world: `StreamAggregatedResources`. Clusters and listeners are always listed in full, other
/// types in part.
#[derive(Debug)]
pub struct Sotw;

/// One stream of the state-of-the-world protocol.
pub type SotwConnection = Connection<Sotw>;

impl private::Sealed for Sotw {}

impl Protocol for Sotw {
    type Request = DiscoveryRequest;

    const NAME: &'static str = "sotw";
    const FORM: Form = Form::Sotw;

    fn head(request: &DiscoveryRequest) -> Head<'_> {
        Head {
            type_url: &request.type_url,
            nonce: &request.response_nonce,
            error: request.error_detail.as_ref(),
        }
    }

    fn take_node(request: &mut DiscoveryRequest) -> Option<Node> {
        request.node.take()
    }

    /// A request states the whole subscription anew.
    fn subscribe(session: &mut Session, kind: ResourceType, request: &DiscoveryRequest) {
        let change = session.ledger(kind).subscription.restate(&request.resource_names);
        session.apply(kind, change);
        let ledger = session.ledger(kind);
        if !ledger.opened {
            // A list in full that has this version is all the client could want. Of a type sent in parts
            // the version says nothing: the client may have dropped a part since, and needs it again.
            // (One gap remains: Envoy applies what is good of a list that it rejects, yet still states the
            // version before. If just that comes back while the stream is down, the good part stays.)
            ledger.resume = request.version_info.parse().ok().filter(|_| kind.is_listed_in_full());
            ledger.has_unknown = !request.version_info.is_empty();
            session.open(kind);
        }
    }
}
