//! What our checks let pass, the real Envoy takes: names and values of headers, hostnames, paths, rewrites, redirects,
//! hosts of backends, what a Backend says of its provider, and formats and filters of access logs. (Expressions: `regex.rs`.)
//!
//! Each object has one odd value, at a place that is drawn. `CHANCERY_ADMITTED` says how many values that are let pass
//! are tried (20,000 take some minutes), `CHANCERY_SEED` the seed.

use std::collections::BTreeMap;

use crds::Object;
use e2e::envoy::validate;
use e2e::random::{Random, setting};
use serde_json::{Value, json};
use translator::xds::to_static_bootstrap;
use translator::{Resources, Settings, translate};

/// Values in one configuration.
const BATCH: usize = 400;

/// What values are put together from.
const PIECES: &[&str] = &[
    "a",
    "B",
    "0",
    "-",
    "_",
    ".",
    "..",
    "/",
    "//",
    "%",
    "%%",
    "%2F",
    "%zz",
    "%REQ(x)%",
    "%START_TIME%",
    "{",
    "}",
    "{a}",
    "*",
    "**",
    "*.",
    "?",
    "#",
    "&",
    "=",
    "\\",
    "\\1",
    "\\0",
    "\"",
    "'",
    "`",
    ":",
    ":80",
    ";",
    ",",
    "@",
    "[",
    "]",
    "[::1]",
    "(",
    ")",
    "<",
    ">",
    "|",
    "^",
    "~",
    "$",
    "!",
    "+",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{80}",
    "é",
    "\u{2028}",
    "\u{fffd}",
    "\u{10ffff}",
    "xn--",
    "a.test",
    "10.0.0.1",
    "localhost",
    "host",
    ":path",
    "x-envoy-a",
    "content-length",
    "te",
    "http://",
    "../..",
];

/// Lengths at which something may break.
const LENGTHS: [usize; 8] = [62, 63, 64, 252, 253, 255, 1_023, 20_000];

fn odd(random: &mut Random) -> String {
    match random.below(12) {
        0 => String::new(),
        1 => "a".repeat(LENGTHS[random.below(LENGTHS.len())] + random.below(2)),
        2 => ["a.", "a/"][random.below(2)].repeat(LENGTHS[random.below(LENGTHS.len())] / 2),
        _ => (0..1 + random.below(5)).map(|_| random.pick(PIECES)).collect(),
    }
}

/// An odd value that begins as a path does.
fn odd_path(random: &mut Random) -> String {
    let slash = if random.below(10) == 0 { "" } else { "/" };
    format!("{slash}{}", odd(random))
}

/// An odd value that ends as a name does.
fn odd_host(random: &mut Random) -> String {
    match random.below(3) {
        0 => odd(random),
        1 => format!("{}.test", odd(random)),
        _ => format!("a{}b.test", odd(random)),
    }
}

