//! What a golden does not show: the values of credentials, and what a deployer must provide.

mod support;

use ir::{InfraPort, ProxyInfra, SecretValue};
use support::cases;
use translator::{GatewayOutput, translate};

/// The output of the only Gateway of a golden case.
fn output(name: &str) -> GatewayOutput {
    let case = cases().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let (resources, settings) = case.resources();
    let mut gateways = translate(&resources, &settings).gateways;
    assert_eq!(gateways.len(), 1, "{name}");
    gateways.pop_first().unwrap().1
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
        let ir = output(case).ir;
        let credential = ir.clusters.values().find_map(|cluster| cluster.http.credential.as_ref()).unwrap();
        assert_eq!(credential.header, header, "{case}");
        match &ir.secrets[&credential.secret].value {
            SecretValue::Credential(value) => assert_eq!(value.expose(), expected, "{case}"),
            SecretValue::Trust(_) => panic!("{case}: is a credential"),
        }
    }
}

#[test]
fn without_a_credential_of_ours_there_is_no_secret_for_one() {
    let ir = output("ai_backend/passthrough").ir;
    assert!(ir.clusters.values().all(|cluster| cluster.http.credential.is_none()));
    assert!(ir.secrets.values().all(|secret| matches!(secret.value, SecretValue::Trust(_))));
}

#[test]
fn a_deployer_is_told_addresses_ports_labels_and_annotations() {
    let show = |case: &str| {
        let ProxyInfra { gateway, addresses, ports, labels, annotations, .. } = output(case).infra;
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let ports: Vec<_> =
            ports.iter().map(|InfraPort { port, listener }| format!("{port} {listener}")).collect();
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
        ("gateway/protocol-no-conflict-invalid", r#"default/gw [] ["80 http", "8080 fine"] {} {}"#),
        ("gateway/privileged-port-invalid", r#"default/gw ["127.0.0.1"] ["8080 b"] {} {}"#),
    ] {
        assert_eq!(show(case), expected, "{case}");
    }
}
