use serde_json::Value;

use super::*;
use crate::object::Object;

/// The canonical form of the object with this spec, in namespace `ns`.
fn canonical(head: &str, spec: &str) -> Result<Canonical, SpecError> {
    let document: Value =
        serde_saphyr::from_str(&format!("{{{head}, metadata: {{name: a, namespace: ns}}, spec: {spec}}}"))
            .unwrap();
    let decoded = Object::decode(document).unwrap_or_else(|error| panic!("{spec}: {error}"));
    assert_eq!(decoded.unknown_fields, [] as [&str; 0], "{spec}");
    match decoded.object {
        Object::Backend(backend) => canonical_backend(&backend),
        Object::Upstream(upstream) => canonical_upstream(&upstream),
        other => panic!("{other:?} has no canonical form"),
    }
}

fn backend(spec: &str) -> Result<Canonical, SpecError> {
    canonical("apiVersion: gateway.kgateway.dev/v1alpha1, kind: Backend", spec)
}

/// A Backend of type AI with this `llm`.
fn llm(llm: &str) -> Result<Canonical, SpecError> {
    backend(&format!("{{type: AI, ai: {{llm: {llm}}}}}"))
}

fn upstream(spec: &str) -> Result<Canonical, SpecError> {
    canonical("apiVersion: gloo.solo.io/v1, kind: Upstream", spec)
}

fn ai(result: Result<Canonical, SpecError>) -> (AiDestination, Vec<String>) {
    let Canonical { target, warnings } = result.unwrap();
    let Target::Ai(pool) = target else { panic!("is an AI backend") };
    let spec = pool.only().expect("one destination").clone();
    (spec, warnings.iter().map(|warning| warning.path.clone()).collect())
}

const NO_WARNINGS: [&str; 0] = [];

fn secret(namespace: &str) -> AuthToken {
    AuthToken::SecretRef(NamespacedName::new(namespace, "s"))
}

fn gemini_spec(overrides: Overrides) -> AiDestination {
    let provider = Provider::Gemini { model: "m".to_owned(), api_version: "v1".to_owned() };
    AiDestination { name: None, provider, auth: secret("ns"), overrides }
}

fn host(host: &str, port: u16) -> Option<HostOverride> {
    let port = NonZeroU16::new(port).unwrap();
    Some(HostOverride { host: host.to_owned(), port, server_name: host.to_owned() })
}

fn full(path: &str) -> Option<PathOverride> {
    Some(PathOverride::Full(path.to_owned()))
}

/// A complete Gemini member; put into the YAML of the rows below.
const GEMINI: &str = "gemini: {model: m, apiVersion: v1, authToken: {kind: SecretRef, secretRef: {name: s}}}";

#[test]
fn all_shapes_of_a_backend_mean_the_same() {
    let overrides = Overrides {
        host: host("h", 8443),
        path: full("/p"),
        auth_header_name: Some("x-key".to_owned()),
        auth_header_prefix: Some("Key ".to_owned()),
    };
    let rows = [
        (
            "2.1 in development",
            format!(
                "{{provider: {{{GEMINI}}}, hostOverride: {{host: h, port: 8443}}, pathOverride: {{fullPath: /p}}, \
                 authHeaderOverride: {{headerName: X-Key, prefix: 'Key '}}}}"
            ),
        ),
        (
            "2.1",
            format!(
                "{{{GEMINI}, host: h, port: 8443, path: {{full: /p}}, \
                 authHeader: {{headerName: X-Key, prefix: 'Key '}}}}"
            ),
        ),
    ];
    for (name, spec) in rows {
        assert_eq!(ai(llm(&spec)), (gemini_spec(overrides.clone()), vec![]), "{name}");
    }
    let plain = llm(&format!("{{provider: {{{GEMINI}}}}}"));
    assert_eq!(ai(plain), (gemini_spec(Overrides::default()), vec![]), "2.0");
}

