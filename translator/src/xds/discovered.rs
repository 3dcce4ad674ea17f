//! Filters that listeners only name, and that come apart from them (ECDS): no listener changes when such a filter does,
//! so that connections go on.

use proto::core::ExtensionConfigSource;
use proto::fault::{FaultAbort, HttpFault, fault_abort};
use proto::hcm::{HttpFilter, http_filter};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;
use proto::{pack, type_url};

use super::config_source::ads;

/// A filter of type `M` that is disabled but for the routes that enable it.
pub(super) fn discovered_filter<M: prost::Name>(name: &str) -> HttpFilter {
    let discovery = ExtensionConfigSource {
        config_source: Some(ads()),
        // In place of a filter that does not come or is refused: never does a request pass that it should have seen.
        default_config: Some(pack(&answer_500())),
        type_urls: vec![type_url::<M>(), type_url::<HttpFault>()],
        ..ExtensionConfigSource::default()
    };
    HttpFilter {
        name: name.to_owned(),
        disabled: true,
        config_type: Some(http_filter::ConfigType::ConfigDiscovery(discovery)),
        ..HttpFilter::default()
    }
}

/// Answers every request with 500.
pub(super) fn answer_500() -> HttpFault {
    let everything = FractionalPercent { numerator: 100, denominator: DenominatorType::Hundred.into() };
    let abort = FaultAbort {
        error_type: Some(fault_abort::ErrorType::HttpStatus(500)),
        percentage: Some(everything),
        ..FaultAbort::default()
    };
    HttpFault { abort: Some(abort), ..HttpFault::default() }
}
