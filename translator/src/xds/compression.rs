//! The filters that compress answers (`envoy.filters.http.compressor`), and take off the compression of requests
//! (`envoy.filters.http.decompressor`).
//!
//! The first does nothing but for routes that enable it by a configuration of their own. The second takes none from routes: it is
//! the one branch of a [chosen filter](super::chosen_filter).

use proto::compressor::compressor::{CommonDirectionConfig, ResponseDirectionConfig};
use proto::compressor::compressor_per_route::Override;
use proto::compressor::{Compressor, CompressorOverrides, CompressorPerRoute, ResponseDirectionOverrides};
use proto::core::{RuntimeFeatureFlag, TypedExtensionConfig};
use proto::decompressor::Decompressor;
use proto::decompressor::decompressor as decompressor_config;
use proto::hcm::HttpFilter;
use proto::wkt::Any;
use proto::{bool_value, gzip_compressor, gzip_decompressor, pack, u32_value};

use super::chosen_filter::{self, Chosen};
use super::optional_filters::disabled;

/// The filter that compresses answers.
pub(super) const COMPRESSOR: &str = "chancery.compressor";

/// The filter that takes off the compression of requests, with what chooses it.
pub(super) const DECOMPRESSOR: Chosen =
    Chosen { name: "chancery.decompressor", key: "chancery.decompression" };

/// The branch of that filter.
pub(super) const GZIP: &str = "gzip";

/// The answer of a part of a resource must not become another text (RFC 9110 §15.3.7).
const PARTIAL_CONTENT: u32 = 206;

/// How many times longer than its compressed form a body may be: what goes beyond is no body that somebody needs.
const MAX_INFLATE_RATIO: u32 = 100;

/// The filter that compresses answers, as it stands in a listener.
pub(super) fn compressor() -> HttpFilter {
    let direction = ResponseDirectionConfig {
        common_config: Some(CommonDirectionConfig {
            enabled: Some(never()),
            ..CommonDirectionConfig::default()
        }),
        // Clients can go on asking whether an answer has changed.
        weaken_etag_on_compress: true,
        uncompressible_response_codes: vec![PARTIAL_CONTENT],
        ..ResponseDirectionConfig::default()
    };
    let config = Compressor {
        compressor_library: Some(library(
            "envoy.compression.gzip.compressor",
            pack(&gzip_compressor::Gzip::default()),
        )),
        response_direction_config: Some(direction),
        ..Compressor::default()
    };
    disabled(COMPRESSOR, pack(&config))
}

/// The configuration of a route whose answers are compressed.
pub(super) fn compressing() -> Any {
    let overrides = CompressorOverrides {
        response_direction_config: Some(ResponseDirectionOverrides::default()),
        ..CompressorOverrides::default()
    };
    pack(&CompressorPerRoute { r#override: Some(Override::Overrides(overrides)) })
}

/// The filter that takes off the compression of requests, as it stands in a listener.
pub(super) fn decompressor() -> HttpFilter {
    let gzip = gzip_decompressor::Gzip {
        max_inflate_ratio: Some(u32_value(MAX_INFLATE_RATIO)),
        ..gzip_decompressor::Gzip::default()
    };
    let common = |enabled| decompressor_config::CommonDirectionConfig {
        enabled,
        ..decompressor_config::CommonDirectionConfig::default()
    };
    let config = Decompressor {
        decompressor_library: Some(library("envoy.compression.gzip.decompressor", pack(&gzip))),
        request_direction_config: Some(decompressor_config::RequestDirectionConfig {
            common_config: Some(common(None)),
            advertise_accept_encoding: Some(bool_value(false)),
        }),
        response_direction_config: Some(decompressor_config::ResponseDirectionConfig {
            common_config: Some(common(Some(never()))),
        }),
    };
    let branch = (GZIP.to_owned(), "envoy.filters.http.decompressor", pack(&config));
    let chosen = chosen_filter::extension(DECOMPRESSOR, [branch].into_iter());
    disabled(DECOMPRESSOR.name, chosen.typed_config.unwrap_or_default())
}

/// A switch that is off; nobody sets its key.
fn never() -> RuntimeFeatureFlag {
    RuntimeFeatureFlag {
        default_value: Some(bool_value(false)),
        runtime_key: super::NO_RUNTIME_KEY.to_owned(),
    }
}

fn library(name: &str, config: Any) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(config) }
}
