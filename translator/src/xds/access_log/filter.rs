//! Which requests are logged.

use ir::{Comparison, ComparisonOp, LogFilter};
use proto::access_log::access_log_filter::FilterSpecifier;
use proto::access_log::{
    AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, ExtensionFilter, GrpcStatusFilter,
    HeaderFilter, NotHealthCheckFilter, OrFilter, ResponseFlagFilter, StatusCodeFilter, TraceableFilter,
    comparison_filter, extension_filter, grpc_status_filter,
};
use proto::cel_access_log_filter::ExpressionFilter;
use proto::core::RuntimeUInt32;
use proto::pack;

use crate::xds::matcher::{header_matcher, string_matcher};

pub(super) fn build_filter(ir: &LogFilter) -> AccessLogFilter {
    let all = |filters: &[LogFilter]| filters.iter().map(build_filter).collect();
    let filter = match ir {
        LogFilter::All(filters) => FilterSpecifier::AndFilter(AndFilter { filters: all(filters) }),
        LogFilter::Any(filters) => FilterSpecifier::OrFilter(OrFilter { filters: all(filters) }),
        LogFilter::Status(status) => {
            FilterSpecifier::StatusCodeFilter(StatusCodeFilter { comparison: Some(comparison(*status)) })
        }
        LogFilter::Duration(duration) => {
            FilterSpecifier::DurationFilter(DurationFilter { comparison: Some(comparison(*duration)) })
        }
        LogFilter::NotHealthCheck => FilterSpecifier::NotHealthCheckFilter(NotHealthCheckFilter {}),
        LogFilter::Traceable => FilterSpecifier::TraceableFilter(TraceableFilter {}),
        LogFilter::Header(header) => FilterSpecifier::HeaderFilter(HeaderFilter {
            header: Some(header_matcher(&header.name, string_matcher(&header.value))),
        }),
        LogFilter::ResponseFlags(flags) => {
            FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags: flags.clone() })
        }
        LogFilter::GrpcStatus { statuses, exclude } => FilterSpecifier::GrpcStatusFilter(GrpcStatusFilter {
            statuses: statuses
                .iter()
                .filter_map(|name| grpc_status_filter::Status::from_str_name(name))
                .map(Into::into)
                .collect(),
            exclude: *exclude,
        }),
        LogFilter::Cel(expression) => FilterSpecifier::ExtensionFilter(ExtensionFilter {
            name: "envoy.access_loggers.extension_filters.cel".to_owned(),
            config_type: Some(extension_filter::ConfigType::TypedConfig(pack(&ExpressionFilter {
                expression: expression.clone(),
                ..ExpressionFilter::default()
            }))),
        }),
    };
    AccessLogFilter { filter_specifier: Some(filter) }
}

fn comparison(ir: Comparison) -> ComparisonFilter {
    let op = match ir.op {
        ComparisonOp::Eq => comparison_filter::Op::Eq,
        ComparisonOp::Ge => comparison_filter::Op::Ge,
        ComparisonOp::Le => comparison_filter::Op::Le,
    };
    // Envoy wants a key, by which nobody changes the number.
    let value = RuntimeUInt32 { default_value: ir.value, runtime_key: "chancery.unused".to_owned() };
    ComparisonFilter { op: op.into(), value: Some(value) }
}
