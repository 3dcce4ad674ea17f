//! What is served and at which address, as a short table.

use std::collections::BTreeSet;

use ir::{GatewayIr, GatewayName, ListenerIr, PathMatch, VirtualHost};
use translator::GatewayOutput;

use crate::settings::authority;

/// Paths that a row shows before it says how many more there are.
const MAX_PATHS: usize = 4;

const HEAD: [&str; 5] = ["GATEWAY", "LISTENER", "ADDRESS", "HOSTNAME", "PATHS"];

/// Renders one row per hostname of each listener, with a line end at the end of each; empty if nothing
/// is served. `refused` names the listeners that a Gateway's proxy does not take.
pub fn render_table<'a>(
    gateways: impl IntoIterator<Item = (&'a GatewayName, &'a GatewayOutput)>,
    refused: impl Fn(&GatewayName) -> BTreeSet<String>,
) -> String {
    let rows: Vec<[String; 5]> =
        gateways.into_iter().flat_map(|(name, output)| rows(name, output, &refused(name))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = HEAD.map(str::to_owned);
    let all = || std::iter::once(&head).chain(&rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

fn rows(name: &GatewayName, output: &GatewayOutput, refused: &BTreeSet<String>) -> Vec<[String; 5]> {
    let GatewayIr { listeners, .. } = &output.ir;
    let listener_name = |port: u16| {
        let named = output.infra.ports.iter().find(|infra| infra.port == port);
        named.map_or_else(|| port.to_string(), |infra| infra.listener.clone())
    };
    let listener_rows = |listener: &ListenerIr| {
        let addresses: Vec<String> = listener
            .addresses
            .iter()
            .map(|address| format!("http://{}", authority(*address, listener.port)))
            .collect();
        let head = [name.to_string(), listener_name(listener.port), addresses.join(" ")];
        let row = |hostname: String, paths: String| {
            let [gateway, listener, address] = head.clone();
            [gateway, listener, address, hostname, paths]
        };
        if refused.contains(listener.name.as_str()) {
            return vec![row("-".to_owned(), "refused by the proxy, see the status".to_owned())];
        }
        // A host without a route is there only to answer 404.
        let with_routes = listener.virtual_hosts.iter().filter(|host| !host.routes.is_empty());
        let rows: Vec<_> = with_routes.map(|host| row(host.hostname.to_string(), paths(host))).collect();
        if rows.is_empty() { vec![row("-".to_owned(), "no route".to_owned())] } else { rows }
    };
    listeners.values().flat_map(listener_rows).collect()
}

/// `/gemini /openai (+3)`.
fn paths(host: &VirtualHost) -> String {
    let mut paths: Vec<String> = Vec::new();
    for route in &host.routes {
        let path = match &route.matches.path {
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
    use translator::{Resources, Settings, translate};

    use super::*;

    /// The objects of YAML documents.
    fn resources(text: &str) -> Resources {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        let mut source = crate::source::file::FileSource::new(&[folder.path().to_owned()]).unwrap();
        let mut store = crate::store::Store::default();
        let update = source.read();
        assert_eq!(update.findings, []);
        store.apply(update);
        store.resources().clone()
    }

    #[test]
    fn every_hostname_has_a_row_with_its_address_and_paths() {
        let resources = resources(
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
        let gateways = translate(&resources, &settings).gateways;
        let table = render_table(&gateways, |_| BTreeSet::new());
        assert_eq!(
            table,
            "GATEWAY       LISTENER   ADDRESS                 HOSTNAME   PATHS\n\
             default/web   http       http://127.0.0.1:8080   a.test     =/two /one\n"
        );
        let table = render_table(&gateways, |_| ["http/8080".to_owned()].into());
        assert!(table.contains("refused by the proxy") && !table.contains("a.test"), "{table}");
    }

    #[test]
    fn nothing_served_is_an_empty_table() {
        assert_eq!(render_table([], |_| BTreeSet::new()), "");
    }
}
