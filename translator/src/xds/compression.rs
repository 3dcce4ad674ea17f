//! The filters that compress answers (`envoy.filters.http.compressor`), and take off the compression of requests
//! (`envoy.filters.http.decompressor`).
//!
//! A filter of Envoy's knows one form of compression, and what else it needs cannot stand in a route. So they are the branches of
//! [chosen filters](super::chosen_filter), each with a filter for each of its forms.

use std::collections::BTreeMap;

use ir::{Coding, Compressor as CompressorIr};
use proto::compressor::Compressor;
use proto::compressor::compressor::{CommonDirectionConfig, ResponseDirectionConfig};
use proto::core::{RuntimeFeatureFlag, TypedExtensionConfig};
use proto::decompressor::Decompressor;
use proto::decompressor::decompressor as decompressor_config;
use proto::hcm::HttpFilter;
use proto::wkt::Any;
use proto::{
    bool_value, brotli_compressor, brotli_decompressor, gzip_compressor, gzip_decompressor, pack, u32_value,
    zstd_compressor, zstd_decompressor,
};

use super::chosen_filter::{self, Chosen};
use super::matcher::exact;
use super::optional_filters::disabled;

/// The filter that compresses answers, with what chooses it.
pub(super) const COMPRESSOR: Chosen = Chosen { name: "chancery.compressor", key: "chancery.compression" };

/// The filter that takes off the compression of requests, with what chooses it.
pub(super) const DECOMPRESSOR: Chosen =
    Chosen { name: "chancery.decompressor", key: "chancery.decompression" };

/// The answer of a part of a resource must not become another text (RFC 9110 §15.3.7).
const PARTIAL_CONTENT: u32 = 206;

/// How many times longer than its compressed form a body may be: what goes beyond is no body that somebody needs.
const MAX_INFLATE_RATIO: u32 = 100;

/// The filter that listeners name, with what routes may choose, by its name.
pub(super) fn extension(all: BTreeMap<String, &CompressorIr>) -> TypedExtensionConfig {
    let branches = all.into_iter().map(|(name, ir)| {
        let filters = ir.codings.iter().map(|coding| compressor(*coding, ir)).collect();
        (name, chosen_filter::execute_all(filters))
    });
    chosen_filter::of_branches(COMPRESSOR, branches)
}

/// A client that takes several forms equally gets the first of these filters.
fn compressor(coding: Coding, ir: &CompressorIr) -> TypedExtensionConfig {
    let direction = ResponseDirectionConfig {
        common_config: Some(CommonDirectionConfig {
            min_content_length: Some(u32_value(ir.least_bytes)),
            content_type_matcher: ir.content_types.iter().map(|name| exact(name)).collect(),
            ..CommonDirectionConfig::default()
        }),
        // Clients can go on asking whether an answer has changed.
        weaken_etag_on_compress: true,
        uncompressible_response_codes: vec![PARTIAL_CONTENT],
        ..ResponseDirectionConfig::default()
    };
    let (library_name, config) = match coding {
        Coding::Brotli => {
            ("envoy.compression.brotli.compressor", pack(&brotli_compressor::Brotli::default()))
        }
        Coding::Gzip => ("envoy.compression.gzip.compressor", pack(&gzip_compressor::Gzip::default())),
        Coding::Zstd => ("envoy.compression.zstd.compressor", pack(&zstd_compressor::Zstd::default())),
    };
    let config = Compressor {
        compressor_library: Some(library(library_name, config)),
        response_direction_config: Some(direction),
        ..Compressor::default()
    };
    library("envoy.filters.http.compressor", pack(&config))
}

/// The filter that takes off the compression of requests, as it stands in a listener: with a branch for each choice of forms.
pub(super) fn decompressor() -> HttpFilter {
    let choices = (1..1 << Coding::ALL.len()).map(|bits: usize| {
        let all = Coding::ALL.into_iter().enumerate();
        all.filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, coding)| coding).collect::<Vec<_>>()
    });
    let branches = choices.map(|codings| {
        let filters = codings.iter().map(|coding| decompressor_of(*coding)).collect();
        (Coding::names(&codings), chosen_filter::execute_all(filters))
    });
    let chosen = chosen_filter::of_branches(DECOMPRESSOR, branches);
    disabled(DECOMPRESSOR.name, chosen.typed_config.unwrap_or_default())
}

fn decompressor_of(coding: Coding) -> TypedExtensionConfig {
    let (library_name, config) = match coding {
        Coding::Brotli => {
            ("envoy.compression.brotli.decompressor", pack(&brotli_decompressor::Brotli::default()))
        }
        Coding::Gzip => {
            let gzip = gzip_decompressor::Gzip {
                max_inflate_ratio: Some(u32_value(MAX_INFLATE_RATIO)),
                ..gzip_decompressor::Gzip::default()
            };
            ("envoy.compression.gzip.decompressor", pack(&gzip))
        }
        Coding::Zstd => ("envoy.compression.zstd.decompressor", pack(&zstd_decompressor::Zstd::default())),
    };
    let common = |enabled| decompressor_config::CommonDirectionConfig {
        enabled,
        ..decompressor_config::CommonDirectionConfig::default()
    };
    let config = Decompressor {
        decompressor_library: Some(library(library_name, config)),
        request_direction_config: Some(decompressor_config::RequestDirectionConfig {
            common_config: Some(common(None)),
            advertise_accept_encoding: Some(bool_value(false)),
        }),
        response_direction_config: Some(decompressor_config::ResponseDirectionConfig {
            common_config: Some(common(Some(never()))),
        }),
    };
    library("envoy.filters.http.decompressor", pack(&config))
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
