//! What is served and at which address, as a short table.

use std::collections::BTreeSet;

use crds::ObjectRef;
use ir::{GatewayName, L4Share, PathMatch, PortProtocol, Transport};
use translator::{AiProvider, AiRoute, Proxy, ServedHost, ServedListener};

use crate::settings::authority;

/// Paths that a row shows before it says how many more there are.
const MAX_PATHS: usize = 4;

const HEAD: [&str; 5] = ["GATEWAY", "LISTENER", "ADDRESS", "HOSTNAME", "PATHS"];
const AI_HEAD: [&str; 6] = ["AI ROUTE", "BACKEND", "GROUP", "PROVIDER", "MODEL", "AI ENGINE"];

/// Renders one row per hostname of each listener, with a line end at the end of each; empty if nothing
/// is served. `refused` names the listeners that a Gateway's proxy does not take.
pub fn render_table<'a>(
    gateways: impl IntoIterator<Item = (&'a GatewayName, &'a Proxy, &'a [ServedListener])>,
    refused: impl Fn(&GatewayName) -> BTreeSet<String>,
) -> String {
    let rows: Vec<[String; 5]> = gateways
        .into_iter()
        .flat_map(|(name, proxy, listeners)| rows(name, proxy, listeners, &refused(name)))
        .collect();
    render(HEAD, &rows)
}

/// Renders one row per provider of each AI backend of each route; empty if there is none.
pub fn render_ai_routes(routes: &[AiRoute]) -> String {
    let rows: Vec<_> = routes.iter().flat_map(ai_rows).collect();
    render(AI_HEAD, &rows)
}

/// Columns that are as wide as what stands in them; empty without a row.
fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

/// The groups of a pool are numbered in the order of their use.
fn ai_rows(route: &AiRoute) -> Vec<[String; 6]> {
    let AiRoute { route, backend, groups, has_engine } = route;
    let name = |object: &ObjectRef| match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.clone(),
    };
    let members: Vec<_> = (1..)
        .zip(groups)
        .flat_map(|(order, group)| group.iter().map(move |provider| (order, provider)))
        .collect();
    let is_only = members.len() == 1;
    let row = |(order, provider): (usize, &AiProvider)| {
        let group = if is_only { "-".to_owned() } else { order.to_string() };
        let model = provider.model.clone().unwrap_or_else(|| "the request's".to_owned());
        let engine = if *has_engine { "in use" } else { "not in use" };
        [name(route), name(backend), group, provider.name.to_owned(), model, engine.to_owned()]
    };
    members.into_iter().map(row).collect()
}

fn rows(
    name: &GatewayName,
    proxy: &Proxy,
    listeners: &[ServedListener],
    refused: &BTreeSet<String>,
) -> Vec<[String; 5]> {
    let listener_name = |listener: &ServedListener| {
        let protocol =
            if listener.transport == Transport::Udp { PortProtocol::Udp } else { PortProtocol::Tcp };
        let ports = &proxy.infra.ports;
        let named = ports.iter().find(|infra| (infra.port, infra.protocol) == (listener.port, protocol));
        named.map_or_else(|| listener.port.to_string(), |infra| infra.listener.clone())
    };
    let listener_rows = |listener: &ServedListener| {
        let addresses: Vec<String> = listener
            .addresses
            .iter()
            .map(|address| format!("{}://{}", scheme(listener), authority(*address, listener.port)))
            .collect();
        let head = [name.to_string(), listener_name(listener), addresses.join(" ")];
        let row = |hostname: String, paths: String| {
            let [gateway, listener, address] = head.clone();
            [gateway, listener, address, hostname, paths]
        };
        if refused.contains(&listener.name) {
            return vec![row("-".to_owned(), "refused by the proxy, see the status".to_owned())];
        }
        // A host without a route is there only to answer 404.
        let with_routes = listener.hosts.iter().filter(|host| !host.paths.is_empty());
        let rows = with_routes.map(|host| row(host.hostname.to_string(), paths(host)));
        let forwards = listener.forwards.iter().filter(|(_, shares)| !shares.is_empty());
        let forwards = forwards.map(|(hostname, shares)| row(hostname.to_string(), clusters(shares)));
        let rows: Vec<_> = rows.chain(forwards).collect();
        if rows.is_empty() { vec![row("-".to_owned(), "no route".to_owned())] } else { rows }
    };
    listeners.iter().flat_map(listener_rows).collect()
}

/// What a client's URL begins with, or what stands for it where there is no URL.
fn scheme(listener: &ServedListener) -> &'static str {
    match listener.transport {
        Transport::Udp => "udp",
        // Nothing but what is HTTP has hosts, and a port of HTTP has at least one.
        Transport::Plain if listener.hosts.is_empty() => "tcp",
        Transport::Plain => "http",
        Transport::Tls if listener.hosts.is_empty() => "tls",
        Transport::Tls => "https",
    }
}