#[test]
fn slips_of_published_examples_are_understood_with_a_warning() {
    let with_host = |h| Overrides { host: h, ..Overrides::default() };
    let with_path = |p: &str| Overrides { path: full(p), ..Overrides::default() };
    let prefix = |p: &str| Overrides { auth_header_prefix: Some(p.to_owned()), ..Overrides::default() };
    let token = "authToken: {secretRef: {name: s}}";
    let bare = "gemini: {model: m, apiVersion: v1}";
    let rows = [
        (
            format!("llm: {{{GEMINI}, hostOverride: h}}"),
            with_host(host("h", 443)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, hostOverride: 'h:80'}}"),
            with_host(host("h", 80)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, hostOverride: 'https://h/'}}"),
            with_host(host("h", 443)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, hostOverride: 'http://h'}}"),
            with_host(host("h", 80)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, hostOverride: '[::1]:80'}}"),
            with_host(host("::1", 80)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, hostOverride: '::1'}}"),
            with_host(host("::1", 443)),
            vec!["spec.ai.llm.hostOverride"],
        ),
        (format!("llm: {{{GEMINI}, pathOverride: /p}}"), with_path("/p"), vec!["spec.ai.llm.pathOverride"]),
        (
            format!("llm: {{{GEMINI}}}, hostOverride: {{host: h, port: 1}}"),
            with_host(host("h", 1)),
            vec!["spec.ai.hostOverride"],
        ),
        (
            format!("llm: {{{GEMINI}}}, pathOverride: {{fullPath: /p}}"),
            with_path("/p"),
            vec!["spec.ai.pathOverride"],
        ),
        (
            format!("llm: {{{GEMINI}}}, pathOverride: /p"),
            with_path("/p"),
            vec!["spec.ai.pathOverride", "spec.ai.pathOverride"],
        ),
        (
            format!("llm: {{{GEMINI}}}, authHeaderOverride: {{prefix: T}}"),
            prefix("T"),
            vec!["spec.ai.authHeaderOverride"],
        ),
        (
            format!("llm: {{{GEMINI}, authHeader: {{prefix: ''}}}}"),
            prefix(""),
            vec!["spec.ai.llm.authHeader.prefix"],
        ),
        (format!("llm: {{{bare}, {token}}}"), Overrides::default(), vec!["spec.ai.llm.authToken"]),
        (
            format!("llm: {{provider: {{{bare}}}, {token}}}"),
            Overrides::default(),
            vec!["spec.ai.llm.authToken"],
        ),
        (
            format!("llm: {{provider: {{{bare}, {token}}}}}"),
            Overrides::default(),
            vec!["spec.ai.llm.provider.authToken"],
        ),
    ];
    for (spec, overrides, warnings) in rows {
        let (found, found_warnings) = ai(backend(&format!("{{type: AI, ai: {{{spec}}}}}")));
        assert_eq!(found, gemini_spec(overrides), "{spec}");
        assert_eq!(found_warnings, warnings, "{spec}");
    }
}

#[test]
fn an_upstream_means_the_same_as_a_backend() {
    let gemini = "model: m, apiVersion: v1, authToken: {secretRef: {name: s}}";
    let overrides = |path| {
        let host = host("h", 8443).map(|host| HostOverride { server_name: "sn".to_owned(), ..host });
        Overrides { host, path, ..Overrides::default() }
    };
    let custom = "customHost: {host: h, port: 8443, hostname: sn";
    let rows = [
        (format!("{{ai: {{gemini: {{{gemini}}}}}}}"), Overrides::default()),
        (format!("{{ai: {{gemini: {{{gemini}, {custom}}}}}}}}}"), overrides(None)),
        (
            format!("{{ai: {{gemini: {{{gemini}, {custom}, pathOverride: {{fullPath: '/p?q=1'}}}}}}}}}}"),
            overrides(full("/p?q=1")),
        ),
        (
            format!("{{ai: {{gemini: {{{gemini}, {custom}, pathOverride: {{basePath: /b/}}}}}}}}}}"),
            overrides(Some(PathOverride::Base("/b".to_owned()))),
        ),
    ];
    for (spec, overrides) in rows {
        assert_eq!(ai(upstream(&spec)), (gemini_spec(overrides), vec![]), "{spec}");
    }
}

