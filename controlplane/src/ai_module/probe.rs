//! The configuration by which an Envoy is asked whether it loads the module: what the proxy of a Gateway with one AI backend
//! gets, so that it is loaded in each of its places, by the very messages that are sent later.

use anyhow::{Context as _, Result};
use crds::Object;
use serde_json::json;
use translator::xds::to_static_bootstrap;
use translator::{AiEngine, Change, Settings, Translator};

/// The class of the Gateway.
const CLASS: &str = "chancery";

/// The bootstrap, as JSON. It asks for nothing that this machine would have to have: no name, no certificate, no port.
///
/// # Errors
/// A fault of ours.
pub(super) fn configuration(engine: AiEngine) -> Result<String> {
    let metadata = json!({"name": "probe", "namespace": "default"});
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": metadata,
        "spec": {
            "gatewayClassName": CLASS,
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
        },
    });
    let backend = json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1",
        "kind": "Backend",
        "metadata": metadata,
        "spec": {"type": "AI", "ai": {"llm": {
            "openai": {"authToken": {"kind": "Passthrough"}},
            "host": "192.0.2.1",
            "port": 80,
        }}},
    });
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": {
            "parentRefs": [{"name": "probe"}],
            "rules": [{"backendRefs": [{"group": "gateway.kgateway.dev", "kind": "Backend", "name": "probe"}]}],
        },
    });
    let objects = [gateway, backend, route].map(Object::decode);
    let changes = objects.into_iter().map(|decoded| Ok(Change::Apply(decoded?.object)));
    let changes: Vec<_> = changes.collect::<Result<_>>()?;
    let settings =
        Settings { implied_classes: vec![CLASS.to_owned()], ai_engine: engine, ..Settings::default() };
    let mut translator = Translator::new(settings);
    translator.update(changes);
    let served = translator.translation().gateways.pop_first().context("nothing is served")?.1;
    Ok(proto::message_to_json(&to_static_bootstrap(&served.xds()))?.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ai_module::available;

    #[test]
    fn the_module_stands_in_each_of_its_places() {
        let text = configuration(available(Path::new("/the/module.so"))).unwrap();
        for filter in [ai_config::PROVIDER_FILTER, ai_config::GATEWAY_FILTER, ai_config::KEYS_FILTER] {
            assert!(text.contains(&format!("\"filter_name\":\"{filter}\"")), "{filter}: {text}");
        }
        assert_eq!(text.matches("/the/module.so").count(), 3, "{text}");
    }
}