/// The places of a route, each with a value.
fn route(random: &mut Random, name: &str) -> Value {
    let mut hostname = format!("{name}.test");
    let mut rule_match = json!({"path": {"type": "PathPrefix", "value": "/"}});
    let mut filters = Vec::new();
    let mut backend = json!({"group": "gateway.kgateway.dev", "kind": "Backend", "name": "echo"});
    let mut has_backend = true;
    let modifier =
        |kind: &str, member: &str, list: &str, value: Value| json!({"type": kind, member: {list: value}});
    let pairs = |name: String, value: String| json!([{"name": name, "value": value}]);
    let lists = ["set", "add"];
    match random.below(16) {
        0 => hostname = odd_host(random),
        1 => rule_match["path"] = json!({"type": "Exact", "value": odd_path(random)}),
        2 => rule_match["path"] = json!({"type": "PathPrefix", "value": odd_path(random)}),
        3 => rule_match["headers"] = pairs(odd(random), "a".to_owned()),
        4 => rule_match["headers"] = pairs("x-a".to_owned(), odd(random)),
        5 => rule_match["queryParams"] = pairs(odd(random), "a".to_owned()),
        6 => rule_match["queryParams"] = pairs("a".to_owned(), odd(random)),
        7 => {
            let value = pairs(odd(random), "a".to_owned());
            filters.push(modifier(
                "RequestHeaderModifier",
                "requestHeaderModifier",
                random.pick(&lists),
                value,
            ));
        }
        8 => {
            let name = ["x-a", "host"][random.below(2)].to_owned();
            let value = pairs(name, odd(random));
            filters.push(modifier(
                "RequestHeaderModifier",
                "requestHeaderModifier",
                random.pick(&lists),
                value,
            ));
        }
        9 => {
            let value = pairs("x-a".to_owned(), odd(random));
            filters.push(modifier(
                "ResponseHeaderModifier",
                "responseHeaderModifier",
                random.pick(&lists),
                value,
            ));
        }
        10 => {
            let value = json!([odd(random)]);
            filters.push(modifier("ResponseHeaderModifier", "responseHeaderModifier", "remove", value));
        }
        11 => filters.push(json!({"type": "URLRewrite", "urlRewrite": {"hostname": odd_host(random)}})),
        12 => {
            let path = json!({"type": "ReplaceFullPath", "replaceFullPath": odd_path(random)});
            filters.push(json!({"type": "URLRewrite", "urlRewrite": {"path": path}}));
        }
        13 => {
            rule_match["path"]["value"] = json!("/prefix");
            let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": odd_path(random)});
            backend["filters"] = json!([{"type": "URLRewrite", "urlRewrite": {"path": path}}]);
        }
        14 => {
            has_backend = false;
            let redirect = json!({"hostname": odd_host(random)});
            filters.push(json!({"type": "RequestRedirect", "requestRedirect": redirect}));
        }
        _ => {
            has_backend = false;
            rule_match["path"]["value"] = json!("/prefix");
            let (kind, member) =
                [("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")]
                    [random.below(2)];
            let redirect = json!({"path": {"type": kind, member: odd_path(random)}});
            filters.push(json!({"type": "RequestRedirect", "requestRedirect": redirect}));
        }
    }
    let backends = if has_backend { vec![backend] } else { Vec::new() };
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [hostname],
            "rules": [{"matches": [rule_match], "filters": filters, "backendRefs": backends}]}})
}

/// A Backend with a value at one of its places, and a route that leads there.
fn backend(random: &mut Random, name: &str) -> [Value; 2] {
    let token = |text: &str| json!({"kind": "Inline", "inline": text});
    let openai = |token: Value, more: (&str, Value)| {
        let mut provider = json!({"openai": {"authToken": token}});
        if more.0 == "model" {
            provider["openai"]["model"] = more.1.clone();
        }
        let mut llm = json!({"provider": provider});
        if more.0 != "model" {
            llm[more.0] = more.1;
        }
        json!({"type": "AI", "ai": {"llm": llm}})
    };
    let spec = match random.below(5) {
        0 => json!({"type": "Static", "static": {"hosts": [{"host": odd_host(random), "port": 80}]}}),
        1 => openai(token(&odd(random)), ("model", json!("m"))),
        2 => openai(token("k"), ("hostOverride", json!({"host": odd_host(random), "port": 443}))),
        3 => openai(token("k"), ("pathOverride", json!({"fullPath": odd_path(random)}))),
        _ => {
            let (name, prefix) = match random.below(2) {
                0 => (odd(random), "Bearer".to_owned()),
                _ => ("authorization".to_owned(), odd(random)),
            };
            openai(token("k"), ("authHeaderOverride", json!({"headerName": name, "prefix": prefix})))
        }
    };
    let backend = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {"name": name}, "spec": spec});
    let reference = json!({"group": "gateway.kgateway.dev", "kind": "Backend", "name": name});
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [format!("{name}.test")], "rules": [{"backendRefs": [reference]}]}});
    [backend, route]
}

