//! HTTP filters of a cluster: what every request to a backend loses and gets, whichever route it came
//! by, at each attempt.

use ir::{Credential, UpstreamHttp};
use proto::core::data_source::Specifier;
use proto::core::{DataSource, TypedExtensionConfig};
use proto::credential_injector::CredentialInjector;
use proto::generic_credential::Generic;
use proto::hcm::{HttpFilter, http_filter};
use proto::header_mutation::{HeaderMutation, Mutations};
use proto::lua::Lua;
use proto::mutation_rules::{self, header_mutation::Action};
use proto::pack;
use proto::upstream_codec::UpstreamCodec;

use super::config_source::sds;

/// Reads the names to drop from a table `drop`, which is put before it.
const REMOVE_QUERY_PARAMS: &str = include_str!("remove_query_params.lua");

/// The filters, in the order in which a request passes them; none where nothing is to be done.
pub(super) fn upstream_filters(ir: &UpstreamHttp) -> Vec<HttpFilter> {
    // What the client brought goes before what we bring.
    let mut filters: Vec<_> = [
        remove_query_params(&ir.remove_query_params),
        remove_headers(&ir.remove_request_headers, &ir.remove_response_headers),
        ir.credential.as_ref().map(inject_credential),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !filters.is_empty() {
        filters.push(filter("envoy.filters.http.upstream_codec", &UpstreamCodec::default()));
    }
    filters
}

fn remove_headers(request: &[String], response: &[String]) -> Option<HttpFilter> {
    if request.is_empty() && response.is_empty() {
        return None;
    }
    let remove =
        |name: &String| mutation_rules::HeaderMutation { action: Some(Action::Remove(name.clone())) };
    let mutations = Mutations {
        request_mutations: request.iter().map(remove).collect(),
        response_mutations: response.iter().map(remove).collect(),
        ..Mutations::default()
    };
    let config = HeaderMutation { mutations: Some(mutations), ..HeaderMutation::default() };
    Some(filter("envoy.filters.http.header_mutation", &config))
}

fn inject_credential(ir: &Credential) -> HttpFilter {
    let generic =
        Generic { credential: Some(sds(&ir.secret)), header: ir.header.clone(), ..Generic::default() };
    let config = CredentialInjector {
        overwrite: true,
        // Without its credential a request does not leave.
        allow_request_without_credential: false,
        credential: Some(TypedExtensionConfig {
            name: "envoy.http.injected_credentials.generic".to_owned(),
            typed_config: Some(pack(&generic)),
        }),
    };
    filter("envoy.filters.http.credential_injector", &config)
}

/// A script, because Envoy's header mutation filter will not do: it writes the parameters that stay
/// back decoded, so that `a=1%26key%3D2` becomes the very parameter that was to go, and a space breaks
/// the request line (seen in 1.40).
fn remove_query_params(names: &[String]) -> Option<HttpFilter> {
    if names.is_empty() {
        return None;
    }
    let names: String = names.iter().map(|name| format!("[{}]=true,", lua_string(name))).collect();
    let script = format!("local drop = {{{names}}}\n{REMOVE_QUERY_PARAMS}");
    let source = DataSource { specifier: Some(Specifier::InlineString(script)), ..DataSource::default() };
    Some(filter("envoy.filters.http.lua", &Lua { default_source_code: Some(source), ..Lua::default() }))
}

/// A Lua string literal in which no character but letters and digits stands for itself.
fn lua_string(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("\\{byte:03}"),
    };
    format!("\"{}\"", text.bytes().map(escape).collect::<String>())
}

fn filter<M: prost::Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(config))),
        ..HttpFilter::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lua_strings_cannot_be_left() {
        assert_eq!(lua_string("key"), r#""key""#);
        assert_eq!(lua_string("a-\"]=1\n\\"), r#""a\045\034\093\0611\010\092""#);
    }
}