#[test]
fn openai_takes_an_optional_model() {
    let rows = [
        (llm("{provider: {openai: {authToken: {passthrough: {}}}}}"), None),
        (llm("{openai: {model: gpt, authToken: {passthrough: {}}}}"), Some("gpt")),
        (upstream("{ai: {openai: {authToken: {passthrough: {}}, model: ''}}}"), None),
        (upstream("{ai: {openai: {authToken: {passthrough: {}}, model: gpt}}}"), Some("gpt")),
    ];
    for (result, model) in rows {
        let (spec, warnings) = ai(result);
        assert_eq!(spec.provider, Provider::OpenAi { model: model.map(str::to_owned) });
        assert_eq!(warnings, NO_WARNINGS);
    }
}

#[test]
fn the_source_of_a_credential_is_unambiguous() {
    let inline = |value: &str| Ok(AuthToken::Inline(SensitiveString::new(value)));
    let rows = [
        ("{inline: k}", inline("k")),
        ("{kind: Inline, inline: ' Bearer k\n'}", inline("k")),
        ("{secretRef: {name: s}}", Ok(secret("ns"))),
        ("{secretRef: {name: s, namespace: other}}", Ok(secret("other"))),
        ("{kind: SecretRef, secretRef: {name: s, namespace: ''}}", Ok(secret("ns"))),
        ("{passthrough: {}}", Ok(AuthToken::Passthrough)),
        ("{kind: Passthrough}", Ok(AuthToken::Passthrough)),
        ("{kind: Passthrough, passthrough: {}}", Ok(AuthToken::Passthrough)),
        ("{}", Err(("", "one source of the credential must be set"))),
        ("{kind: Inline}", Err((".inline", "is required by kind"))),
        ("{kind: SecretRef}", Err((".secretRef", "is required by kind"))),
        ("{kind: Inline, secretRef: {name: s}}", Err((".kind", "names inline, but secretRef is set"))),
        ("{inline: k, secretRef: {name: s}}", Err(("", "only one source of the credential can be set"))),
        ("{kind: Passthrough, inline: k}", Err(("", "only one source of the credential can be set"))),
        ("{inline: ' '}", Err((".inline", "holds no usable credential"))),
        ("{inline: Bearer}", Err((".inline", "holds no usable credential"))),
        ("{secretRef: {name: ''}}", Err((".secretRef.name", "is required"))),
    ];
    for (token, expected) in rows {
        let token = token.replace('\n', "\\n").replace('\'', "\"");
        let result = llm(&format!("{{openai: {{authToken: {token}}}}}"));
        match expected {
            Ok(auth) => assert_eq!(ai(result).0.auth, auth, "{token}"),
            Err((path, message)) => {
                let error = result.unwrap_err();
                assert_eq!(error.path, format!("spec.ai.llm.openai.authToken{path}"), "{token}");
                assert!(error.message.starts_with(message), "{token}: {error}");
                assert_eq!(error.kind, ErrorKind::Invalid, "{token}");
            }
        }
    }
}

#[test]
fn what_we_do_not_serve_yet_is_said_at_its_path() {
    let rows = [
        (backend("{type: AWS, aws: {lambda: {}}}"), "spec.type: type AWS is not supported yet"),
        (backend("{type: AWS}"), "spec.type: type AWS is not supported yet"),
        (
            backend("{type: DynamicForwardProxy, dynamicForwardProxy: {}}"),
            "spec.type: type DynamicForwardProxy is not supported yet",
        ),
        (backend("{type: MCP, mcp: {targets: []}}"), "spec.type: type MCP is not supported yet"),
        (upstream("{kube: {serviceName: a}}"), "spec.kube: this type of upstream is not supported yet"),
    ];
    for (result, expected) in rows {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind, ErrorKind::Unsupported, "{expected}");
    }
}

