//! Counters of the server, shared by all its streams.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::observation::Observation;
use crate::resource_type::ResourceType;
use crate::response::Response;

/// What all servers of a process count. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Arc<Families>,
}

#[derive(Debug)]
struct Families {
    streams: Family<ProtocolLabel, Gauge>,
    refused_streams: Counter,
    responses: Family<TypeLabel, Counter>,
    resources: Family<TypeLabel, Counter>,
    bytes: Family<TypeLabel, Counter>,
    acks: Family<TypeLabel, Counter>,
    nacks: Family<TypeLabel, Counter>,
    not_ready: Family<TypeLabel, Counter>,
    ack_latency: Family<TypeLabel, Histogram>,
    gate_timeouts: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: &'static str,
}

/// 1 ms to 16 s.
const LATENCY_BUCKETS: [f64; 8] = [0.001, 0.004, 0.016, 0.064, 0.256, 1.0, 4.0, 16.0];

impl Default for Families {
    fn default() -> Self {
        Self {
            streams: Family::default(),
            refused_streams: Counter::default(),
            responses: Family::default(),
            resources: Family::default(),
            bytes: Family::default(),
            acks: Family::default(),
            nacks: Family::default(),
            not_ready: Family::default(),
            ack_latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            gate_timeouts: Counter::default(),
        }
    }
}

impl Metrics {
    /// Adds everything to `registry`, under `xds_`.
    pub fn register(&self, registry: &mut Registry) {
        let all = &self.families;
        let xds = registry.sub_registry_with_prefix("xds");
        xds.register("streams", "Open streams", all.streams.clone());
        xds.register("streams_refused", "Calls that belong to no node group", all.refused_streams.clone());
        xds.register("responses", "Responses sent", all.responses.clone());
        xds.register("resources", "Resources sent", all.resources.clone());
        xds.register_with_unit("response", "Size of responses sent", Unit::Bytes, all.bytes.clone());
        xds.register("acks", "Responses accepted by clients", all.acks.clone());
        xds.register("nacks", "Responses rejected by clients", all.nacks.clone());
        let not_ready =
            "Responses rejected because clients could not use a resource yet, which is sent again";
        xds.register("not_ready", not_ready, all.not_ready.clone());
        let latency = all.ack_latency.clone();
        xds.register_with_unit("ack", "Time from a response to its acceptance", Unit::Seconds, latency);
        let timeouts = all.gate_timeouts.clone();
        xds.register("gate_timeouts", "Routes sent before their clusters were acknowledged", timeouts);
    }

    /// Counts a stream as open until the guard is dropped.
    pub(crate) fn open_stream(&self, protocol: &'static str) -> OpenStream {
        let gauge = self.families.streams.get_or_create_owned(&ProtocolLabel { protocol });
        gauge.inc();
        OpenStream { gauge }
    }

    pub(crate) fn refuse_stream(&self) {
        self.families.refused_streams.inc();
    }

    pub(crate) fn record_response(&self, response: &Response, encoded_len: usize) {
        let label = label(response.resource_type);
        self.families.responses.get_or_create(&label).inc();
        self.families.resources.get_or_create(&label).inc_by(response.resources.len() as u64);
        self.families.bytes.get_or_create(&label).inc_by(encoded_len as u64);
    }

    pub(crate) fn record_observation(&self, observation: &Observation) {
        match observation {
            Observation::Acked { resource_type, latency } => {
                let label = label(*resource_type);
                self.families.acks.get_or_create(&label).inc();
                self.families.ack_latency.get_or_create(&label).observe(latency.as_secs_f64());
            }
            Observation::Nacked(rejection) | Observation::Split(rejection) => {
                self.families.nacks.get_or_create(&label(rejection.resource_type)).inc();
            }
            Observation::NotReady { resource_type, .. } => {
                self.families.not_ready.get_or_create(&label(*resource_type)).inc();
            }
            Observation::GateTimeout { .. } => {
                self.families.gate_timeouts.inc();
            }
            Observation::Accepted { .. } | Observation::InSync { .. } | Observation::Recovered { .. } => {}
        }
    }
}

fn label(kind: ResourceType) -> TypeLabel {
    TypeLabel { r#type: kind.as_str() }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct OpenStream {
    gauge: Gauge,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
