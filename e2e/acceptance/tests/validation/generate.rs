//! Objects, valid and slightly wrong, the same for the same seed.

use serde_json::{Map, Value, json};

/// A kind of object that is generated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    HttpRoute,
    Gateway,
    ReferenceGrant,
    Backend,
    Upstream,
    GatewayParameters,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::HttpRoute,
        Self::Gateway,
        Self::ReferenceGrant,
        Self::Backend,
        Self::Upstream,
        Self::GatewayParameters,
    ];

    /// The path of the API where such objects are created.
    pub(crate) fn path(self) -> String {
        let (group, plural) = match self {
            Self::HttpRoute => ("gateway.networking.k8s.io/v1", "httproutes"),
            Self::Gateway => ("gateway.networking.k8s.io/v1", "gateways"),
            Self::ReferenceGrant => ("gateway.networking.k8s.io/v1beta1", "referencegrants"),
            Self::Backend => ("gateway.kgateway.dev/v1alpha1", "backends"),
            Self::Upstream => ("gloo.solo.io/v1", "upstreams"),
            Self::GatewayParameters => ("gateway.kgateway.dev/v1alpha1", "gatewayparameters"),
        };
        format!("/apis/{group}/namespaces/default/{plural}")
    }

    /// An object that is valid, with many of its kind's fields.
    pub(crate) fn base(self) -> Value {
        let (api_version, kind, spec) = match self {
            Self::HttpRoute => ("gateway.networking.k8s.io/v1", "HTTPRoute", http_route()),
            Self::Gateway => ("gateway.networking.k8s.io/v1", "Gateway", gateway()),
            Self::ReferenceGrant => (
                "gateway.networking.k8s.io/v1beta1",
                "ReferenceGrant",
                json!({
                    "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a"}],
                    "to": [{"group": "", "kind": "Service", "name": "b"}, {"group": "", "kind": "Secret"}]}),
            ),
            Self::Backend => (
                "gateway.kgateway.dev/v1alpha1",
                "Backend",
                json!({"type": "AI", "ai": {"llm": {"gemini": {
                    "apiVersion": "v1beta", "model": "gemini-2.5-flash",
                    "authToken": {"kind": "SecretRef", "secretRef": {"name": "key"}}}}}}),
            ),
            Self::Upstream => (
                "gloo.solo.io/v1",
                "Upstream",
                json!({"ai": {"openai": {"authToken": {"secretRef": {"name": "key", "namespace": "default"}}}}}),
            ),
            Self::GatewayParameters => (
                "gateway.kgateway.dev/v1alpha1",
                "GatewayParameters",
                json!({"kube": {"deployment": {"replicas": 2}}}),
            ),
        };
        json!({"apiVersion": api_version, "kind": kind, "metadata": {
            "name": "x", "labels": {"app": "a", "example.com/b": "c"}, "annotations": {"note": "anything / at all"}},
            "spec": spec})
    }
}