/// Each provider, as a member of Backend and of Upstream (with `T` for its credential), and what it means.
fn providers() -> Vec<(&'static str, &'static str, Provider)> {
    let text = |text: &str| text.to_owned();
    vec![
        (
            "azureopenai: {T, endpoint: 'https://e.example/', deploymentName: d, apiVersion: 2024-10-21}",
            "azureOpenai: {T, endpoint: e.example, deploymentName: d, apiVersion: 2024-10-21}",
            Provider::AzureOpenAi {
                endpoint: text("e.example"),
                deployment: text("d"),
                api_version: text("2024-10-21"),
            },
        ),
        (
            "anthropic: {T, model: m, apiVersion: 2023-06-01}",
            "anthropic: {T, model: m, version: 2023-06-01}",
            Provider::Anthropic { model: Some(text("m")), version: Some(text("2023-06-01")) },
        ),
        (
            "vertexai: {T, model: m@1, apiVersion: v1, projectId: 'a.b:p', location: us, modelPath: rawPredict, publisher: GOOGLE}",
            "vertexAi: {T, model: m@1, apiVersion: v1, projectId: 'a.b:p', location: us, modelPath: rawPredict}",
            Provider::VertexAi {
                model: text("m@1"),
                api_version: text("v1"),
                project: text("a.b:p"),
                location: text("us"),
                publisher: text("google"),
                method: Some(text("rawPredict")),
                schema: Schema::Gemini,
            },
        ),
        ("openai: {T, model: m}", "openai: {T, model: m}", Provider::OpenAi { model: Some(text("m")) }),
    ]
}

#[test]
fn every_provider_is_read_in_both_dialects_and_all_shapes() {
    for (backend_member, upstream_member, expected) in providers() {
        let token = "authToken: {secretRef: {name: s}}";
        let (backend_member, upstream_member) = (
            backend_member.replace("{T,", &format!("{{{token},")),
            upstream_member.replace("{T,", &format!("{{{token},")),
        );
        for result in [
            llm(&format!("{{{backend_member}}}")),
            llm(&format!("{{provider: {{{backend_member}}}}}")),
            upstream(&format!("{{ai: {{{upstream_member}}}}}")),
        ] {
            let (destination, warnings) = ai(result);
            assert_eq!(destination.provider, expected);
            assert_eq!((destination.auth, warnings), (secret("ns"), Vec::<String>::new()));
        }
    }
}

#[test]
fn bedrock_is_signed_for_with_an_aws_credential() {
    let expected = |guardrail| Provider::Bedrock {
        model: "anthropic.claude-v1:0".to_owned(),
        region: "us-east-1".to_owned(),
        guardrail,
    };
    let secret = AuthToken::AwsSecretRef(NamespacedName::new("ns", "s"));
    let (destination, _) =
        ai(llm("{bedrock: {model: 'anthropic.claude-v1:0', auth: {type: Secret, secretRef: {name: s}}, \
         guardrail: {identifier: g, version: '1'}}}"));
    let guardrail = Guardrail { identifier: "g".to_owned(), version: "1".to_owned() };
    assert_eq!((destination.provider, &destination.auth), (expected(Some(guardrail)), &secret));
    let (destination, _) = ai(upstream(
        "{ai: {bedrock: {model: 'anthropic.claude-v1:0', credentialProvider: {secretRef: {name: s}}}}}",
    ));
    assert_eq!((destination.provider, &destination.auth), (expected(None), &secret));
    let (destination, _) = ai(upstream(
        "{ai: {bedrock: {model: m, credentialProvider: {inline: {accessKeyId: ' a', secretAccessKey: \"b\\n\"}}}}}",
    ));
    let inline = AwsCredential::new("a", "b", None).unwrap();
    assert_eq!(destination.auth, AuthToken::AwsInline(inline.clone()));
    assert!(!format!("{inline:?}").contains('b') || !format!("{inline:?}").contains("\"b\""), "{inline:?}");
}

