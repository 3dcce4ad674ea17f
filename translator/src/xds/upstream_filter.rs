//! HTTP filters of a cluster: what every request to a backend loses and gets, whichever route it came
//! by, at each attempt.

use ir::{AwsSigning, Credential, UpstreamHttp};
use proto::aws_common::{AwsCredentialProvider, InlineCredentialProvider};
use proto::aws_request_signing::AwsRequestSigning;
use proto::core::data_source::Specifier;
use proto::core::header_value_option::HeaderAppendAction;
use proto::core::{DataSource, HeaderValue, HeaderValueOption, TypedExtensionConfig};
use proto::credential_injector::CredentialInjector;
use proto::generic_credential::Generic;
use proto::hcm::{HttpFilter, http_filter};
use proto::header_mutation::{HeaderMutation, Mutations};
use proto::lua::Lua;
use proto::mutation_rules::{self, header_mutation::Action};
use proto::pack;
use proto::upstream_codec::UpstreamCodec;

use super::config_source::sds;
use super::engine;

/// Reads the names to drop from a table `drop`, which is put before it.
const REMOVE_QUERY_PARAMS: &str = include_str!("remove_query_params.lua");

/// The filters, in the order in which a request passes them; none where nothing is to be done.
pub(super) fn upstream_filters(ir: &UpstreamHttp) -> Vec<HttpFilter> {
    // The engine reads what the client sent. What the client brought goes before what we bring. What is signed is what
    // is sent.
    let mut filters: Vec<_> = [
        ir.engine.as_ref().map(engine::filter),
        remove_query_params(&ir.remove_query_params),
        edit_headers(ir),
        ir.credential.as_ref().map(inject_credential),
        ir.signing.as_ref().map(sign),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !filters.is_empty() {
        filters.push(upstream_codec());
    }
    filters
}

/// What has to be the last one.
pub(super) fn upstream_codec() -> HttpFilter {
    filter("envoy.filters.http.upstream_codec", &UpstreamCodec::default())
}

fn edit_headers(ir: &UpstreamHttp) -> Option<HttpFilter> {
    let UpstreamHttp { remove_request_headers, default_request_headers, remove_response_headers, .. } = ir;
    if remove_request_headers.is_empty()
        && default_request_headers.is_empty()
        && remove_response_headers.is_empty()
    {
        return None;
    }
    let mutation = |action| mutation_rules::HeaderMutation { action: Some(action) };
    let remove = |name: &String| mutation(Action::Remove(name.clone()));
    let default = |(name, value): &(String, String)| {
        let header = HeaderValue { key: name.clone(), value: value.clone(), ..HeaderValue::default() };
        let append_action = HeaderAppendAction::AddIfAbsent.into();
        mutation(Action::Append(HeaderValueOption {
            header: Some(header),
            append_action,
            ..HeaderValueOption::default()
        }))
    };
    let removed = remove_request_headers.iter().map(remove);
    let mutations = Mutations {
        request_mutations: removed.chain(default_request_headers.iter().map(default)).collect(),
        response_mutations: remove_response_headers.iter().map(remove).collect(),
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

fn sign(ir: &AwsSigning) -> HttpFilter {
    let credential = InlineCredentialProvider {
        access_key_id: ir.access_key.expose().clone(),
        secret_access_key: ir.secret_key.expose().clone(),
        session_token: ir.session_token.as_ref().map(|token| token.expose().clone()).unwrap_or_default(),
    };
    let config = AwsRequestSigning {
        service_name: ir.service.clone(),
        region: ir.region.clone(),
        credential_provider: Some(AwsCredentialProvider {
            inline_credential: Some(credential),
            ..AwsCredentialProvider::default()
        }),
        ..AwsRequestSigning::default()
    };
    filter("envoy.filters.http.aws_request_signing", &config)
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

pub(super) fn filter<M: prost::Name>(name: &str, config: &M) -> HttpFilter {
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