/// `-> service/default/db/5432/tcp`.
fn clusters(shares: &[L4Share]) -> String {
    let cluster = |share: &L4Share| share.cluster.as_ref().map_or("closed".to_owned(), ToString::to_string);
    format!("-> {}", shares.iter().map(cluster).collect::<Vec<_>>().join(" "))
}

/// `/gemini /openai (+3)`.
fn paths(host: &ServedHost) -> String {
    let mut paths: Vec<String> = Vec::new();
    for path in &host.paths {
        let path = match path {
            PathMatch::Exact(path) => format!("={path}"),
            PathMatch::Regex(expression) => format!("~{expression}"),
            PathMatch::Prefix(prefix) => prefix.clone(),
        };
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let more = paths.len().saturating_sub(MAX_PATHS);
    paths.truncate(MAX_PATHS);
    if more > 0 {
        paths.push(format!("(+{more})"));
    }
    paths.join(" ")
}

#[cfg(test)]
mod tests {
    use translator::{Change, Settings, Translator};

    use super::*;

    /// The objects of YAML documents.
    fn changes(text: &str) -> Vec<Change> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        let mut source = crate::source::file::FileSource::new(&[folder.path().to_owned()]).unwrap();
        let update = source.read();
        assert_eq!(update.said(), []);
        update.changes
    }

    #[test]
    fn every_hostname_has_a_row_with_its_address_and_paths() {
        let changes = changes(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  \
             gatewayClassName: chancery\n  listeners: [{name: http, protocol: HTTP, port: 8080}]\n---\n\
             apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  \
             parentRefs: [{name: web}]\n  hostnames: [a.test]\n  rules:\n  - matches:\n    - path: {type: PathPrefix, value: /one}\n    \
             - path: {type: Exact, value: /two}\n",
        );
        let settings = Settings {
            implied_classes: vec!["chancery".to_owned()],
            addressing: translator::Addressing::Loopback,
            ..Settings::default()
        };
        let mut translator = Translator::new(settings);
        let delta = translator.update(changes);
        let proxy = delta.gateways.values().find_map(|change| match change {
            translator::GatewayChange::Served { proxy, .. } => proxy.clone(),
            _ => None,
        });
        let (proxy, listeners) = (proxy.unwrap(), translator.listeners());
        let gateways = || listeners.iter().map(|(name, listeners)| (name, &*proxy, &listeners[..]));
        let table = render_table(gateways(), |_| BTreeSet::new());
        assert_eq!(
            table,
            "GATEWAY       LISTENER   ADDRESS                 HOSTNAME   PATHS\n\
             default/web   http       http://127.0.0.1:8080   a.test     =/two /one\n"
        );
        let table = render_table(gateways(), |_| ["http/8080".to_owned()].into());
        assert!(table.contains("refused by the proxy") && !table.contains("a.test"), "{table}");
    }

    #[test]
    fn every_provider_of_an_ai_route_has_a_row() {
        let token = "authToken: {kind: Passthrough}";
        let backend = |name: &str, ai: &str| {
            format!(
                "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\n\
                 spec: {{type: AI, ai: {ai}}}\n---\n"
            )
        };
        let changes = changes(
            &[
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  \
                 gatewayClassName: chancery\n  listeners: [{name: http, protocol: HTTP, port: 8080}]\n---\n"
                    .to_owned(),
                backend("one", &format!("{{llm: {{openai: {{{token}}}}}}}")),
                backend(
                    "pool",
                    &format!(
                        "{{priorityGroups: [{{providers: [{{name: a, openai: {{model: gpt-4o, {token}}}}}]}}, \
                         {{providers: [{{name: b, anthropic: {{model: claude, {token}}}}}, \
                         {{name: c, openai: {{{token}}}}}]}}]}}"
                    ),
                ),
                "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: chat}\nspec:\n  \
                 parentRefs: [{name: web}]\n  rules:\n  - backendRefs:\n    \
                 - {group: gateway.kgateway.dev, kind: Backend, name: one}\n    \
                 - {group: gateway.kgateway.dev, kind: Backend, name: pool}\n"
                    .to_owned(),
            ]
            .concat(),
        );
        let module = ir::ModuleSource::File("/lib/libchancery_ai.so".to_owned());
        let settings = Settings {
            implied_classes: vec!["chancery".to_owned()],
            addressing: translator::Addressing::Loopback,
            ai_engine: translator::AiEngine::Available(module),
            ..Settings::default()
        };
        let mut translator = Translator::new(settings);
        translator.update(changes);
        assert_eq!(
            render_ai_routes(&translator.ai_routes()),
            "AI ROUTE       BACKEND        GROUP   PROVIDER    MODEL           AI ENGINE\n\
             default/chat   default/one    -       openai      the request's   in use\n\
             default/chat   default/pool   1       openai      gpt-4o          in use\n\
             default/chat   default/pool   2       anthropic   claude          in use\n\
             default/chat   default/pool   2       openai      the request's   in use\n"
        );
    }

    #[test]
    fn nothing_served_is_an_empty_table() {
        assert_eq!(render_ai_routes(&[]), "");
        assert_eq!(render_table([], |_| BTreeSet::new()), "");
    }
}
