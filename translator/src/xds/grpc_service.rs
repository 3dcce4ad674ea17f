//! Services of gRPC that proxies send something to.

use ir::GrpcServiceIr;
use proto::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use proto::core::{BackoffStrategy, GrpcService, HeaderValue, RetryPolicy};
use proto::{duration, u32_value};

pub(super) fn build_grpc_service(ir: &GrpcServiceIr) -> GrpcService {
    let GrpcServiceIr {
        cluster,
        authority,
        timeout,
        metadata,
        max_receive_message_length,
        skip_envoy_headers,
        retry,
    } = ir;
    let retry = retry.map(|retry| RetryPolicy {
        retry_back_off: retry.back_off.map(|(base, max)| BackoffStrategy {
            base_interval: Some(duration(base)),
            max_interval: Some(duration(max)),
        }),
        num_retries: retry.retries.map(u32_value),
        ..RetryPolicy::default()
    });
    let target = EnvoyGrpc {
        cluster_name: cluster.to_string(),
        // It would be the name of the cluster, which is none of a host, so that servers refuse it.
        authority: authority.clone(),
        retry_policy: retry,
        max_receive_message_length: max_receive_message_length.map(u32_value),
        skip_envoy_headers: *skip_envoy_headers,
    };
    let metadata = metadata.iter().map(|(key, value)| HeaderValue {
        key: key.clone(),
        value: value.clone(),
        ..HeaderValue::default()
    });
    GrpcService {
        timeout: timeout.map(duration),
        initial_metadata: metadata.collect(),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
        ..GrpcService::default()
    }
}
