//! The generated CRDs: an API server accepts them, the seeds fit them, and the committed files are current.

use std::{collections::BTreeSet, fs, path::Path};

use crds::{Object, ai, custom_resource_definitions, manifests};
use kube::core::cel;
use serde_json::{Value, json};

/// API group of Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The schema of each CRD, by kind.
fn schemas() -> Vec<(String, Value)> {
    custom_resource_definitions()
        .into_iter()
        .map(|crd| {
            let value = serde_json::to_value(&crd).unwrap();
            (crd.spec.names.kind, value["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
        })
        .collect()
}

fn seed(name: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name);
    serde_saphyr::from_multiple(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn committed_crds_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/files/crds");
    let ours: BTreeSet<String> =
        manifests().unwrap().into_iter().map(|manifest| manifest.file_name).collect();
    for manifest in manifests().unwrap() {
        let committed = fs::read_to_string(folder.join(&manifest.file_name)).unwrap_or_default();
        // Not assert_eq: its message would be two whole files.
        let hint = "run `cargo run -p crds --bin crd-yaml -- --out helm/files/crds`";
        assert!(committed == manifest.yaml, "{} is out of date: {hint}", manifest.file_name);
    }
    for group in ["gateway.kgateway.dev", "gateway.gloo.solo.io", "gateway.solo.io", "gloo.solo.io"] {
        let of_group =
            fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        for name in of_group.filter(|name| name.ends_with(&format!("{group}.yaml"))) {
            assert!(ours.contains(&name), "{name} is no longer generated");
        }
    }
}

#[test]
fn the_committed_reference_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let committed = fs::read_to_string(file).unwrap_or_default();
    assert!(committed == crds::reference(), "docs/reference.md is out of date: run `make crds`");
    // A field, one that is not carried out, and one within lists.
    for row in [
        "| `spec.ai.defaults` | list of object | Members that the body of a chat request gets. |",
        "| `spec.acl` | any | Not carried out yet: what it applies to is answered with 500. |",
        "| `spec.ai.defaults[].field` | string, required | Its name, at the top of the provider's body. |",
    ] {
        assert!(committed.contains(row), "{row}");
    }
}

#[test]
fn the_yaml_reads_back_as_the_crd() {
    for (manifest, crd) in manifests().unwrap().iter().zip(custom_resource_definitions()) {
        let read: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            serde_saphyr::from_str(&manifest.yaml).unwrap();
        assert_eq!(read, crd, "{}", manifest.file_name);
    }
}

// --- structural schemas ---

/// The rules of a structural schema that an API server enforces on a CRD, and our own on top of them
/// (nothing nullable, no default, every property described).
fn check_structural(path: &str, schema: &Value, problems: &mut Vec<String>) {
    const KEYWORDS: &[&str] = &[
        "additionalProperties",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "maxLength",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ];
    const FORMATS: &[&str] = &["date-time", "int32", "int64"];
    let members = schema.as_object().unwrap();
    let mut problem = |text: String| problems.push(format!("{path}: {text}"));
    for keyword in members.keys().filter(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
        problem(format!("keyword {keyword} is not one that we use"));
    }
    let preserves = schema["x-kubernetes-preserve-unknown-fields"] == json!(true);
    let kind = schema["type"].as_str();
    match kind {
        None if preserves && members.keys().all(|k| k == "description" || k.starts_with("x-")) => {}
        None if schema["x-kubernetes-int-or-string"] == json!(true) => {}
        None => problem("has no type".to_owned()),
        Some("object") if preserves && members.contains_key("properties") => {
            problem("is opaque and has properties".to_owned());
        }
        Some("object") => {}
        Some(_) if members.contains_key("properties") => {
            problem("has properties but is no object".to_owned())
        }
        Some("array") if !schema["items"].is_object() => {
            problem("is an array without one items schema".to_owned())
        }
        Some(kind) => {
            if !["array", "string", "integer", "number", "boolean"].contains(&kind) {
                problem(format!("has the type {kind}"));
            }
        }
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !FORMATS.contains(format)) {
        problem(format!("has the format {format}, which an API server warns about"));
    }
    let texts = schema["enum"].as_array().into_iter().flatten();
    if texts.filter(|value| !value.is_string()).count() > 0 {
        problem("has an enum value that is no string".to_owned());
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if schema["properties"].get(required.as_str().unwrap()).is_none() {
            problem(format!("requires {required}, which is no property"));
        }
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if kind.is_none() || preserves || rule["message"].as_str().is_none_or(str::is_empty) {
            problem(format!("the rule {rule} has no message, or nothing to look at"));
        }
    }
    // What the elements of a list of texts are is said at the list.
    let is_plain_element = path.ends_with("[]") && kind != Some("object");
    if path.contains('.') && !is_plain_element && schema["description"].as_str().is_none_or(str::is_empty) {
        problem("has no description".to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_structural(&format!("{path}.{name}"), property, problems);
    }
    for element in ["items", "additionalProperties"] {
        if schema[element].is_object() {
            check_structural(&format!("{path}[]"), &schema[element], problems);
        }
    }
}

/// Rules whose cost an API server would estimate as too high. It takes a list without `maxItems` for as long as a request
/// can be, and multiplies the cost of the rules of its elements by that; a rule that loops is too much then.
fn check_rule_costs(path: &str, schema: &Value, is_in_unbounded_list: bool, problems: &mut Vec<String>) {
    const LOOPS: [&str; 4] = [".all(", ".exists(", ".filter(", ".map("];
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap();
        if is_in_unbounded_list && LOOPS.iter().any(|call| text.contains(call)) {
            problems.push(format!("{path}: the rule {text:?} loops within a list that has no maxItems"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_rule_costs(&format!("{path}.{name}"), property, is_in_unbounded_list, problems);
    }
    let is_unbounded = is_in_unbounded_list || schema["maxItems"].is_null();
    for element in ["items", "additionalProperties"] {
        if schema[element].is_object() {
            check_rule_costs(&format!("{path}[]"), &schema[element], is_unbounded, problems);
        }
    }
}

/// To a rule, a field without a type is not there: the API server refuses the CRD.
fn check_rule_fields(path: &str, schema: &Value, problems: &mut Vec<String>) {
    let properties = &schema["properties"];
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let named = rule["rule"].as_str().unwrap_or_default().split("self.").skip(1);
        for rest in named {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let field = &properties[&rest[..end]];
            let has_type = field["type"].is_string() || field["x-kubernetes-int-or-string"] == true;
            if field.is_object() && !has_type {
                problems.push(format!("{path}: a rule names self.{}, which has no type", &rest[..end]));
            }
        }
    }
    for (name, property) in properties.as_object().into_iter().flatten() {
        check_rule_fields(&format!("{path}.{name}"), property, problems);
    }
    for below in ["items", "additionalProperties"].iter().filter_map(|below| schema.get(below)) {
        check_rule_fields(&format!("{path}[]"), below, problems);
    }
}

#[test]
fn schemas_are_structural() {
    for (kind, schema) in schemas() {
        let mut problems = Vec::new();
        check_structural(&kind, &schema, &mut problems);
        check_rule_costs(&kind, &schema, false, &mut problems);
        check_rule_fields(&kind, &schema, &mut problems);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn the_structural_check_sees_what_an_api_server_would_refuse() {
    let described = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
    let rows = [
        (json!({"description": "d"}), "has no type"),
        (json!({"description": "d", "$ref": "x"}), "keyword $ref"),
        (json!({"description": "d", "type": "string", "nullable": true}), "keyword nullable"),
        (json!({"description": "d", "anyOf": []}), "keyword anyOf"),
        (json!({"description": "d", "type": "integer", "format": "uint16"}), "uint16"),
        (json!({"description": "d", "type": "array"}), "without one items schema"),
        (json!({"description": "d", "type": "string", "enum": ["a", null]}), "is no string"),
        (json!({"description": "d", "type": "object", "required": ["b"]}), "is no property"),
        (json!({"type": "string"}), "has no description"),
        (
            json!({"type": "array", "items": {"x-kubernetes-validations": [{"rule": "self.a.all(x, x)"}]}}),
            "has no maxItems",
        ),
        (
            json!({"properties": {"b": {"x-kubernetes-preserve-unknown-fields": true}},
                "x-kubernetes-validations": [{"rule": "!has(self.b)"}]}),
            "self.b, which has no type",
        ),
        (
            json!({"description": "d", "type": "object", "additionalProperties": {"nullable": true}}),
            "nullable",
        ),
    ];
    for (schema, expected) in rows {
        let mut problems = Vec::new();
        check_structural("Kind", &described(schema.clone()), &mut problems);
        check_rule_costs("Kind", &described(schema.clone()), false, &mut problems);
        check_rule_fields("Kind", &described(schema), &mut problems);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

// --- documents against schemas ---

/// What strict server-side validation of a document would refuse, CEL rules aside.
fn refusals(path: &str, schema: &Value, value: &Value) -> Vec<String> {
    let at = |text: &str| format!("{path}: {text}");
    let mut found = Vec::new();
    if schema["type"].is_null() {
        return found;
    }
    let preserves = schema["x-kubernetes-preserve-unknown-fields"] == json!(true);
    match (schema["type"].as_str().unwrap(), value) {
        ("object", Value::Object(members)) => {
            for (name, member) in members {
                let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
                match known {
                    Some(property) => found.extend(refusals(&format!("{path}.{name}"), property, member)),
                    None if preserves => {}
                    None => found.push(at(&format!("unknown field {name}"))),
                }
            }
            let required =
                schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
            found.extend(
                required.filter(|name| !members.contains_key(*name)).map(|name| at(&format!("no {name}"))),
            );
        }
        ("array", Value::Array(items)) => {
            if schema["minItems"].as_u64().is_some_and(|min| (items.len() as u64) < min) {
                found.push(at("too few items"));
            }
            found
                .extend(items.iter().flat_map(|item| refusals(&format!("{path}[]"), &schema["items"], item)));
        }
        ("string", Value::String(text)) => {
            if schema["minLength"].as_u64().is_some_and(|min| (text.len() as u64) < min) {
                found.push(at("too short"));
            }
            if schema["maxLength"].as_u64().is_some_and(|max| (text.len() as u64) > max) {
                found.push(at("too long"));
            }
            if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
                found.push(at("not in the enum"));
            }
        }
        ("integer" | "number", Value::Number(number)) => {
            let number = number.as_f64().unwrap();
            let in_bounds = schema["minimum"].as_f64().is_none_or(|min| min <= number)
                && schema["maximum"].as_f64().is_none_or(|max| number <= max);
            if !in_bounds {
                found.push(at("out of bounds"));
            }
        }
        ("boolean", Value::Bool(_)) => {}
        (expected, _) => found.push(at(&format!("is no {expected}"))),
    }
    found
}

fn schema_of(kind: &str) -> Value {
    schemas().into_iter().find(|(name, _)| name == kind).unwrap().1
}

/// What an API server would refuse in the spec of an object of this kind, CEL rules included.
fn refused(kind: &str, spec: &Value) -> Vec<String> {
    let schema = schema_of(kind);
    let mut found = refusals("spec", &schema["properties"]["spec"], spec);
    let object = match kind {
        "Backend"
        | "BackendConfigPolicy"
        | "DirectResponse"
        | "GatewayExtension"
        | "HTTPListenerPolicy"
        | "TrafficPolicy" => json!({"apiVersion": "gateway.kgateway.dev/v1alpha1"}),
        "HttpListenerOption" | "ListenerOption" | "RouteOption" | "VirtualHostOption" => {
            json!({"apiVersion": "gateway.solo.io/v1"})
        }
        "Budget" | "PriceList" | "VirtualKey" => json!({"apiVersion": "chancery.dev/v1alpha1"}),
        "RateLimitConfig" => json!({"apiVersion": "ratelimit.solo.io/v1alpha1"}),
        _ => json!({"apiVersion": "gloo.solo.io/v1"}),
    };
    let mut object = object;
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "a"});
    object["spec"] = spec.clone();
    let Ok(decoded) = Object::decode(object) else {
        found.push("does not decode".to_owned());
        return found;
    };
    let rules = match decoded.object {
        Object::Backend(backend) => cel::validate_cel(&*backend),
        Object::BackendConfigPolicy(policy) => cel::validate_cel(&*policy),
        Object::Upstream(upstream) => cel::validate_cel(&*upstream),
        Object::TrafficPolicy(policy) => cel::validate_cel(&*policy),
        Object::RouteOption(option) => cel::validate_cel(&*option),
        Object::HttpListenerPolicy(policy) => cel::validate_cel(&*policy),
        Object::HttpListenerOption(option) => cel::validate_cel(&*option),
        Object::ListenerOption(option) => cel::validate_cel(&*option),
        Object::DirectResponse(response) => cel::validate_cel(&*response),
        Object::GatewayExtension(extension) => cel::validate_cel(&*extension),
        Object::VirtualHostOption(option) => cel::validate_cel(&*option),
        Object::VirtualKey(key) => cel::validate_cel(&*key),
        Object::Budget(budget) => cel::validate_cel(&*budget),
        Object::PriceList(list) => cel::validate_cel(&*list),
        Object::RateLimitConfig(config) => cel::validate_cel(&*config),
        other => panic!("{other:?} is not ours"),
    };
    found.extend(rules.err().map(|errors| errors.to_string()));
    found
}

#[test]
fn seeds_fit_the_schema_and_mean_what_they_say() {
    for (file, namespace) in [("kgateway.yaml", "kgateway-system"), ("gloo.yaml", "gloo-system")] {
        let documents = seed(file);
        assert_eq!(documents.len(), 3, "{file}");
        for document in documents {
            let decoded = Object::decode(document.clone()).unwrap();
            assert_eq!(decoded.unknown_fields, [] as [&str; 0], "{file}");
            assert_eq!(decoded.object.metadata().namespace(), Some(namespace));
            let canonical = match &decoded.object {
                Object::Backend(backend) => ai::canonical_backend(backend),
                Object::Upstream(upstream) => ai::canonical_upstream(upstream),
                _ => continue,
            };
            assert_eq!(
                refused(decoded.object.kind().info().kind, &document["spec"]),
                [] as [&str; 0],
                "{file}"
            );
            let expected = ai::AiDestination {
                name: None,
                provider: ai::Provider::Gemini {
                    model: "gemini-1.5-flash-latest".to_owned(),
                    api_version: "v1beta".to_owned(),
                },
                auth: ai::AuthToken::SecretRef(crds::NamespacedName::new(namespace, "google-secret")),
                overrides: ai::Overrides::default(),
            };
            let expected = ai::Canonical { target: ai::Target::Ai(expected.into()), warnings: vec![] };
            assert_eq!(canonical, Ok(expected), "{file}");
        }
    }
}

#[test]
fn the_api_server_accepts_every_shape() {
    let token = json!({"secretRef": {"name": "s"}});
    let gemini = json!({"model": "m", "apiVersion": "v1", "authToken": token});
    let llm = |llm: Value| json!({"type": "AI", "ai": {"llm": llm}});
    let rows = [
        ("Backend", llm(json!({"provider": {"gemini": gemini}, "hostOverride": {"host": "h", "port": 1}}))),
        ("Backend", llm(json!({"gemini": gemini, "host": "h", "port": 1, "path": {"full": "/"}}))),
        ("Backend", llm(json!({"gemini": gemini, "hostOverride": "h", "pathOverride": "/p"}))),
        ("Backend", llm(json!({"gemini": gemini, "authHeader": {"prefix": ""}}))),
        ("Backend", llm(json!({"openai": {}, "authToken": token}))),
        (
            "Backend",
            llm(
                json!({"provider": {"bedrock": {"model": "m", "auth": {"type": "Secret", "secretRef": {"name": "s"}}}}}),
            ),
        ),
        (
            "Backend",
            llm(
                json!({"azureopenai": {"endpoint": "e", "deploymentName": "d", "apiVersion": "v", "authToken": token}}),
            ),
        ),
        ("Backend", llm(json!({"anthropic": {"authToken": token, "apiVersion": "2023-06-01"}}))),
        (
            "Backend",
            llm(
                json!({"vertexai": {"model": "m", "apiVersion": "v1", "projectId": "p", "location": "l", "publisher": "GOOGLE", "authToken": token}}),
            ),
        ),
        (
            "Backend",
            json!({"type": "AI", "ai": {"priorityGroups": [{"providers": [{"name": "a", "gemini": gemini}, {"name": "b", "gemini": gemini}]}]}}),
        ),
        (
            "Backend",
            json!({"type": "AI", "ai": {"multipool": {"priorities": [{"pool": [{"gemini": gemini}]}]}}}),
        ),
        ("Backend", json!({"type": "AWS", "aws": {"any": "thing"}})),
        ("Backend", json!({"type": "Static", "static": {"hosts": [{"host": "a", "port": 1}]}})),
        ("Upstream", json!({"ai": {"openai": {"authToken": {"kind": "Passthrough"}}}})),
        ("Upstream", json!({"ai": {"gemini": {"authToken": {"inline": "k"}}}})),
        ("Upstream", json!({"kube": {"serviceName": "a"}})),
        (
            "Upstream",
            json!({"ai": {"multi": {"priorities": [{"pool": [{"mistral": {"authToken": token}}]}]}}}),
        ),
        (
            "Upstream",
            json!({"ai": {"bedrock": {"model": "m", "credentialProvider": {"inline": {"accessKeyId": "a", "secretAccessKey": "b"}}}}}),
        ),
        (
            "Upstream",
            json!({"ai": {"vertexAi": {"model": "m", "jsonSchema": "ANTHROPIC", "authToken": token}}}),
        ),
        ("TrafficPolicy", json!({})),
        (
            "TrafficPolicy",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "g", "sectionName": "l"}, {"group": "gateway.networking.x-k8s.io", "kind": "XListenerSet", "name": "x"}, {"group": "gateway.kgateway.dev", "kind": "Backend", "name": "b"}],
                "targetSelectors": [{"group": GATEWAY_API, "kind": "HTTPRoute", "matchLabels": {"a": "b"}}]}),
        ),
        (
            "TrafficPolicy",
            json!({"ai": {"promptEnrichment": {"prepend": [{"role": "SYSTEM", "content": "a\n\"b\""}], "append": []},
                "defaults": [{"field": "temperature", "value": "0.5", "override": true}], "routeType": "CHAT_STREAMING",
                "promptGuard": {"request": {"regex": {"builtins": ["SSN"]}}}}}),
        ),
        (
            "TrafficPolicy",
            json!({"ai": {"promptGuard": {
                "request": {"customResponse": {"message": "no", "statusCode": 422}, "webhook": {"host": {"host": "h", "port": 1}, "forwardHeaders": [{"name": "a", "value": "b"}]},
                    "regex": {"matches": [{"pattern": "a", "name": "b"}], "builtins": ["EMAIL", "CREDIT_CARD", "PHONE_NUMBER"], "action": "REJECT"},
                    "moderation": {"openAIModeration": {"authToken": {"kind": "Inline", "inline": "k"}}}},
                "response": {"regex": {"action": "MASK"}, "webhook": {"host": {"host": "h", "port": 443},
                    "forwardHeaderMatches": [{"type": "RegularExpression", "name": "a", "value": "b"}]}}}}}),
        ),
        (
            "RouteOption",
            json!({"options": {"ai": {"promptGuard": {
                "request": {"webhook": {"host": "h", "port": 1, "forwardHeaders": [{"key": "a"}, {"key": "b", "matchType": "PREFIX"}, {"key": "c", "matchType": 4}]},
                    "moderation": {"openai": {"model": "m", "authToken": {"secretRef": {"name": "a", "namespace": "b"}}}}},
                "response": {"webhook": {"host": "h", "port": 1}}}}}}),
        ),
        (
            "RouteOption",
            json!({"options": {"ai": {"promptGuard": {"request": {"regex": {"builtins": ["SSN"]}}}}}}),
        ),
        ("TrafficPolicy", json!({"jwtAuth": {"extensionRef": {"name": "idp", "namespace": "other"}}})),
        (
            "TrafficPolicy",
            json!({"jwtAuth": {"disable": {}}, "rbac": {"policy": {"matchExpressions": ["true"]}}}),
        ),
        (
            "GatewayExtension",
            json!({"type": "JWT", "jwt": {"validationMode": "AllowMissing", "providers": [jwt_provider()]}}),
        ),
        ("DirectResponse", json!({"status": 418, "body": "tea"})),
        ("TrafficPolicy", json!({"internalRedirect": {}})),
        (
            "TrafficPolicy",
            json!({"internalRedirect": {"redirectResponseCodes": [301, 302, 303, 307, 308], "allowCrossSchemeRedirect": false,
                "responseHeadersToCopy": ["x-a"], "maxRedirects": 5}}),
        ),
        (
            "BackendConfigPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"},
                {"group": "gateway.kgateway.dev", "kind": "Backend", "name": "b"}],
                "targetSelectors": [{"group": "", "kind": "Service", "matchLabels": {"a": "b"}}],
                "connectTimeout": "1s", "perConnectionBufferLimitBytes": 0,
                "tcpKeepalive": {"keepAliveProbes": 3, "keepAliveTime": "30s", "keepAliveInterval": "5s"},
                "commonHttpProtocolOptions": {"idleTimeout": "0s", "maxHeadersCount": 15, "maxStreamDuration": "30s",
                    "maxRequestsPerConnection": 100},
                "http1ProtocolOptions": {"enableTrailers": true, "preserveHttp1HeaderCase": true,
                    "overrideStreamErrorOnInvalidHttpMessage": true},
                "healthCheck": {"timeout": "5s", "interval": "10s", "unhealthyThreshold": 3, "healthyThreshold": 2,
                    "grpc": {"serviceName": "a", "authority": "b"}},
                "outlierDetection": {"consecutive5xx": 7, "interval": "10s", "baseEjectionTime": "30s",
                    "maxEjectionPercent": 50}}),
        ),
        (
            "BackendConfigPolicy",
            json!({"http2ProtocolOptions": {"initialStreamWindowSize": "64Ki", "initialConnectionWindowSize": 65535,
                    "maxConcurrentStreams": 10},
                "loadBalancer": {"ringHash": {"minimumRingSize": 1024, "hashPolicies": [{"header": {"name": "a"}, "terminal": true},
                    {"cookie": {"name": "b", "ttl": "1h", "sameSite": "Lax"}}, {"sourceIP": {}}]}, "localityType": "WeightedLb"},
                "tls": {"sni": "a.test", "wellKnownCACertificates": "System", "verifySubjectAltNames": ["b.test"]},
                "circuitBreakers": {"maxRequests": 1}}),
        ),
        // Not carried out, but kept, so that the status can name them.
        (
            "BackendConfigPolicy",
            json!({"tls": {"secretRef": {"name": "a"}, "parameters": {"minVersion": "1.2"}}, "dns": {"refreshRate": "1s"},
                "upstreamProxyProtocol": {"version": "V1"}}),
        ),
        ("TrafficPolicy", json!({"basicAuth": {"users": ["alice:{SHA}4yvU2nDIjg+qQ04AgGsx1Egh63I="]}})),
        ("TrafficPolicy", json!({"basicAuth": {"secretRef": {"name": "a", "namespace": "b", "key": "c"}}})),
        (
            "TrafficPolicy",
            json!({"apiKeyAuth": {"secretSelector": {"matchLabels": {"a": "b"}}, "clientIdHeader": "x-a",
                "forwardCredential": true, "keySources": [{"header": "a", "query": "b", "cookie": "c"}]}}),
        ),
        ("TrafficPolicy", json!({"apiKeyAuth": {"disable": {}}, "basicAuth": {"disable": {}}})),
        (
            "DirectResponse",
            json!({"status": 200, "bodyFormat": {"text": "%PROTOCOL%", "contentType": "text/html"}}),
        ),
        ("DirectResponse", json!({"status": 200, "bodyFormat": {"json": {"a": {"b": ["%PROTOCOL%", 1]}}}})),
        ("GatewayExtension", json!({"extAuth": {"grpcService": {"backendRef": {"name": "a", "port": 1}}}})),
        (
            "GatewayExtension",
            json!({"type": "ExtAuth", "extAuth": {"httpService": {"backendRef": {"name": "a", "port": 1}, "pathPrefix": "/a",
                "authorizationRequest": {"headersToAdd": {"a": "b"}}, "authorizationResponse": {"headersToBackend": ["c"]}},
                "failOpen": true, "withRequestBody": {"maxRequestBytes": 1, "packAsBytes": true}, "percentageEnabled": 0}}),
        ),
        (
            "TrafficPolicy",
            json!({"extAuth": {"extensionRef": {"name": "a"}, "contextExtensions": {"b": "c"},
                "withRequestBody": {"maxRequestBytes": 1, "allowPartialMessage": true}}}),
        ),
        ("TrafficPolicy", json!({"extAuth": {"enablement": "DisableAll"}})),
        (
            "VirtualHostOption",
            json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a", "sectionName": "b"}],
                "options": {"jwtStaged": {"afterExtAuth": {"validationPolicy": 1, "providers": {"a": {"issuer": "b",
                    "jwks": {"local": {"key": "c"}}, "clockSkewSeconds": 5,
                    "claimsToHeaders": [{"claim": "sub", "header": "x-sub"}]}}}}}}),
        ),
        (
            "RouteOption",
            json!({"options": {"jwt": {"disable": true}, "rbac": {"policies": {"a": {"nestedClaimDelimiter": ".",
                "permissions": {"methods": ["GET"]}, "principals": [
                    {"jwtPrincipal": {"claims": {"a.b": "c"}, "matcher": "LIST_CONTAINS"}},
                    {"jwtPrincipal": {"claims": {"verified": true}, "matcher": 1}}]}}}}}),
        ),
        ("TrafficPolicy", json!({"extAuth": {"disable": {}}, "autoHostRewrite": true, "statPrefix": "x"})),
        (
            "TrafficPolicy",
            json!({"timeouts": {"request": "1m30s", "streamIdle": "0s"}, "cors": {"disable": {}}, "buffer": {"maxRequestSize": "64Ki"},
                "retry": {"retryOn": ["5xx"], "statusCodes": [429], "attempts": 0, "perTryTimeout": "1s"},
                "headerModifiers": {"request": {"set": [{"name": "a", "value": "b"}], "remove": ["c"]}},
                "csrf": {"percentageEnabled": 50, "additionalOrigins": [{"suffix": ".a.com", "ignoreCase": true}]},
                "rateLimit": {"local": {"tokenBucket": {"maxTokens": 1, "fillInterval": "50ms"}},
                    "global": {"extensionRef": {"name": "a"}, "descriptors": [{"entries": [
                        {"type": "Generic", "generic": {"key": "a", "value": "b"}}, {"type": "Header", "header": ":method"},
                        {"type": "RemoteAddress"}, {"type": "Path"}]}]}}}),
        ),
        (
            "TrafficPolicy",
            json!({"rateLimit": {"global": {"disable": {}}}, "extProc": {"disable": {}}, "faultInjection": {"disable": {}}}),
        ),
        (
            "TrafficPolicy",
            json!({"extProc": {"extensionRef": {"name": "a"}, "processingMode": {"requestHeaderMode": "SKIP", "responseBodyMode": "BUFFERED_PARTIAL"}},
                "compression": {"responseCompression": {"libraries": ["Gzip"]}, "requestDecompression": {"disable": {}}},
                "faultInjection": {"delay": {"fixedDelay": "1s"}, "abort": {"grpcStatus": 0, "percentage": 1},
                    "responseRateLimit": {"kbitsPerSecond": 1}, "maxActiveFaults": 0},
                "urlRewrite": {"pathRegex": {"pattern": "^/a/(.*)", "substitution": "/\\1"}}}),
        ),
        (
            "GatewayExtension",
            json!({"type": "RateLimit", "rateLimit": {"grpcService": {"backendRef": {"name": "a", "port": 1}}, "domain": "b",
                "failOpen": true, "timeout": "100ms", "xRateLimitHeaders": "DraftVersion03"}}),
        ),
        (
            "GatewayExtension",
            json!({"type": "ExtProc", "extProc": {"grpcService": {"backendRef": {"name": "a", "port": 1}}, "failOpen": false,
                "processingMode": {}, "messageTimeout": "1s", "maxMessageTimeout": "2s", "statPrefix": "a", "routeCacheAction": "Clear",
                "allowProcessingModeOverride": true, "allowedProcessingModeOverrides": [{"requestBodyMode": "STREAMED"}],
                "metadataOptions": {"forwarding": {"typed": ["a"], "untyped": ["b"]}}}}),
        ),
        (
            "TrafficPolicy",
            json!({"rateLimit": {"local": {}}, "buffer": {"maxRequestSize": 1024}, "timeouts": {"request": "0s"}, "retry": {"statusCodes": [500], "perTryTimeout": "1s"}}),
        ),
        (
            "RouteOption",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": "r", "namespace": "default"}],
                "options": {"ai": {"defaults": [{"field": "a", "value": {"b": [1, null]}}, {"field": "c", "value": false}], "routeType": 1},
                    "timeout": "3s", "rbac": {"disable": true}}}),
        ),
        ("RouteOption", json!({"options": {"ai": {"routeType": "CHAT", "semanticCache": {}}}})),
        (
            "RouteOption",
            json!({"options": {"faults": {"abort": {"percentage": 50, "httpStatus": 503}, "delay": {"fixedDelay": "1s"}},
                "hostRewrite": "a.test", "regexRewrite": {"pattern": {"regex": "a"}, "substitution": "b"}}}),
        ),
        (
            "RouteOption",
            json!({"options": {"timeout": "20s", "idleTimeout": "1m",
                "retries": {"retryOn": "5xx", "numRetries": 3, "perTryTimeout": "5s", "retriableStatusCodes": [503], "previousPriorities": {}},
                "headerManipulation": {"requestHeadersToAdd": [{"header": {"key": "a", "value": "b"}, "append": false}]},
                "cors": {"allowOrigin": ["https://a.com"], "maxAge": "60"}, "bufferPerRoute": {"buffer": {"maxRequestBytes": 1024}}}}),
        ),
        (
            "HTTPListenerPolicy",
            json!({"useRemoteAddress": false, "xffNumTrustedHops": 1, "serverHeaderTransformation": "PassThrough",
                "streamIdleTimeout": "30s", "idleTimeout": "30s", "healthCheck": {"path": "/healthz"}, "preserveHttp1HeaderCase": true,
                "acceptHttp10": true, "defaultHostForHttp10": "a.test", "maxRequestHeadersKb": 8192,
                "upgradeConfig": {"enabledUpgrades": ["websocket"]}}),
        ),
        (
            "HTTPListenerPolicy",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "g"}],
                "accessLog": [
                    {"fileSink": {"path": "/dev/stdout", "jsonFormat": {"a": ["%PROTOCOL%", 1]}},
                        "filter": {"andFilter": [{"statusCodeFilter": {"op": "GE", "value": 400}}, {"notHealthCheckFilter": true}]}},
                    {"grpcService": {"logName": "a", "backendRef": {"name": "a", "port": 1}, "timeout": "5s",
                        "initialMetadata": [{"key": "a"}], "retryPolicy": {"retryBackOff": {"baseInterval": "1s"}},
                        "additionalRequestHeadersToLog": ["a"]}},
                    {"openTelemetry": {"grpcService": {"logName": "a", "backendRef": {"name": "a", "port": 1}},
                        "attributes": {"values": [{"key": "a", "value": {"kvListValue": {"values": [
                            {"key": "b", "value": {"arrayValue": [{"stringValue": "c"}]}}]}}}]}}},
                ],
                "tracing": {"provider": {"openTelemetry": {"grpcService": {"backendRef": {"name": "a", "port": 1}},
                        "resourceDetectors": [{"environmentResourceDetector": {}}], "sampler": {"alwaysOnConfig": {}}}},
                    "randomSampling": 5, "attributes": [{"name": "a", "metadata": {"kind": "Host",
                        "metadataKey": {"key": "a", "path": [{"key": "b"}]}}}]},
                "useRemoteAddress": true, "idleTimeout": "5s"}),
        ),
        (
            "ListenerOption",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "g", "namespace": "default", "sectionName": "l"}],
                "options": {"accessLoggingService": {"accessLog": [{"fileSink": {"path": "a", "stringFormat": "%PROTOCOL%"}, "filter": {}}]},
                    "tcpStats": true}}),
        ),
        (
            "VirtualKey",
            json!({"secretRef": {"name": "a", "key": "b"}, "previous": [{"secretRef": {"name": "c"}, "until": "2030-01-01T00:00:00Z"}],
                "models": ["gpt-4o", "claude-*"], "expires": "2031-01-01T00:00:00Z"}),
        ),
        ("Budget", json!({"limit": {"tokens": 5}, "per": "Month"})),
        (
            "PriceList",
            json!({"provider": "azureopenai", "backends": ["a"], "models": [
                {"model": "gpt-*", "prices": [
                    {"effectiveFrom": "2027-01-01T00:00:00Z", "input": "2.50", "output": "10"},
                    {"input": "2", "output": "0.000001", "cacheRead": "0", "cacheWrite": "1000000", "cacheWriteHour": "3",
                        "tiers": [{"tier": "Flex", "input": "1"}, {"promptsAbove": 200_000, "input": "4", "output": "15"}]}]}]}),
        ),
        (
            "Budget",
            json!({"keys": {"matchLabels": {"a": "b"}}, "limit": {"requests": 0}, "per": "Week", "timeZone": "Europe/Berlin",
                "spenders": "EachKey", "action": "Audit"}),
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 5}, "per": "Day", "action": "Fallback",
                "fallback": {"models": [{"from": "gpt-*", "to": "gpt-4o-mini"}, {"to": "small"}]}}),
        ),
        ("Budget", json!({"limit": {"usd": "250.50"}, "per": "Month", "unpriced": "Allow"})),
        (
            "Budget",
            json!({"claims": {"match": [{"name": "team", "value": "search"}, {"name": "https://a.example/b", "value": "c"}]},
                "limit": {"tokens": 5}, "per": "Day"}),
        ),
        (
            "Budget",
            json!({"claims": {"each": "sub"}, "limit": {"tokens": 5}, "per": "Day", "spenders": "EachClaim"}),
        ),
        (
            "HttpListenerOption",
            json!({"options": {"httpConnectionManagerSettings": {"useRemoteAddress": true}, "leftmostXffAddress": true}}),
        ),
        (
            "RateLimitConfig",
            json!({"raw": {
                "descriptors": [{"key": "a", "rateLimit": {"unit": "HOUR", "requestsPerUnit": 70}, "weight": 1, "alwaysApply": true,
                    "descriptors": [{"key": "b", "value": "c", "descriptors": [{"key": "d", "descriptors": [{"key": "e", "any": "thing"}]}]}]}],
                "setDescriptors": [{"simpleDescriptors": [{"key": "a"}, {"key": "b", "value": "c"}], "rateLimit": {"unit": "DAY", "requestsPerUnit": 1}}],
                "rateLimits": [{"type": "TOKEN", "actions": [
                    {"metadata": {"descriptorKey": "a", "source": "DYNAMIC", "default": "unknown",
                        "metadataKey": {"key": "envoy.filters.http.jwt_authn", "path": [{"key": "principal"}, {"key": "sub"}]}}},
                    {"requestHeaders": {"headerName": "x-a", "descriptorKey": "b"}},
                    {"genericKey": {"descriptorValue": "c"}}, {"remoteAddress": {}}, {"destinationCluster": {}},
                    {"headerValueMatch": {"descriptorValue": "v", "headers": [{"name": "x", "prefixMatch": "y"}]}}]}]}}),
        ),
    ];
    for (kind, spec) in rows {
        assert_eq!(refused(kind, &spec), [] as [&str; 0], "{kind} {spec}");
    }
}