fn http_route() -> Value {
    json!({
        "parentRefs": [{"name": "a"}, {"name": "b", "sectionName": "http", "port": 80}],
        "hostnames": ["example.com", "*.example.com"],
        "rules": [
            {
                "name": "one",
                "matches": [{
                    "path": {"type": "PathPrefix", "value": "/a"},
                    "headers": [{"name": "x-a", "value": "1"}, {"type": "RegularExpression", "name": "x-b", "value": ".*"}],
                    "queryParams": [{"name": "q", "value": "1"}], "method": "GET"}],
                "filters": [
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                        "set": [{"name": "x", "value": "y"}], "add": [{"name": "z", "value": "y"}], "remove": ["w"]}},
                    {"type": "URLRewrite", "urlRewrite": {"path": {
                        "type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}}],
                "timeouts": {"request": "10s", "backendRequest": "5s"},
                "backendRefs": [{"name": "s", "port": 80, "weight": 3}]
            },
            {
                "matches": [{"path": {"type": "Exact", "value": "/r"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {
                    "scheme": "https", "statusCode": 301, "hostname": "example.com", "port": 443}}]
            },
            {
                "filters": [
                    {"type": "RequestMirror", "requestMirror": {
                        "backendRef": {"name": "m", "port": 80}, "fraction": {"numerator": 1, "denominator": 2}}},
                    {"type": "CORS", "cors": {"allowOrigins": ["https://a.test"], "allowMethods": ["GET"]}}],
                "retry": {"attempts": 2, "codes": [500, 503], "backoff": "100ms"},
                "sessionPersistence": {"sessionName": "s", "type": "Cookie", "absoluteTimeout": "1h"},
                "backendRefs": [{"name": "s", "port": 80}]
            }
        ]
    })
}

fn gateway() -> Value {
    json!({
        "gatewayClassName": "c",
        "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}, {"type": "Hostname", "value": "a.test"}],
        "infrastructure": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.a.test"},
            {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {
                "mode": "Terminate", "certificateRefs": [{"name": "cert"}], "options": {"example.com/x": "y"}},
                "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
                    "kinds": [{"kind": "HTTPRoute"}]}}
        ]
    })
}

/// Makes one object of a sequence.
#[derive(Debug)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ case.wrapping_mul(0xd1b5_4a32_d192_ed03) }
    }

    /// The next number below `limit` (SplitMix64).
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((number ^ (number >> 31)) % limit as u64).expect("below a usize")
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Every second object is an HTTPRoute; most have one fault or two, which need not be faults.
    pub(crate) fn object(mut self) -> (Kind, Value) {
        let kind = if self.below(2) == 0 { Kind::HttpRoute } else { self.one_of(&Kind::ALL) };
        let mut object = kind.base();
        for _ in 0..self.one_of(&[0, 1, 1, 1, 1, 2]) {
            let mut places = Vec::new();
            for part in ["metadata", "spec"] {
                collect(&object[part], format!("/{part}"), &mut places);
            }
            let place = self.one_of(&places);
            if let Some(value) = object.pointer_mut(&place) {
                self.change(value);
            }
        }
        // A server compares it with the path of the request, which no file has.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        (kind, object)
    }

    fn change(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => self.change_object(members),
            Value::Array(items) if self.below(4) > 0 => self.change_list(items),
            Value::String(_) if self.below(4) > 0 => *value = self.text(),
            Value::Number(_) if self.below(4) > 0 => {
                let numbers = [
                    "-1",
                    "0",
                    "1",
                    "2",
                    "80",
                    "100",
                    "65535",
                    "65536",
                    "301",
                    "302",
                    "399",
                    "400",
                    "600",
                    "1.0",
                    "1.5",
                    "1e2",
                    "2147483648",
                    "9223372036854775808",
                    "1000000",
                    "1000001",
                ];
                *value = serde_json::from_str(self.one_of(&numbers)).expect("a number");
            }
            _ => {
                *value = self.one_of(&[
                    Value::Null,
                    json!(""),
                    json!("a"),
                    json!(0),
                    json!(1.5),
                    json!(true),
                    json!([]),
                    json!({}),
                    json!([null]),
                    json!("1"),
                    json!({"a": 1}),
                ]);
            }
        }
    }

    fn change_object(&mut self, members: &mut Map<String, Value>) {
        let names: Vec<String> = members.keys().cloned().collect();
        match self.below(3) {
            0 if !names.is_empty() => drop(members.remove(&self.one_of(&names))),
            1 => drop(members.insert(self.one_of(&["unknown", "Name", "x.y"]).to_owned(), json!("a"))),
            _ => {
                let (name, value) = self.one_of(&[
                    ("type", json!("URLRewrite")),
                    ("type", json!("ExtensionRef")),
                    ("requestHeaderModifier", json!({"set": [{"name": "a", "value": "b"}]})),
                    ("requestHeaderModifier", json!({"set": [{"name": "a", "value": ""}]})),
                    ("requestHeaderModifier", json!({"set": [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]})),
                    ("urlRewrite", json!({"hostname": "a.test"})),
                    ("requestRedirect", json!({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}})),
                    ("filters", json!([{"type": "URLRewrite", "urlRewrite": {}}, {"type": "URLRewrite", "urlRewrite": {}}])),
                    ("matches", json!([])),
                    ("matches", json!([{"path": {"value": "/"}}, {"path": {"value": "/b"}}])),
                    ("timeouts", json!({"request": "1s", "backendRequest": "1001ms"})),
                    ("timeouts", json!({"request": "0s", "backendRequest": "1h"})),
                    ("percent", json!(50)),
                    ("port", json!(70000)),
                    ("port", json!(8080)),
                    ("namespace", json!("other")),
                    ("name", json!("http")),
                    ("kind", json!("Passthrough")),
                    ("kind", json!("Service")),
                    ("group", json!("")),
                    ("hostname", json!("10.0.0.1")),
                    ("tls", json!({"mode": "Terminate"})),
                    ("tls", json!({"mode": "Terminate", "options": {"a": "b"}})),
                    ("inline", json!("key")),
                    ("openai", json!({})),
                    ("static", json!({"hosts": [{"host": "a.test", "port": 80}]})),
                ]);
                members.insert(name.to_owned(), value);
            }
        }
    }

    fn change_list(&mut self, items: &mut Vec<Value>) {
        let Some(item) = items.first().cloned() else { return items.push(Value::Null) };
        match self.below(4) {
            0 => items.clear(),
            1 => items.push(item),
            2 => drop(items.pop()),
            _ => {
                let count = self.one_of(&[8, 9, 16, 17, 32, 33, 64, 65]);
                *items = (0..count).map(|index| numbered(&item, index)).collect();
            }
        }
    }

    fn text(&mut self) -> Value {
        let texts = [
            "",
            "a",
            "A",
            "-a",
            "a_b",
            "a.b",
            "*",
            "*.a.test",
            "a.*.test",
            "10.0.0.1",
            "::1",
            "a b",
            "ä",
            "/",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/a%2Fb",
            "/a#b",
            "/a?b",
            "/a%zz",
            "a/b",
            "0s",
            "1s",
            "1.5s",
            "1h2m3s4ms",
            "99999h",
            "10",
            "Exact",
            "PathPrefix",
            "RegularExpression",
            "ReplaceFullPath",
            "ReplacePrefixMatch",
            "GET",
            "get",
            "http",
            "HTTP",
            "HTTPS",
            "TLS",
            "TCP",
            "IPAddress",
            "Hostname",
            "URLRewrite",
            "RequestRedirect",
            "CORS",
            "AI",
            "Static",
            "SecretRef",
            "Inline",
            "Header",
            "Cookie",
            "Terminate",
            "Passthrough",
            "All",
            "Service",
            "example.com/a",
            "https://*.a.test",
        ];
        let lengths = [62, 63, 64, 128, 129, 253, 254, 256, 257, 1024, 1025, 4096, 4097];
        match self.below(4) {
            0 => json!("a".repeat(self.one_of(&lengths))),
            _ => json!(self.one_of(&texts)),
        }
    }
}

/// The item under another name, so that a long list is not refused for its duplicates.
fn numbered(item: &Value, index: usize) -> Value {
    let mut item = item.clone();
    match &mut item {
        Value::String(text) => text.insert_str(0, &format!("a{index}.")),
        Value::Object(members) if members.contains_key("name") => {
            members.insert("name".to_owned(), json!(format!("n{index}")));
        }
        _ => {}
    }
    item
}

/// The pointers of a value and of all that is in it.
fn collect(value: &Value, pointer: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            collect(value, format!("{pointer}/{}", name.replace('/', "~1")), places)
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| collect(value, format!("{pointer}/{index}"), places));
        }
        _ => {}
    }
    places.push(pointer);
}
