//! The case of the names of headers in HTTP/1.1.

use proto::core::TypedExtensionConfig;
use proto::core::http1_protocol_options::HeaderKeyFormat;
use proto::core::http1_protocol_options::header_key_format::HeaderFormat;
use proto::pack;
use proto::preserve_case::PreserveCaseFormatterConfig;

/// Names of headers that come by HTTP/1.1 keep their case where they go on by HTTP/1.1.
pub(super) fn kept_case() -> HeaderKeyFormat {
    let format = TypedExtensionConfig {
        name: "envoy.http.stateful_header_formatters.preserve_case".to_owned(),
        typed_config: Some(pack(&PreserveCaseFormatterConfig::default())),
    };
    HeaderKeyFormat { header_format: Some(HeaderFormat::StatefulFormatter(format)) }
}