#[test]
fn the_api_server_refuses_what_makes_no_sense() {
    let llm = |llm: Value| json!({"type": "AI", "ai": {"llm": llm}});
    let token = |token: Value| llm(json!({"openai": {"authToken": token}}));
    let openai = json!({"authToken": {"inline": "k"}});
    let rows = [
        ("Backend", json!({"type": "AI", "static": {"hosts": [{"host": "a", "port": 1}]}}), "ai must be set"),
        (
            "Backend",
            json!({"type": "AI", "ai": {"llm": {"openai": openai}}, "mcp": {}}),
            "exactly one of ai, static",
        ),
        (
            "Backend",
            json!({"type": "Static", "static": {"hosts": [{"host": "a", "port": 70000}]}}),
            "out of bounds",
        ),
        ("Backend", json!({"type": "Static", "static": {"hosts": []}}), "too few items"),
        ("Backend", json!({"type": "AI", "ai": {}}), "exactly one of llm"),
        ("Backend", llm(json!({})), "exactly one provider"),
        ("Backend", llm(json!({"provider": {"openai": openai, "bedrock": {}}})), "exactly one provider"),
        ("Backend", llm(json!({"provider": {"openai": openai}, "openai": openai})), "exactly one provider"),
        ("Backend", llm(json!({"openai": openai, "host": "h"})), "host and port"),
        ("Backend", llm(json!({"openai": openai, "authHeader": {}})), "prefix or headerName"),
        ("Backend", llm(json!({"gemini": {"apiVersion": "v1"}})), "no model"),
        ("Backend", llm(json!({"openia": openai})), "unknown field openia"),
        ("Backend", token(json!({})), "exactly one of inline, secretRef and passthrough"),
        ("Backend", token(json!({"kind": "Inline", "secretRef": {"name": "s"}})), "named by kind"),
        ("Backend", token(json!({"inline": "k", "passthrough": {}})), "exactly one of inline"),
        ("Backend", token(json!({"kind": "Passthrough", "inline": "k"})), "exactly one of inline"),
        ("VirtualKey", json!({}), "does not decode"),
        ("VirtualKey", json!({"secretRef": {"name": "a"}, "models": []}), "too few items"),
        ("VirtualKey", json!({"secretRef": {"name": "a"}, "expires": "tomorrow"}), "does not decode"),
        ("PriceList", json!({"models": []}), "too few items"),
        ("PriceList", json!({"models": [{"model": "m", "prices": []}]}), "too few items"),
        ("PriceList", json!({"models": [{"model": "m", "prices": [{"output": "1"}]}]}), "does not decode"),
        ("PriceList", json!({"models": [{"model": "m", "prices": [{"input": 1.5}]}]}), "does not decode"),
        (
            "PriceList",
            json!({"provider": "openrouter", "models": [{"model": "m", "prices": [{"input": "1"}]}]}),
            "does not decode",
        ),
        ("Budget", json!({"limit": {"tokens": 1}}), "does not decode"),
        ("Budget", json!({"limit": {"tokens": 1}, "per": "Fortnight"}), "does not decode"),
        (
            "Budget",
            json!({"limit": {"tokens": 1, "requests": 1}, "per": "Day"}),
            "exactly one of requests, tokens and usd",
        ),
        ("Budget", json!({"limit": {}, "per": "Day"}), "exactly one of requests, tokens and usd"),
        ("Budget", json!({"limit": {"tokens": -1}, "per": "Day"}), "out of bounds"),
        (
            "Budget",
            json!({"limit": {"tokens": 1, "usd": "1"}, "per": "Day"}),
            "exactly one of requests, tokens and usd",
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 1}, "per": "Day", "unpriced": "Allow"}),
            "unpriced must be set with a limit in usd",
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 1}, "per": "Day", "action": "Fallback"}),
            "fallback must be set with the action Fallback",
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 1}, "per": "Day", "fallback": {"models": [{"to": "m"}]}}),
            "fallback must be set with the action Fallback",
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 1}, "per": "Day", "action": "Fallback", "fallback": {"models": []}}),
            "too few items",
        ),
        (
            "Budget",
            json!({"keys": {"matchLabels": {}}, "claims": {}, "limit": {"tokens": 1}, "per": "Day"}),
            "keys and claims exclude each other",
        ),
        (
            "Budget",
            json!({"claims": {}, "limit": {"tokens": 1}, "per": "Day", "spenders": "EachKey"}),
            "spenders must not be EachKey with claims",
        ),
        (
            "Budget",
            json!({"claims": {"each": "sub"}, "limit": {"tokens": 1}, "per": "Day"}),
            "claims.each must be set with spenders EachClaim",
        ),
        (
            "Budget",
            json!({"limit": {"tokens": 1}, "per": "Day", "spenders": "EachClaim"}),
            "claims.each must be set with spenders EachClaim",
        ),
        (
            "Budget",
            json!({"claims": {"match": [{"name": "", "value": "a"}]}, "limit": {"tokens": 1}, "per": "Day"}),
            "too short",
        ),
        (
            "Budget",
            json!({"claims": {"match": [{"name": "a", "value": 5}]}, "limit": {"tokens": 1}, "per": "Day"}),
            "does not decode",
        ),
        ("TrafficPolicy", json!({"virtualKeys": {}}), "exactly one of matchLabels and disable"),
        (
            "TrafficPolicy",
            json!({"virtualKeys": {"matchLabels": {}, "disable": {}}}),
            "exactly one of matchLabels and disable",
        ),
        ("Upstream", json!({}), "exactly one type of upstream"),
        (
            "Upstream",
            json!({"ai": {"openai": openai, "multi": {"priorities": [{"pool": []}]}}}),
            "exactly one provider",
        ),
        (
            "Upstream",
            json!({"ai": {"multi": {"priorities": [{"pool": [{"openai": openai, "mistral": openai}]}]}}}),
            "exactly one provider",
        ),
        (
            "Upstream",
            json!({"ai": {"bedrock": {"credentialProvider": {}}}}),
            "exactly one of secretRef and inline",
        ),
        (
            "Backend",
            json!({"type": "AI", "ai": {"priorityGroups": [{"providers": [{"name": "a", "openai": openai}, {"name": "a", "openai": openai}]}]}}),
            "names of providers must differ",
        ),
        ("Backend", llm(json!({"openai": openai, "name": "a"})), "name belongs to"),
        (
            "Backend",
            llm(json!({"bedrock": {"model": "m", "auth": {"type": "Secret"}}})),
            "secretRef must be set",
        ),
        ("Backend", llm(json!({"azureopenai": {"endpoint": "e"}})), "no deploymentName"),
        (
            "TrafficPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "s"}]}),
            "targetRefs may name",
        ),
        (
            "TrafficPolicy",
            json!({"targetSelectors": [{"group": "gateway.kgateway.dev", "kind": "Backend", "matchLabels": {"a": "b"}}]}),
            "targetSelectors may select",
        ),
        ("TrafficPolicy", json!({"targetSelectors": [{"group": "", "kind": "Gateway"}]}), "no matchLabels"),
        (
            "TrafficPolicy",
            json!({"ai": {"promptGuard": {"request": {"customResponse": {"statusCode": 99}}}}}),
            "out of bounds",
        ),
        (
            "RouteOption",
            json!({"options": {"ai": {"promptGuard": {"request": {"regex": {"builtins": ["IBAN"]}}}}}}),
            "",
        ),
        ("TrafficPolicy", json!({"ai": {"promptGuard": {"response": {"regex": {"action": "DROP"}}}}}), ""),
        ("TrafficPolicy", json!({"ai": {"promptGuard": {"request": {"webhook": {}}}}}), "no host"),
        (
            "TrafficPolicy",
            json!({"ai": {"promptGuard": {"request": {"webhook": {"host": {"host": "h", "port": 65536}}}}}}),
            "out of bounds",
        ),
        (
            "TrafficPolicy",
            json!({"ai": {"promptGuard": {"request": {"moderation": {"openAIModeration": {"authToken": {}}}}}}}),
            "exactly one of inline",
        ),
        (
            "RouteOption",
            json!({"options": {"ai": {"promptGuard": {"response": {"webhook": {"host": "h", "port": 0}}}}}}),
            "out of bounds",
        ),
        ("TrafficPolicy", json!({"ai": {"routeType": "STREAM"}}), "not in the enum"),
        ("TrafficPolicy", json!({"ai": {"defaults": [{"field": "a", "value": 1}]}}), "is no string"),
        ("TrafficPolicy", json!({"ai": {"defaults": [{"field": "", "value": "1"}]}}), "too short"),
        (
            "TrafficPolicy",
            json!({"ai": {"promptEnrichment": {"prepend": [{"role": "system"}]}}}),
            "no content",
        ),
        ("TrafficPolicy", json!({"jwtAuth": {}}), "exactly one of extensionRef and disable"),
        ("TrafficPolicy", json!({"extAuth": {}}), "exactly one of extensionRef and disable"),
        (
            "TrafficPolicy",
            json!({"extAuth": {"extensionRef": {"name": "a"}, "disable": {}}}),
            "exactly one of extensionRef and disable",
        ),
        (
            "TrafficPolicy",
            json!({"extAuth": {"extensionRef": {"name": "a"}, "withRequestBody": {"maxRequestBytes": 0}}}),
            "out of bounds",
        ),
        ("DirectResponse", json!({"status": 600}), "out of bounds"),
        (
            "TrafficPolicy",
            json!({"internalRedirect": {"redirectResponseCodes": [304]}}),
            "redirectResponseCodes may be 301",
        ),
        ("TrafficPolicy", json!({"internalRedirect": {"responseHeadersToCopy": []}}), "too few items"),
        (
            "BackendConfigPolicy",
            json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}]}),
            "targetRefs may name Services",
        ),
        (
            "BackendConfigPolicy",
            json!({"http1ProtocolOptions": {}, "http2ProtocolOptions": {}}),
            "at most one of http1ProtocolOptions and http2ProtocolOptions",
        ),
        ("BackendConfigPolicy", json!({"loadBalancer": {}}), "exactly one of leastRequest, roundRobin"),
        (
            "BackendConfigPolicy",
            json!({"loadBalancer": {"random": {}, "roundRobin": {}}}),
            "exactly one of leastRequest, roundRobin",
        ),
        (
            "BackendConfigPolicy",
            json!({"loadBalancer": {"maglev": {"hashPolicies": [{"terminal": true}]}}}),
            "exactly one of header, cookie and sourceIP",
        ),
        (
            "BackendConfigPolicy",
            json!({"healthCheck": {"timeout": "1s", "interval": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1}}),
            "exactly one of http and grpc",
        ),
        ("BackendConfigPolicy", json!({"circuitBreakers": {}}), "maxConnections, maxPendingRequests"),
        ("BackendConfigPolicy", json!({"outlierDetection": {"maxEjectionPercent": 101}}), "out of bounds"),
        ("TrafficPolicy", json!({"basicAuth": {}}), "exactly one of users, secretRef and disable"),
        (
            "TrafficPolicy",
            json!({"basicAuth": {"users": ["a:b"], "disable": {}}}),
            "exactly one of users, secretRef and disable",
        ),
        ("TrafficPolicy", json!({"basicAuth": {"users": []}}), "too few items"),
        (
            "TrafficPolicy",
            json!({"apiKeyAuth": {"secretRef": {"name": "a"}, "secretSelector": {"matchLabels": {"a": "b"}}}}),
            "exactly one of secretRef, secretSelector and disable",
        ),
        (
            "TrafficPolicy",
            json!({"apiKeyAuth": {"secretRef": {"name": "a"}, "keySources": [{}]}}),
            "one of header, query and cookie",
        ),
        ("DirectResponse", json!({"status": 200, "body": ""}), "too short"),
        ("DirectResponse", json!({"body": "a"}), "no status"),
        ("DirectResponse", json!({"status": 200, "bodyFormat": {}}), "exactly one of text and json"),
        (
            "DirectResponse",
            json!({"status": 200, "bodyFormat": {"text": "a", "json": {}}}),
            "exactly one of text and json",
        ),
        (
            "DirectResponse",
            json!({"status": 200, "body": "a", "bodyFormat": {"text": "b"}}),
            "at most one of body and bodyFormat",
        ),
        ("GatewayExtension", json!({"extAuth": {}}), "exactly one of grpcService and httpService"),
        (
            "GatewayExtension",
            json!({"extAuth": {"grpcService": {"backendRef": {"name": "a", "port": 1}}, "statusOnError": 512}}),
            "out of bounds",
        ),
        ("TrafficPolicy", json!({"jwtAuth": {"extensionRef": {"name": ""}}}), "too short"),
        (
            "TrafficPolicy",
            json!({"rbac": {"policy": {"matchExpressions": ["true"]}, "action": "Log"}}),
            "not in the enum",
        ),
        ("TrafficPolicy", json!({"rbac": {"action": "Deny"}}), "no policy"),
        ("GatewayExtension", json!({"type": "JWT"}), "exactly one of extAuth"),
        (
            "GatewayExtension",
            json!({"type": "ExtAuth", "jwt": {"providers": [jwt_provider()]}}),
            "the member named by type must be set",
        ),
        (
            "GatewayExtension",
            json!({"extAuth": {}, "jwt": {"providers": [jwt_provider()]}}),
            "exactly one of extAuth",
        ),
        ("GatewayExtension", json!({"jwt": {"providers": [{"name": "a"}]}}), "no jwks"),
        (
            "GatewayExtension",
            json!({"jwt": {"providers": [{"name": "a", "jwks": {"local": {}}}]}}),
            "exactly one of inline and configMapRef",
        ),
        ("VirtualHostOption", json!({"options": {"jwt": {"validationPolicy": true}}}), "does not decode"),
        (
            "VirtualHostOption",
            json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "a"}]}),
            "targetRefs may name Gateways",
        ),
        ("RouteOption", json!({"options": {"rbac": {"disable": "yes"}}}), "is no boolean"),
        ("RouteOption", json!({"options": {"hostRewrite": ""}}), "too short"),
        ("RouteOption", json!({"options": {"faults": {"abort": {"httpStatus": 700}}}}), "out of bounds"),
        ("TrafficPolicy", json!({"extauth": {}}), "unknown field extauth"),
        ("TrafficPolicy", json!({"retry": {"attempts": 2}}), "retryOn or statusCodes must be set"),
        ("TrafficPolicy", json!({"retry": {"retryOn": ["never"]}}), "not in the enum"),
        ("TrafficPolicy", json!({"retry": {"statusCodes": [399]}}), "out of bounds"),
        (
            "TrafficPolicy",
            json!({"retry": {"statusCodes": [500], "perTryTimeout": "2s"}, "timeouts": {"request": "2s"}}),
            "must be less than timeouts.request",
        ),
        ("TrafficPolicy", json!({"buffer": {}}), "exactly one of maxRequestSize and disable"),
        ("TrafficPolicy", json!({"headerModifiers": {}}), "request or response must be set"),
        (
            "TrafficPolicy",
            json!({"csrf": {"percentageEnabled": 1, "percentageShadowed": 1}}),
            "at most one of",
        ),
        ("TrafficPolicy", json!({"csrf": {"percentageEnabled": 101}}), "out of bounds"),
        ("TrafficPolicy", json!({"csrf": {"additionalOrigins": [{}]}}), "exactly one of exact"),
        (
            "TrafficPolicy",
            json!({"rateLimit": {"local": {"tokenBucket": {"maxTokens": 0, "fillInterval": "1s"}}}}),
            "out of bounds",
        ),
        (
            "HTTPListenerPolicy",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": "r"}]}),
            "may name Gateways",
        ),
        ("HTTPListenerPolicy", json!({"healthCheck": {"path": ""}}), "too short"),
        ("HTTPListenerPolicy", json!({"upgradeConfig": {"enabledUpgrades": []}}), "too few items"),
        ("HTTPListenerPolicy", json!({"maxRequestHeadersKb": 8193}), "out of bounds"),
        ("HTTPListenerPolicy", json!({"serverHeaderTransformation": "Remove"}), "not in the enum"),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"fileSink": {"path": "a"}}]}),
            "exactly one of stringFormat and jsonFormat",
        ),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"fileSink": {"path": "a", "stringFormat": "a", "jsonFormat": {}}}]}),
            "exactly one of stringFormat and jsonFormat",
        ),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"fileSink": {"path": "", "stringFormat": "a"}}]}),
            "too short",
        ),
        ("HTTPListenerPolicy", json!({"accessLog": [{"filter": {}}]}), "exactly one filter"),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"filter": {"traceableFilter": true, "celFilter": {"match": "true"}}}]}),
            "exactly one filter",
        ),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"filter": {"orFilter": [{"traceableFilter": true}]}}]}),
            "too few items",
        ),
        (
            "HTTPListenerPolicy",
            json!({"accessLog": [{"filter": {"statusCodeFilter": {"op": "NE"}}}]}),
            "not in the enum",
        ),
        ("ListenerOption", json!({"options": {"grpcWeb": {}}}), "unknown field grpcWeb"),
        (
            "RouteOption",
            json!({"targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "g"}]}),
            "targetRefs may name HTTPRoutes",
        ),
        ("RouteOption", json!({"options": {"ai": {"defaults": [{"field": "a"}]}}}), "no value"),
        ("RouteOption", json!({"options": {"ai": {"routeType": 7}}}), "does not decode"),
        ("RouteOption", json!({"options": {"extAuth": {}}}), "unknown field extAuth"),
    ];
    for (kind, spec, expected) in rows {
        let found = refused(kind, &spec).join("\n");
        assert!(found.contains(expected), "{kind} {spec}: {expected} is not in {found:?}");
    }
}

/// A provider of a GatewayExtension.
fn jwt_provider() -> Value {
    json!({"name": "a", "issuer": "b", "audiences": ["c"], "tokenSource": {"header": {"header": "x-token"}},
        "claimsToHeaders": [{"name": "sub", "header": "x-sub"}], "jwks": {"local": {"inline": "d"}}, "forwardToken": true})
}