/// What formats of access logs are put together from, beside the other pieces.
const FORMAT_PIECES: &[&str] = &[
    "%PROTOCOL%",
    "%DURATION",
    "%REQ(",
    "%REQ(a?b)",
    "%RESP(x-a",
    "%TRAILER(:path",
    "%START_TIME(",
    "%START_TIME(%Y",
    "%EMIT_TIME(%3f%En)",
    "%DYNAMIC_METADATA(a:b",
    "%CLUSTER_METADATA(a",
    "%METADATA(ROUTE:a",
    "%FILTER_STATE(a:PLAIN",
    "%UPSTREAM_FILTER_STATE(a:FIELD:b",
    "%COMMON_DURATION(a:b:us",
    "%GRPC_STATUS(NUMBER",
    "%PATH(NQ:ORIG",
    "%QUERY_PARAM(a",
    "%ENVIRONMENT(A",
    ")%",
    "):5%",
    "):",
    ":99999999999%",
    ":0%",
    "%n",
];

/// What expressions in CEL are put together from, beside the other pieces.
const CEL_PIECES: &[&str] = &[
    "response.code",
    "request.headers['x-a']",
    "request.path",
    "a.b.c",
    "true",
    "'a'",
    "\"b\"",
    "r'\\d'",
    "r'\\'",
    "'\\n'",
    "''",
    "1",
    "2u",
    "0.5",
    "9223372036854775807",
    " == ",
    " >= ",
    " && ",
    " || ",
    " in ",
    " + ",
    " % ",
    " ? 1 : ",
    "!",
    "-",
    "!!",
    "--",
    "(",
    ")",
    "[",
    "]",
    "['k']",
    "[0]",
    ", ",
    ".f",
    ".size()",
    ".startsWith(",
    ".matches(r'",
    ".matches('a.*')",
    "has(",
    "size(",
    "int(",
    "type(",
    "duration('1s')",
    "timestamp(",
    ".getHours()",
    "null",
    "// x",
];

/// A few of these, sometimes with others between them.
fn mixture(random: &mut Random, pieces: &[&'static str], most: usize) -> String {
    let piece = |random: &mut Random| match random.below(8) {
        0 => random.pick(PIECES),
        _ => random.pick(pieces),
    };
    (0..1 + random.below(most)).map(|_| piece(random)).collect()
}

/// A policy of the listener `name`, with a value at one of its places.
fn access_log(random: &mut Random, name: &str) -> Value {
    let mut sink = json!({"path": "/dev/null", "stringFormat": "%PROTOCOL%"});
    let mut log = json!({});
    match random.below(10) {
        0 => sink["path"] = json!(odd(random)),
        1..4 => sink["stringFormat"] = json!(mixture(random, FORMAT_PIECES, 4)),
        4 | 5 => {
            let (key, value) = (odd(random), mixture(random, FORMAT_PIECES, 3));
            let nested = (0..random.below(20)).fold(json!(value), |value, _| json!({"a": [value]}));
            sink = json!({"path": "/dev/null", "jsonFormat": {key: nested}});
        }
        6 => {
            let kind = random.pick(&["Exact", "RegularExpression"]);
            let (name, value) = if random.below(2) == 0 {
                (odd(random), "a".to_owned())
            } else {
                ("x-a".to_owned(), odd(random))
            };
            log["filter"] = json!({"headerFilter": {"header": {"type": kind, "name": name, "value": value}}});
        }
        7 => {
            let flag = random.pick(&["NR", "UF", "DC", "OM", "UMSDR", "XX", "", "nr"]);
            log["filter"] =
                json!({"andFilter": [{"responseFlagFilter": {"flags": [flag]}}, {"traceableFilter": true}]});
        }
        _ => log["filter"] = json!({"celFilter": {"match": mixture(random, CEL_PIECES, 7)}}),
    }
    log["fileSink"] = sink;
    let target =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "logs", "sectionName": name});
    json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "HTTPListenerPolicy", "metadata": {"name": name},
        "spec": {"targetRefs": [target], "accessLog": [log]}})
}

