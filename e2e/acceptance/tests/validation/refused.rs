//! What the guides' reader gets wrong, and the API server says so by itself (row A52 of the acceptance rows), each
//! beside its good twin.

use acceptance::ApiServer;
use serde_json::{Value, json};

use super::generate::Kind;
use super::our_findings;

/// A spec that is refused, the words in which it is, and what it should have been.
struct Row {
    kind: Kind,
    bad: Value,
    words: &'static str,
    good: Value,
}

fn rows() -> Vec<Row> {
    let openai = json!({"authToken": {"kind": "Inline", "inline": "k"}});
    let ai = |ai: Value| json!({"type": "AI", "ai": ai});
    let llm = |llm: Value| ai(json!({"llm": llm}));
    let hosts = json!({"hosts": [{"host": "a.example.com", "port": 1}]});
    let named = |names: [&str; 2]| {
        let providers = names.map(|name| json!({"name": name, "openai": openai}));
        ai(json!({"priorityGroups": [{"providers": providers}]}))
    };
    let backend = |bad, words, good| Row { kind: Kind::Backend, bad, words, good };
    let upstream = |bad, words, good| Row { kind: Kind::Upstream, bad, words, good };
    vec![
        backend(
            json!({"type": "AI", "static": hosts}),
            "ai must be set when type is AI",
            json!({"type": "Static", "static": hosts}),
        ),
        backend(
            json!({"type": "Static", "static": hosts, "ai": {"llm": {"openai": openai}}}),
            "exactly one of ai, static, aws, dynamicForwardProxy and mcp must be set",
            llm(json!({"openai": openai})),
        ),
        backend(
            llm(json!({"openai": openai, "anthropic": openai})),
            "exactly one provider must be set",
            llm(json!({"anthropic": openai})),
        ),
        backend(
            llm(json!({"provider": {"openai": openai, "anthropic": openai}})),
            "exactly one provider must be set",
            llm(json!({"provider": {"openai": openai}})),
        ),
        backend(
            llm(json!({"openai": openai, "host": "a.example.com"})),
            "host and port must be set together",
            llm(json!({"openai": openai, "host": "a.example.com", "port": 443})),
        ),
        backend(
            llm(json!({"openai": openai, "port": 443})),
            "host and port must be set together",
            llm(json!({"openai": openai, "hostOverride": {"host": "a.example.com", "port": 443}})),
        ),
        backend(named(["a", "a"]), "names of providers must differ", named(["a", "b"])),
        backend(
            llm(json!({"openai": {"authToken": {"kind": "SecretRef", "inline": "k"}}})),
            "named by kind",
            llm(json!({"openai": {"authToken": {"kind": "SecretRef", "secretRef": {"name": "s"}}}})),
        ),
        backend(
            llm(json!({"gemini": {"apiVersion": "v1", "authToken": {"inline": "k"}}})),
            "model: Required value",
            llm(json!({"gemini": {"apiVersion": "v1", "model": "m", "authToken": {"inline": "k"}}})),
        ),
        backend(
            llm(json!({"openai": openai, "host": "a.example.com", "port": 70000})),
            "should be less than or equal to 65535",
            llm(json!({"openai": openai, "host": "a.example.com", "port": 65535})),
        ),
        upstream(
            json!({"ai": {"openai": openai, "mistral": openai}}),
            "exactly one provider must be set",
            json!({"ai": {"mistral": openai}}),
        ),
        upstream(
            json!({"ai": {"multi": {"priorities": [{"pool": [{"openai": openai, "mistral": openai}]}]}}}),
            "exactly one provider must be set",
            json!({"ai": {"multi": {"priorities": [{"pool": [{"openai": openai}, {"mistral": openai}]}]}}}),
        ),
    ]
}

/// Each bad object is refused with a message, by the server and by us; each good one is taken by both.
pub(super) async fn refused_with_a_message(server: ApiServer) {
    let mut connection = server.connect().await.expect("a connection");
    for Row { kind, bad, words, good } in rows() {
        for (spec, expected) in [(&bad, Some(words)), (&good, None)] {
            let mut object = kind.base();
            object["spec"] = spec.clone();
            let path = format!("{}?dryRun=All&fieldValidation=Strict", kind.path());
            let (status, answer) = connection.create(&path, &object).await.expect("an answer");
            let message = answer["message"].as_str().unwrap_or_default();
            match expected {
                Some(words) => {
                    assert_eq!(status, 422, "{object}: {answer}");
                    assert!(message.contains(words), "{object}: {words:?} is not in {message:?}");
                }
                None => assert_eq!(status, 201, "{object}: {answer}"),
            }
            assert_eq!(our_findings(&object).is_empty(), expected.is_none(), "{object}");
        }
    }
}
