//! What is taken down of a request in its filter state, for what comes later: it does not change any more then.

use proto::core::data_source::Specifier;
use proto::core::substitution_format_string::Format;
use proto::core::{DataSource, SubstitutionFormatString};
use proto::filter_state::{FilterStateValue, filter_state_value};
use proto::hcm::{HttpFilter, http_filter};
use proto::{pack, set_filter_state};

use super::header::literal_format;

/// What is taken down.
pub(super) struct TakenDown {
    /// The key of filter state.
    pub key: String,
    /// The text, in Envoy's language of formats.
    pub format: String,
    /// What is written where the text is empty; nothing if absent.
    pub default: Option<String>,
}

/// A filter of this name that writes each text under its key when a request passes; `None` if there is nothing to write.
pub(super) fn taking_down(name: &str, texts: impl IntoIterator<Item = TakenDown>) -> Option<HttpFilter> {
    let values: Vec<_> = texts.into_iter().flat_map(taken_down).collect();
    let config =
        set_filter_state::Config { on_request_headers: values, ..set_filter_state::Config::default() };
    (!config.on_request_headers.is_empty()).then(|| HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(&config))),
        ..HttpFilter::default()
    })
}

/// The default is written first, where there is one, and overwritten by the text.
fn taken_down(taken: TakenDown) -> impl Iterator<Item = FilterStateValue> {
    let TakenDown { key, format, default } = taken;
    let default = default.map(|text| written(key.clone(), literal_format(&text)));
    default.into_iter().chain([written(key, format)])
}

/// A text under its key.
pub(super) fn written(key: String, format: String) -> FilterStateValue {
    FilterStateValue {
        key: Some(filter_state_value::Key::ObjectKey(key)),
        factory_key: "envoy.string".to_owned(),
        value: Some(filter_state_value::Value::FormatString(SubstitutionFormatString {
            // What is not there leaves no trace.
            omit_empty_values: true,
            ..text_format(format)
        })),
        skip_if_empty: true,
        ..FilterStateValue::default()
    }
}

/// A format that gives a text.
pub(super) fn text_format(text: String) -> SubstitutionFormatString {
    let source = DataSource { specifier: Some(Specifier::InlineString(text)), ..DataSource::default() };
    SubstitutionFormatString {
        format: Some(Format::TextFormatSource(source)),
        ..SubstitutionFormatString::default()
    }
}
