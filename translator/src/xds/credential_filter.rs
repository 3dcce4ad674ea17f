//! The filters that let pass who shows the password of a user (`envoy.filters.http.basic_auth`) or an API key
//! (`envoy.filters.http.api_key_auth`).
//!
//! Both could have their lists from routes. But then each route of a Gateway with a thousand keys would hold them all, and a new
//! key would change all route tables. So the lists are the branches of [chosen filters](super::chosen_filter). They stand
//! in fields that Envoy marks as sensitive, so that dumps of its configuration show `[redacted]` in their place.

use ir::{KeyList, KeyPlace, UserList};
use proto::api_key_auth::{ApiKeyAuth, Credential, Forwarding, KeySource};
use proto::basic_auth::BasicAuth;
use proto::core::data_source::Specifier;
use proto::core::{DataSource, TypedExtensionConfig};
use proto::pack;

use super::chosen_filter::{self, Chosen};

/// The filter that asks for a user.
pub(super) const USERS: Chosen = Chosen { name: "chancery.users", key: "chancery.users" };

/// The filter that asks for an API key.
pub(super) const API_KEYS: Chosen = Chosen { name: "chancery.api_keys", key: "chancery.api_keys" };

/// The filter with the lists of users.
pub(super) fn users<'a>(lists: impl IntoIterator<Item = &'a UserList>) -> TypedExtensionConfig {
    let branches = lists.into_iter().map(|list| {
        let lines = Specifier::InlineString(list.lines.expose().clone());
        let filter = BasicAuth {
            users: Some(DataSource { specifier: Some(lines), ..DataSource::default() }),
            forward_username_header: ir::USER_HEADER.to_owned(),
            ..BasicAuth::default()
        };
        (list.name.to_string(), "envoy.filters.http.basic_auth", pack(&filter))
    });
    chosen_filter::extension(USERS, branches)
}

/// The filter with the lists of API keys.
pub(super) fn api_keys<'a>(lists: impl IntoIterator<Item = &'a KeyList>) -> TypedExtensionConfig {
    let branches = lists.into_iter().map(|list| {
        let credentials = list
            .keys
            .iter()
            .map(|key| Credential { key: key.key.expose().clone(), client: key.client.clone() });
        let filter = ApiKeyAuth {
            credentials: credentials.collect(),
            // Of a source with several names, Envoy looks at the first one alone.
            key_sources: list.places.iter().map(source).collect(),
            forwarding: Some(Forwarding {
                header: list.client_header.clone().unwrap_or_default(),
                hide_credentials: !list.forward,
            }),
        };
        (list.name.to_string(), "envoy.filters.http.api_key_auth", pack(&filter))
    });
    chosen_filter::extension(API_KEYS, branches)
}

fn source(place: &KeyPlace) -> KeySource {
    let name = |name: &String| name.clone();
    match place {
        KeyPlace::Header(header) => KeySource { header: name(header), ..KeySource::default() },
        KeyPlace::Query(query) => KeySource { query: name(query), ..KeySource::default() },
        KeyPlace::Cookie(cookie) => KeySource { cookie: name(cookie), ..KeySource::default() },
    }
}