/// A Gateway with a listener for each policy.
fn logging_gateway(drawn: &BTreeMap<String, Vec<Value>>) -> Value {
    let policies = drawn.iter().filter(|(_, documents)| documents[0]["kind"] == "HTTPListenerPolicy");
    let listeners = policies
        .enumerate()
        .map(|(index, (name, _))| json!({"name": name, "port": 10_000 + index, "protocol": "HTTP"}));
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "logs"},
        "spec": {"gatewayClassName": "chancery", "listeners": listeners.collect::<Vec<_>>()}})
}

fn head() -> Vec<Value> {
    vec![
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "gw"},
            "spec": {"gatewayClassName": "chancery", "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]}}),
        json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {"name": "echo"},
            "spec": {"type": "Static", "static": {"hosts": [{"host": "echo.test", "port": 80}]}}}),
    ]
}

/// What came of some documents.
struct Outcome {
    /// Those of which nothing was found fault with, by name.
    good: BTreeMap<String, Vec<Value>>,
    verdict: Result<(), String>,
}

fn try_out(drawn: &BTreeMap<String, Vec<Value>>) -> Outcome {
    let documents =
        head().into_iter().chain([logging_gateway(drawn)]).chain(drawn.values().flatten().cloned());
    let decoded = documents.filter_map(|document| Some(Object::decode(document).ok()?.object));
    let resources: Resources = decoded.collect();
    let settings =
        Settings { implied_classes: vec!["chancery".to_owned()], access_log: None, ..Settings::default() };
    let translation = translate(&resources, &settings);
    let mut seen = BTreeMap::new();
    for report in &translation.reports {
        *seen.entry(&report.object.name).or_insert(true) &= report.problem_count() == 0;
    }
    let good = drawn.iter().filter(|(name, _)| seen.get(name) == Some(&true));
    let good = good.map(|(name, documents)| (name.clone(), documents.clone())).collect();
    let mut verdict = Ok(());
    for output in translation.gateways.values() {
        let bootstrap = to_static_bootstrap(&output.xds());
        let json = proto::message_to_json_unredacted(&bootstrap).expect("JSON");
        verdict = verdict.and(validate(&json.to_string()));
    }
    Outcome { good, verdict }
}

#[test]
fn what_is_let_pass_is_taken_by_envoy() {
    let mut random = Random::from_environment();
    let wanted = setting("CHANCERY_ADMITTED", 1_500) as usize;
    let (mut drawn_total, mut admitted, mut wrong) = (0, 0, Vec::new());
    while admitted < wanted {
        let drawn: BTreeMap<String, Vec<Value>> = (0..BATCH)
            .map(|number| {
                let name = format!("r{number}");
                let documents = match random.below(5) {
                    0 => backend(&mut random, &name).to_vec(),
                    1 => vec![access_log(&mut random, &name)],
                    _ => vec![route(&mut random, &name)],
                };
                (name, documents)
            })
            .collect();
        drawn_total += drawn.len();
        let Outcome { good, verdict } = try_out(&drawn);
        admitted += good.len();
        if verdict.is_ok() {
            continue;
        }
        for (name, documents) in drawn {
            if let Err(error) = try_out(&BTreeMap::from([(name, documents.clone())])).verdict {
                wrong.push(format!("{error}\n  {}", Value::from(documents)));
            }
        }
        if wrong.is_empty() {
            wrong.push(format!("only together: {verdict:?}"));
        }
        break;
    }
    println!("{drawn_total} values, {admitted} of them let pass");
    assert!(wrong.is_empty(), "{} of a batch\n{}", wrong.len(), wrong.join("\n"));
    assert!(drawn_total - admitted > drawn_total / 10, "nearly everything is let pass");
}
