//! Objects that one replica of the control plane hands on to another that cannot read them.

use serde_json::Value;

use super::{Kind, Object};

/// Says of every kind whether its objects are handed on, so that a new one is not forgotten.
macro_rules! handed_on {
    (yes: $($yes:ident)+; no: $($no:ident)+;) => {
        impl Kind {
            /// Whether objects of the kind can be handed on to who cannot read them: those of which
            /// [`Object::to_document`] makes a document.
            pub fn is_handed_on(self) -> bool {
                match self {
                    $(Self::$yes)|+ => true,
                    $(Self::$no)|+ => false,
                }
            }
        }

        impl Object {
            /// The object as it could be read again, of what was kept of it; `None` for kinds that nobody hands on: Secrets,
            /// what says where Services run, GatewayClasses and Gateways.
            pub fn to_document(&self) -> Option<Value> {
                match self {
                    $(Self::$yes(object) => serde_json::to_value(object).ok(),)+
                    $(Self::$no(_))|+ => None,
                }
            }
        }
    };
}

handed_on! {
    yes: Namespace ConfigMap CustomResourceDefinition ReferenceGrant BackendTlsPolicy Backend BackendConfigPolicy Budget DirectResponse GatewayExtension
        GatewayParameters GlooGatewayParameters HttpListenerOption HttpListenerPolicy ListenerOption ListenerSet PriceList RateLimitConfig
        RouteOption TrafficPolicy
        Upstream VirtualHostOption VirtualKey XBackend HttpRoute GrpcRoute TcpRoute TlsRoute UdpRoute;
    no: Secret Service EndpointSlice GatewayClass Gateway;
}