#[test]
fn pools_of_all_shapes_mean_the_same() {
    let other = "openai: {model: m, authToken: {passthrough: {}}}";
    let shapes = [
        backend(&format!(
            "{{type: AI, ai: {{multipool: {{priorities: [{{pool: [{{provider: {{{GEMINI}}}}}, {{{other}}}]}}, \
             {{pool: [{{{other}}}]}}]}}}}}}"
        )),
        backend(&format!(
            "{{type: AI, ai: {{priorityGroups: [{{providers: [{{{GEMINI}}}, {{{other}}}]}}, \
             {{providers: [{{{other}}}]}}]}}}}"
        )),
        upstream(&format!(
            "{{ai: {{multi: {{priorities: [{{pool: [{{{}}}, {{{other}}}]}}, {{pool: [{{{other}}}]}}]}}}}}}",
            GEMINI
        )),
    ];
    for shape in shapes {
        let Target::Ai(pool) = shape.unwrap().target else { panic!("is an AI backend") };
        assert_eq!(pool.only(), None);
        let groups: Vec<Vec<bool>> = pool
            .groups
            .iter()
            .map(|group| {
                group.destinations.iter().map(|one| matches!(one.provider, Provider::Gemini { .. })).collect()
            })
            .collect();
        assert_eq!(groups, [vec![true, false], vec![false]]);
    }
    let named =
        backend(&format!("{{type: AI, ai: {{priorityGroups: [{{providers: [{{name: a, {other}}}]}}]}}}}"));
    let Target::Ai(pool) = named.unwrap().target else { panic!("is an AI backend") };
    assert_eq!(pool.only().and_then(|one| one.name.as_deref()), Some("a"));
}

