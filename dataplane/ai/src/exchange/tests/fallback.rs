//! Requests whose budget is spent.

use super::*;

const CHEAPER: &str =
    r#"[{"from":"gpt-*","to":"mini"},{"from":"own","to":"small"},{"from":"deployment","to":"other"}]"#;

fn spent(
    provider: Provider,
    model: Option<&str>,
    policy: RoutePolicy,
    path: &str,
) -> Result<Exchange, Refusal> {
    let head = RequestHead { fallback: Some(CHEAPER.as_bytes()), ..head(path) };
    Exchange::begin(cluster(provider, model), Arc::new(Policy::new(policy).unwrap()), &head)
}

/// Where a budget is spent, a cheaper model takes the place of whatever model the provider would be asked for.
#[test]
fn a_cheaper_model_takes_the_place_of_the_clients_and_of_the_backends() {
    let aliased = || RoutePolicy {
        model_aliases: [("fast".to_owned(), "gpt-fast".to_owned())].into(),
        ..RoutePolicy::default()
    };
    let forced = || RoutePolicy {
        defaults: vec![FieldDefault {
            field: "model".to_owned(),
            value: "\"gpt-9\"".to_owned(),
            replace: true,
        }],
        ..RoutePolicy::default()
    };
    let none = RoutePolicy::default;
    for (provider, own, policy, asked, expected) in [
        (Provider::OpenAi, None, none(), "gpt-4o", "mini"),
        (Provider::OpenAi, None, none(), "mini", "mini"),
        (Provider::OpenAi, Some("own"), none(), "gpt-4o", "small"),
        (Provider::OpenAi, None, aliased(), "fast", "mini"),
        (Provider::OpenAi, None, forced(), "gpt-4o", "mini"),
        (Provider::OpenAi, None, forced(), "mini", "mini"),
        (anthropic(), None, none(), "gpt-4o", "mini"),
    ] {
        let mut exchange = spent(provider, own, policy, "/v1/chat/completions").unwrap();
        assert!(exchange.needs_body());
        let body = json!({"model": asked, "messages": [{"role": "user", "content": "hi"}], "stream": true});
        assert_eq!(sent(&mut exchange, &body)["model"], expected, "{asked} {own:?}");
    }
    // Where the model stands in the path.
    for (own, asked, expected) in
        [(Some("own"), "x", "small"), (None, "gpt-4o", "mini"), (None, "mini", "mini")]
    {
        let path = format!("/v1beta/models/{asked}:generateContent");
        let mut exchange = spent(gemini(), own, none(), &path).unwrap();
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        sent(&mut exchange, &body);
        assert_eq!(exchange.head().path, format!("/v1beta/models/{expected}:generateContent"));
    }
    let azure =
        || Provider::AzureOpenAi { deployment: "deployment".into(), api_version: "2024-10-21".into() };
    let mut exchange = spent(azure(), None, none(), "/v1/chat/completions").unwrap();
    sent(&mut exchange, &json!({"model": "gpt-4o", "messages": []}));
    assert!(exchange.head().path.starts_with("/openai/deployments/other/"), "{}", exchange.head().path);
}

#[test]
fn what_no_cheaper_model_can_stand_in_for_is_refused() {
    let none = RoutePolicy::default;
    let azure =
        || Provider::AzureOpenAi { deployment: "deployment".into(), api_version: "2024-10-21".into() };
    for (provider, own, path) in [
        (Provider::OpenAi, None, "/v1/embeddings"),
        (Provider::OpenAi, Some("claude"), "/v1/chat/completions"),
        (azure(), None, "/v1/responses"),
        (gemini(), None, "/v1beta/models/gpt-4o:countTokens"),
    ] {
        let refusal = spent(provider, own, none(), path).map(drop).unwrap_err();
        assert_eq!((refusal.status, refusal.details), (429, "chancery_budget_spent"), "{path}");
    }
    for body in [json!({"model": "claude", "messages": []}), json!({"messages": []})] {
        let mut exchange = spent(Provider::OpenAi, None, none(), "/v1/chat/completions").unwrap();
        assert_eq!(exchange.request(body.to_string().into_bytes()).unwrap_err().status, 429, "{body}");
    }
    let head = |method, is_upgrade| RequestHead {
        method,
        path: "/v1/models",
        is_upgrade,
        fallback: Some(CHEAPER.as_bytes()),
        ..RequestHead::default()
    };
    for (head, expected) in
        [(head("GET", false), None), (head("GET", true), Some(429)), (head("DELETE", false), Some(429))]
    {
        let begun = Exchange::begin(cluster(Provider::OpenAi, None), Arc::default(), &head);
        assert_eq!(begun.err().map(|refusal| refusal.status), expected, "{head:?}");
    }
    let unreadable = RequestHead { fallback: Some(b"{}"), ..self::head("/v1/chat/completions") };
    let begun = Exchange::begin(cluster(Provider::OpenAi, None), Arc::default(), &unreadable);
    assert_eq!(begun.err().map(|refusal| refusal.status), Some(500));
}
