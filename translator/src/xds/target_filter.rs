//! The filter that finishes targets where no field of a route can: a rewrite that brings a query, and the
//! `Location` of a redirect for hosts that are known only from the request.
//!
//! It stands in every listener, so that a route never changes a listener, and is disabled but for the
//! routes that carry a configuration for it: other requests do not pass it.

use std::collections::HashMap;

use proto::core::DataSource;
use proto::core::data_source::Specifier;
use proto::hcm::{HttpFilter, http_filter};
use proto::lua::{Lua, LuaPerRoute};
use proto::wkt::{Any, Struct, Value, value};
use proto::{bool_value, pack};

/// Reads what is to be done from the filter's context.
const SCRIPT: &str = include_str!("target_filter.lua");

/// The name by which routes configure it.
pub(super) const NAME: &str = "chancery.target";

/// The filter as it stands in a listener.
pub(super) fn build_target_filter() -> HttpFilter {
    let source =
        DataSource { specifier: Some(Specifier::InlineString(SCRIPT.to_owned())), ..DataSource::default() };
    let lua = Lua {
        default_source_code: Some(source),
        // The route is chosen already; the new path is the backend's business.
        clear_route_cache: Some(bool_value(false)),
        ..Lua::default()
    };
    HttpFilter {
        name: NAME.to_owned(),
        disabled: true,
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(&lua))),
        ..HttpFilter::default()
    }
}

/// A route's configuration: sends `to`, which holds a query, instead of the path or of its beginning
/// `from`.
pub(super) fn rewrite_with_query(from: Option<&str>, to: &str) -> HashMap<String, Any> {
    enabled_with([("to", Some(to)), ("from", from)])
}

/// A route's configuration: takes `port` off a `Location` that begins with `scheme`.
pub(super) fn without_port(scheme: &str, port: u16) -> HashMap<String, Any> {
    enabled_with([
        ("origin", Some(format!("{scheme}://").as_str())),
        ("port", Some(format!(":{port}").as_str())),
    ])
}

fn enabled_with<const N: usize>(context: [(&str, Option<&str>); N]) -> HashMap<String, Any> {
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let set = context.into_iter().filter_map(|(name, value)| Some((name.to_owned(), text(value?))));
    let context = Struct { fields: set.collect() };
    let config = LuaPerRoute { filter_context: Some(context), ..LuaPerRoute::default() };
    HashMap::from([(NAME.to_owned(), pack(&config))])
}