#[test]
fn what_makes_no_sense_is_said_at_its_path() {
    let gemini = |model: &str, version: &str| {
        llm(&format!(
            "{{gemini: {{model: '{model}', apiVersion: '{version}', authToken: {{passthrough: {{}}}}}}}}"
        ))
    };
    let with = |more: &str| llm(&format!("{{{GEMINI}, {more}}}"));
    let beside_llm =
        |more: &str| backend(&format!("{{type: AI, ai: {{llm: {{{GEMINI}, pathOverride: /a}}, {more}}}}}"));
    let rows = [
        (backend("{type: AI}"), "spec.ai: is required by spec.type"),
        (backend("{type: Static}"), "spec.static: is required by spec.type"),
        (
            backend("{type: Static, static: {hosts: [{host: a, port: 1}]}, ai: {}}"),
            "spec.ai: must not be set",
        ),
        (backend("{type: Static, static: {hosts: []}}"), "spec.static.hosts: must hold"),
        (
            backend("{type: Static, static: {hosts: [{host: 'a:1', port: 1}]}}"),
            "spec.static.hosts[0].host: is neither",
        ),
        (backend("{type: AI, ai: {}}"), "spec.ai: one of llm, multipool and priorityGroups must be set"),
        (backend("{type: AI, ai: {llm: {}, multipool: {priorities: []}}}"), "spec.ai: only one of llm"),
        (llm("{}"), "spec.ai.llm: one provider must be set"),
        (llm("{provider: {}}"), "spec.ai.llm.provider: one provider must be set"),
        (llm("{openai: {}, gemini: {}}"), "spec.ai.llm: only one provider can be set, not openai and gemini"),
        (llm("{provider: {openai: {}}, gemini: {}}"), "spec.ai.llm.gemini: must not be set together with"),
        (llm("{provider: {openai: {}}}"), "spec.ai.llm.provider.openai.authToken: is required"),
        (
            llm("{openai: {authToken: {inline: k}}, authToken: {inline: k}}"),
            "spec.ai.llm.authToken: must not be set together with spec.ai.llm.openai.authToken",
        ),
        (llm("{provider: {gemini: {apiVersion: v1}}}"), "spec.ai.llm.provider.gemini.model: is required"),
        (llm("{provider: {gemini: {model: m}}}"), "spec.ai.llm.provider.gemini.apiVersion: is required"),
        (gemini(" ", "v1"), "spec.ai.llm.gemini.model: is required"),
        (gemini("../x", "v1"), "spec.ai.llm.gemini.model: cannot be part of a URL path"),
        (gemini("m?key=1", "v1"), "spec.ai.llm.gemini.model: cannot be part of a URL path"),
        (gemini("m:countTokens", "v1"), "spec.ai.llm.gemini.model: cannot be part of a URL path"),
        (gemini("m", "v1/x"), "spec.ai.llm.gemini.apiVersion: cannot be part of a URL path"),
        (with("host: h"), "spec.ai.llm.port: is required with host"),
        (with("port: 1"), "spec.ai.llm.host: is required with port"),
        (with("host: 'https://h', port: 1"), "spec.ai.llm.host: is neither an IP address nor a DNS name"),
        (with("host: h, port: 1, hostOverride: h"), "spec.ai.llm.hostOverride: must not be set together"),
        (with("hostOverride: 'ftp://h'"), "spec.ai.llm.hostOverride: has a scheme"),
        (with("hostOverride: 'h:0'"), "spec.ai.llm.hostOverride: has a port"),
        (with("hostOverride: 'h/p'"), "spec.ai.llm.hostOverride: is neither"),
        (with("path: {full: p}"), "spec.ai.llm.path.full: is not a URL path"),
        (with("pathOverride: {fullPath: '/a b'}"), "spec.ai.llm.pathOverride.fullPath: is not a URL path"),
        (with("path: {full: /p}, pathOverride: /p"), "spec.ai.llm.pathOverride: must not be set together"),
        (
            beside_llm("pathOverride: /p"),
            "spec.ai.pathOverride: must not be set together with spec.ai.llm.pathOverride",
        ),
        (with("authHeader: {}"), "spec.ai.llm.authHeader: prefix or headerName must be set"),
        (
            with("authHeader: {headerName: X-Envoy-Key}"),
            "spec.ai.llm.authHeader.headerName: x-envoy-… is for what Envoy itself tells, not for a credential",
        ),
        (
            with("authHeader: {headerName: 'a b'}"),
            "spec.ai.llm.authHeader.headerName: \"a b\" is not a header name",
        ),
        (
            with("authHeader: {prefix: a}, authHeaderOverride: {prefix: a}"),
            "spec.ai.llm.authHeaderOverride: must not be set together with spec.ai.llm.authHeader",
        ),
        (upstream("{}"), "spec: one type of upstream must be set"),
        (upstream("{ai: {}, kube: {}}"), "spec: only one type of upstream can be set, not ai and kube"),
        (upstream("{ai: {}}"), "spec.ai: one provider must be set"),
        (upstream("{ai: {gemini: {model: m, apiVersion: v1}}}"), "spec.ai.gemini.authToken: is required"),
        (upstream("{static: {hosts: [{addr: '', port: 1}]}}"), "spec.static.hosts[0].addr: is required"),
        (
            llm("{azureopenai: {endpoint: e, apiVersion: v}}"),
            "spec.ai.llm.azureopenai.deploymentName: is required",
        ),
        (
            llm("{azureopenai: {endpoint: 'http://e', deploymentName: d, apiVersion: v}}"),
            "spec.ai.llm.azureopenai.endpoint: must not be plain http",
        ),
        (
            llm("{azureopenai: {endpoint: 'e/x', deploymentName: d, apiVersion: v}}"),
            "spec.ai.llm.azureopenai.endpoint: is neither an IP address nor a DNS name",
        ),
        (llm("{anthropic: {}}"), "spec.ai.llm.anthropic.authToken: is required"),
        (
            llm("{anthropic: {apiVersion: 'a b'}}"),
            "spec.ai.llm.anthropic.apiVersion: cannot be the value of a header",
        ),
        (
            llm("{vertexai: {model: m, apiVersion: v1, projectId: p}}"),
            "spec.ai.llm.vertexai.location: is required",
        ),
        (llm("{bedrock: {model: m}}"), "spec.ai.llm.bedrock.auth: is required"),
        (
            llm("{bedrock: {model: m, auth: {type: Secret}}}"),
            "spec.ai.llm.bedrock.auth.secretRef: is required by type",
        ),
        (
            llm("{bedrock: {model: m, region: 'us east', auth: {type: Secret, secretRef: {name: s}}}}"),
            "spec.ai.llm.bedrock.region: is no AWS region",
        ),
        (backend("{type: AI, ai: {priorityGroups: []}}"), "spec.ai: must hold at least one group"),
        (
            backend("{type: AI, ai: {priorityGroups: [{providers: []}]}}"),
            "spec.ai.priorityGroups[0].providers: must hold at least one provider",
        ),
        (
            backend(&format!(
                "{{type: AI, ai: {{multipool: {{priorities: [{{pool: [{{{GEMINI}}}, {{openai: {{}}}}]}}]}}}}}}"
            )),
            "spec.ai.multipool.priorities[0].pool[1].openai.authToken: is required",
        ),
        (
            upstream("{ai: {multi: {priorities: []}}}"),
            "spec.ai.multi.priorities: must hold at least one pool",
        ),
        (
            upstream("{ai: {multi: {priorities: [{pool: [{}]}]}}}"),
            "spec.ai.multi.priorities[0].pool[0]: one provider must be set",
        ),
        (
            upstream("{ai: {multi: {priorities: []}, openai: {}}}"),
            "spec.ai.openai: must not be set together with spec.ai.multi",
        ),
        (upstream("{ai: {bedrock: {model: m}}}"), "spec.ai.bedrock.credentialProvider: is required"),
        (
            upstream(
                "{ai: {bedrock: {model: m, credentialProvider: {inline: {accessKeyId: a, secretAccessKey: ''}}}}}",
            ),
            "spec.ai.bedrock.credentialProvider.inline: secretKey holds no usable credential",
        ),
    ];
    for (result, expected) in rows {
        let error = result.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error} does not begin with {expected}");
        assert_eq!(error.kind, ErrorKind::Invalid, "{expected}");
    }
}

