//! Where Envoy gets what a message only names: always from the stream that the message came by.

use std::time::Duration;

use proto::core::config_source::ConfigSourceSpecifier;
use proto::core::{AggregatedConfigSource, ApiVersion, ConfigSource};
use proto::duration;
use proto::tls::SdsSecretConfig;

/// How long Envoy holds back a listener or cluster for a resource that it names, before it goes on
/// without. Envoy's own default, written down: for ever would let one lost answer stop a whole fleet
/// from starting.
const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The stream by which everything comes.
pub(super) fn ads() -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: Some(duration(INITIAL_FETCH_TIMEOUT)),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// A secret that comes by that stream.
pub(super) fn sds(name: &ir::SecretName) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_string(), sds_config: Some(ads()) }
}
