//! What a golden does not show: the values of credentials, and what a deployer must provide.

mod support;

use ir::{InfraPort, ProxyInfra};
use proto::core::data_source::Specifier;
use proto::tls::{GenericSecret, Secret, secret};
use support::cases;
use translator::{GatewayOutput, XdsResources, translate};

/// The output of the only Gateway of a golden case.
fn output(name: &str) -> GatewayOutput {
    let case = cases().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let (resources, settings) = case.resources();
    let mut gateways = translate(&resources, &settings).gateways;
    assert_eq!(gateways.len(), 1, "{name}");
    gateways.pop_first().unwrap().1
}

/// The value of a secret that is a credential.
fn credential(secret: &Secret) -> Option<String> {
    let Some(secret::Type::GenericSecret(GenericSecret { secret: Some(source), .. })) = &secret.r#type else {
        return None;
    };
    match &source.specifier {
        Some(Specifier::InlineString(value)) => Some(value.clone()),
        Some(Specifier::InlineBytes(value)) => String::from_utf8(value.clone()).ok(),
        other => panic!("{other:?}"),
    }
}

/// Whether a cluster's packed options hold a text.
fn is_packed(xds: &XdsResources, text: &str) -> bool {
    let options = xds.clusters.values().flat_map(|cluster| cluster.typed_extension_protocol_options.values());
    options.into_iter().any(|any| any.value.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn a_credential_is_the_whole_value_of_its_header() {
    for (case, header, expected) in [
        ("ai_backend/gemini", "x-goog-api-key", "gemini-canary"),
        ("ai_backend/upstream-gemini", "x-goog-api-key", "gemini-canary"),
        ("ai_backend/openai", "authorization", "Bearer openai-canary"),
        ("ai_backend/inline-token", "authorization", "Bearer inline-canary"),
        ("ai_backend/secret-bearer-and-newline", "authorization", "Bearer openai-canary"),
        ("ai_backend/secret-lenient-key", "authorization", "Bearer openai-canary"),
        ("ai_backend/auth-header-override", "x-llm-key", "Key openai-canary"),
        ("ai_backend/misplaced-fields", "authorization", "openai-canary"),
    ] {
        let xds = output(case).xds();
        assert!(is_packed(&xds, header), "{case}: {header}");
        let credentials: Vec<_> = xds.secrets.values().filter_map(credential).collect();
        assert_eq!(credentials, [expected], "{case}");
    }
}

#[test]
fn each_moderation_has_the_key_that_its_policy_names() {
    let xds = output("ai_policy/guard-servers").xds();
    let key = |cluster: &str| credential(&xds.secrets[&format!("credential/{cluster}")]).unwrap();
    assert_eq!(key("moderation/trafficpolicy/default/company"), "Bearer moderation-canary");
    assert_eq!(key("moderation/routeoption/default/judged"), "Bearer inline-canary");
    assert_eq!(key("backend/default/ai"), "Bearer openai-canary");
}

#[test]
fn without_a_credential_of_ours_there_is_no_secret_for_one() {
    let xds = output("ai_backend/passthrough").xds();
    assert_eq!(xds.secrets.values().filter_map(credential).count(), 0);
    assert!(!xds.secrets.is_empty(), "the trust is there");
}

#[test]
fn a_deployer_is_told_addresses_ports_labels_and_annotations() {
    let show = |case: &str| {
        let ProxyInfra { gateway, addresses, ports, labels, annotations, .. } = output(case).infra;
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let ports: Vec<_> =
            ports.iter().map(|InfraPort { port, listener, .. }| format!("{port} {listener}")).collect();
        format!("{gateway} {addresses:?} {ports:?} {labels:?} {annotations:?}")
    };
    for (case, expected) in [
        (
            "gateway/infrastructure-labels",
            r#"default/gw [] ["80 http"] {"team": "a"} {"example.com/note": "b"}"#,
        ),
        // Ports that listeners share stand once, under the first one's name.
        ("gateway/listener-hostnames", r#"default/gw [] ["80 exact"] {} {}"#),
        ("gateway/two-ports", r#"default/gw [] ["80 a", "8080 b"] {} {}"#),
        // What is not served needs no port.
        ("gateway/protocol-no-conflict-invalid", r#"default/gw [] ["80 http", "80 udp", "8080 fine"] {} {}"#),
        ("gateway/privileged-port-invalid", r#"default/gw ["127.0.0.1"] ["8080 b"] {} {}"#),
    ] {
        assert_eq!(show(case), expected, "{case}");
    }
}