#[test]
fn static_hosts_of_both_dialects_become_endpoints() {
    let endpoint = |server_name: Option<&str>| StaticEndpoint {
        host: "h".to_owned(),
        port: NonZeroU16::new(80).unwrap(),
        server_name: server_name.map(str::to_owned),
    };
    let rows = [
        (
            backend("{type: Static, static: {hosts: [{host: h, port: 80}], appProtocol: grpc-web}}"),
            StaticBackendSpec { hosts: vec![endpoint(None)], app_protocol: Some(AppProtocol::GrpcWeb) },
        ),
        (
            upstream("{static: {hosts: [{addr: h, port: 80}, {addr: h, port: 80, sniAddr: sn}]}}"),
            StaticBackendSpec { hosts: vec![endpoint(None), endpoint(Some("sn"))], app_protocol: None },
        ),
    ];
    for (result, expected) in rows {
        assert_eq!(result.unwrap().target, Target::Static(expected));
    }
}

#[test]
fn a_stored_credential_is_cleaned_before_use() {
    let rows = [
        ("k", Some("k")),
        (" k\r\n", Some("k")),
        ("Bearer k", Some("k")),
        ("bearer  k ", Some("k")),
        ("Bearerk", Some("Bearerk")),
        ("Bearer", None),
        ("", None),
        (" \n", None),
        ("k\nX-Evil: 1", None),
        ("ключ", Some("ключ")),
    ];
    for (stored, expected) in rows {
        assert_eq!(credential(stored), expected.map(SensitiveString::new), "{stored:?}");
    }
}
