//! Servers that are asked about prompts and answers: what they are asked, and what they say.
//!
//! The webhooks speak the protocol of kgateway's AI gateway (`POST /request` and `POST /response`), moderation is OpenAI's
//! (`POST /v1/moderations`).

use ai_config::{ForwardedHeader, GuardRejection, Moderation, TextMatch, Webhook};
use regex::Regex;
use serde_json::{Value, json};

use super::body::Side;
use super::patterns::PatternError;
use super::texts::Text;

/// The status and the body with which a webhook rejects that does not say others.
const DEFAULT_STATUS: u16 = 403;
const DEFAULT_BODY: &str = "Rejected by guardrails webhook";

/// Headers that are about the one request that they come with.
const NEVER_FORWARDED: [&str; 8] =
    ["connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding", "upgrade"];

/// Headers of W3C's Trace Context, which every question gets.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// A request to a server: always a POST of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name of the server's cluster.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer of a server.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

/// What a server has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// What it was asked about goes on.
    Pass,
    /// It goes on with these texts in place of those that the server was asked about.
    Mask(Vec<String>),
    /// It does not go on.
    Reject(GuardRejection),
}

/// What is wrong with a server; nothing passes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HookFault(pub &'static str);

const AWAY: HookFault = HookFault("gave no answer");
const REFUSES: HookFault = HookFault("answered with an error");
const UNREADABLE: HookFault = HookFault("gave an answer that cannot be read");

/// A webhook, ready for use.
#[derive(Debug)]
pub(crate) struct Hook {
    webhook: Webhook,
    forwarded: Vec<(Matcher, Option<Matcher>)>,
}

#[derive(Debug)]
enum Matcher {
    Text(TextMatch),
    Regex(Regex),
}

impl Matcher {
    /// `index` is the number of the rule that wants it.
    fn new(index: usize, wanted: &TextMatch) -> Result<Self, PatternError> {
        let TextMatch::Regex(expression) = wanted else { return Ok(Self::Text(wanted.clone())) };
        let regex = Regex::new(&format!("^(?:{expression})$"));
        regex.map(Self::Regex).map_err(|error| PatternError { index, message: error.to_string() })
    }

    fn takes(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Text(TextMatch::Prefix(wanted)) => text.starts_with(wanted),
            Self::Text(TextMatch::Suffix(wanted)) => text.ends_with(wanted),
            Self::Text(TextMatch::Contains(wanted)) => text.contains(wanted),
            Self::Text(TextMatch::Exact(wanted) | TextMatch::Regex(wanted)) => text == wanted,
        }
    }
}

impl Hook {
    /// Compiles the expressions of a webhook.
    ///
    /// # Errors
    /// One cannot be used.
    pub(crate) fn new(webhook: &Webhook) -> Result<Self, PatternError> {
        let rules = webhook.forward_headers.iter().enumerate();
        let forwarded = rules.map(|(index, ForwardedHeader { name, value })| {
            let value = value.as_ref().map(|value| Matcher::new(index, value));
            Ok((Matcher::new(index, name)?, value.transpose()?))
        });
        Ok(Self { webhook: webhook.clone(), forwarded: forwarded.collect::<Result<_, _>>()? })
    }

    /// The headers of a client's request that go with each question; lower-case names.
    pub(crate) fn forwarded<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Vec<(String, Vec<u8>)> {
        let is_wanted = |name: &str, value: &[u8]| {
            let value = std::str::from_utf8(value).ok();
            let takes = |(wanted, own): &(Matcher, Option<Matcher>)| {
                wanted.takes(name)
                    && own.as_ref().is_none_or(|own| value.is_some_and(|value| own.takes(value)))
            };
            TRACE.contains(&name)
                || (!name.starts_with(':')
                    && !NEVER_FORWARDED.contains(&name)
                    && self.forwarded.iter().any(takes))
        };
        let wanted = headers.into_iter().filter(|(name, value)| is_wanted(name, value));
        wanted.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
    }

    /// What the server is asked about texts.
    pub(crate) fn question(&self, about: Side, texts: &[Text], headers: &[(String, Vec<u8>)]) -> Question {
        let message = |text: &Text| json!({"role": text.role, "content": text.content});
        let (path, body) = match about {
            Side::Request => ("/request", json!({"messages": texts.iter().map(message).collect::<Vec<_>>()})),
            Side::Response => {
                let choice = |text: &Text| json!({"message": message(text)});
                ("/response", json!({"choices": texts.iter().map(choice).collect::<Vec<_>>()}))
            }
        };
        Question {
            cluster: self.webhook.cluster.clone(),
            authority: self.webhook.authority.clone(),
            path: path.to_owned(),
            headers: headers.to_vec(),
            body: json!({"body": body}).to_string().into_bytes(),
        }
    }
}

/// What a webhook has decided about so many texts.
///
/// # Errors
/// It has not.
pub(crate) fn of_webhook(reply: Option<Reply<'_>>, about: Side, count: usize) -> Result<Decision, HookFault> {
    // The actions are told apart by their body: a text rejects, an object masks, none passes.
    let said = read(reply)?;
    let Some(Value::Object(action)) = said.get("action") else { return Err(UNREADABLE) };
    let given = |name| action.get(name).filter(|value| !value.is_null());
    let status = match given("status_code").map(Value::as_u64) {
        None => None,
        Some(status) => Some(status.filter(|status| (200..600).contains(status)).ok_or(UNREADABLE)?),
    };
    match (given("body"), status) {
        (None, None) => Ok(Decision::Pass),
        // Whoever rejects without words rejects.
        (None, Some(_)) => Ok(rejection("", status)),
        (Some(Value::String(message)), _) => Ok(rejection(message, status)),
        (Some(body), _) => masked(body, about, count).map(Decision::Mask).ok_or(UNREADABLE),
    }
}

fn rejection(message: &str, status: Option<u64>) -> Decision {
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(DEFAULT_STATUS);
    let message = if message.is_empty() { DEFAULT_BODY } else { message };
    Decision::Reject(GuardRejection { status, message: message.to_owned() })
}

/// What stands in place of the texts, as many as the webhook was asked about.
fn masked(body: &Value, about: Side, count: usize) -> Option<Vec<String>> {
    let content = |message: Option<&Value>| Some(message?.get("content")?.as_str()?.to_owned());
    let texts: Option<Vec<String>> = match about {
        Side::Request => body.get("messages")?.as_array()?.iter().map(|one| content(Some(one))).collect(),
        Side::Response => {
            body.get("choices")?.as_array()?.iter().map(|one| content(one.get("message"))).collect()
        }
    };
    texts.filter(|texts| texts.len() == count)
}

/// What OpenAI's moderation is asked about texts.
pub(crate) fn moderation_question(moderation: &Moderation, texts: &[Text]) -> Question {
    let input: Vec<&str> = texts.iter().map(|text| text.content.as_str()).collect();
    Question {
        cluster: moderation.cluster.clone(),
        authority: moderation.authority.clone(),
        path: moderation.path.clone(),
        headers: Vec::new(),
        body: json!({"model": moderation.model, "input": input}).to_string().into_bytes(),
    }
}

/// What OpenAI's moderation has decided about so many texts.
///
/// # Errors
/// It has not.
pub(crate) fn of_moderation(
    reply: Option<Reply<'_>>,
    moderation: &Moderation,
    count: usize,
) -> Result<Decision, HookFault> {
    let judged = read(reply)?;
    let results = judged.get("results").and_then(Value::as_array).ok_or(UNREADABLE)?;
    let flags: Option<Vec<bool>> = results.iter().map(|result| result.get("flagged")?.as_bool()).collect();
    let flags = flags.ok_or(UNREADABLE)?;
    match flags.contains(&true) {
        true => Ok(Decision::Reject(moderation.rejection.clone())),
        false if flags.len() == count => Ok(Decision::Pass),
        // Some texts were not judged.
        false => Err(UNREADABLE),
    }
}

fn read(reply: Option<Reply<'_>>) -> Result<Value, HookFault> {
    let Reply { status, body } = reply.ok_or(AWAY)?;
    if !(200..300).contains(&status) {
        return Err(REFUSES);
    }
    serde_json::from_slice(body).map_err(|_| UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(about: Side, count: usize, body: &str) -> Result<Decision, HookFault> {
        of_webhook(Some(Reply { status: 200, body: body.as_bytes() }), about, count)
    }

    fn rejected(status: u16, message: &str) -> Result<Decision, HookFault> {
        Ok(Decision::Reject(GuardRejection { status, message: message.to_owned() }))
    }

    #[test]
    fn a_webhook_passes_masks_or_rejects_and_everything_else_is_a_fault() {
        let request = |body| said(Side::Request, 2, body);
        assert_eq!(request(r#"{"action":{}}"#), Ok(Decision::Pass));
        assert_eq!(request(r#"{"action":{"reason":"fine"}}"#), Ok(Decision::Pass));
        assert_eq!(
            request(r#"{"action":{"body":"no","status_code":422,"reason":"r"}}"#),
            rejected(422, "no")
        );
        assert_eq!(request(r#"{"action":{"body":"no"}}"#), rejected(403, "no"));
        assert_eq!(request(r#"{"action":{"body":"","status_code":400}}"#), rejected(400, DEFAULT_BODY));
        assert_eq!(request(r#"{"action":{"status_code":400}}"#), rejected(400, DEFAULT_BODY));
        assert_eq!(
            request(r#"{"action":{"body":{"messages":[{"role":"user","content":"a"},{"content":"b"}]}}}"#),
            Ok(Decision::Mask(vec!["a".to_owned(), "b".to_owned()]))
        );
        assert_eq!(
            said(
                Side::Response,
                1,
                r#"{"action":{"body":{"choices":[{"message":{"content":"a"}}]},"reason":""}}"#
            ),
            Ok(Decision::Mask(vec!["a".to_owned()]))
        );
        for body in [
            "",
            "{}",
            "[]",
            "{\"action\":7}",
            r#"[{"body":null}]"#,
            r#"{"action":["no"]}"#,
            r#"{"action":["no",403]}"#,
            r#"{"action":{"body":{"messages":[["user","a"],["user","b"]]}}}"#,
            r#"{"action":{"body":["a","b"]}}"#,
            r#"{"action":{"status_code":true}}"#,
            r#"{"action":{"body":7}}"#,
            r#"{"action":{"body":{}}}"#,
            r#"{"action":{"body":{"messages":[]}}}"#,
            r#"{"action":{"body":{"messages":[{"content":"a"}]}}}"#,
            r#"{"action":{"body":{"messages":[{"content":"a"},{"content":null}]}}}"#,
            r#"{"action":{"body":{"choices":[{"message":{"content":"a"}},{"message":{"content":"a"}}]}}}"#,
            r#"{"action":{"body":"no","status_code":"403"}}"#,
            r#"{"action":{"body":"no","status_code":99}}"#,
        ] {
            assert_eq!(request(body), Err(UNREADABLE), "{body}");
        }
        assert_eq!(of_webhook(None, Side::Request, 1), Err(AWAY));
        let reply = |status| Some(Reply { status, body: br#"{"action":{}}"# });
        for status in [301, 404, 500, 503] {
            assert_eq!(of_webhook(reply(status), Side::Request, 1), Err(REFUSES), "{status}");
        }
        assert_eq!(of_webhook(reply(201), Side::Request, 1), Ok(Decision::Pass));
    }

    #[test]
    fn moderation_rejects_what_is_flagged_and_passes_what_was_judged() {
        let moderation = Moderation {
            cluster: "c".to_owned(),
            authority: "api.openai.com".to_owned(),
            path: "/v1/moderations".to_owned(),
            model: "m".to_owned(),
            rejection: GuardRejection { status: 403, message: "no".to_owned() },
            is_shadow: false,
        };
        let judged = |count, body: &'static str| {
            of_moderation(Some(Reply { status: 200, body: body.as_bytes() }), &moderation, count)
        };
        assert_eq!(
            judged(1, r#"{"id":"x","results":[{"flagged":false,"categories":{}}]}"#),
            Ok(Decision::Pass)
        );
        assert_eq!(judged(2, r#"{"results":[{"flagged":false},{"flagged":true}]}"#), rejected(403, "no"));
        for body in [
            r#"{"results":[]}"#,
            r#"{"results":[{"flagged":false}]}"#,
            r#"{"results":[{}, {}]}"#,
            "{}",
            "[[[false],[false]]]",
            r#"{"results":[[false],[false]]}"#,
        ] {
            assert_eq!(judged(2, body), Err(UNREADABLE), "{body}");
        }
        assert_eq!(of_moderation(None, &moderation, 1), Err(AWAY));
        let text = Text { role: "user".to_owned(), content: "a".to_owned() };
        let question = moderation_question(&moderation, &[text]);
        assert_eq!(question.body, br#"{"input":["a"],"model":"m"}"#);
    }

    #[test]
    fn headers_are_forwarded_that_match_by_name_and_value() {
        let exact = |text: &str| TextMatch::Exact(text.to_owned());
        let rule = |name, value| ForwardedHeader { name, value };
        let webhook = Webhook {
            cluster: "c".to_owned(),
            authority: "a".to_owned(),
            is_shadow: false,
            forward_headers: vec![
                rule(exact("x-a"), Some(exact("1"))),
                rule(exact("x-b"), Some(TextMatch::Regex("[0-9]+".to_owned()))),
                rule(TextMatch::Prefix("pre".to_owned()), None),
                rule(TextMatch::Suffix("-post".to_owned()), None),
                rule(TextMatch::Contains("mid".to_owned()), None),
                rule(TextMatch::Regex("content-.*".to_owned()), None),
            ],
        };
        let hook = Hook::new(&webhook).unwrap();
        let headers = [
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-b", "12"),
            ("x-b", "12a"),
            ("prefixed", "v"),
            ("a-post", "v"),
            ("a-mid-b", "v"),
            ("content-length", "7"),
            ("content-language", "en"),
            ("authorization", "Bearer canary"),
            (":path", "/"),
            ("traceparent", "00-1"),
        ];
        let headers = headers.map(|(name, value)| (name, value.as_bytes()));
        let found: Vec<_> = hook
            .forwarded(headers)
            .into_iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                "x-a=1",
                "x-b=12",
                "prefixed=v",
                "a-post=v",
                "a-mid-b=v",
                "content-language=en",
                "traceparent=00-1"
            ]
        );
        let wrong =
            Webhook { forward_headers: vec![rule(TextMatch::Regex("(".to_owned()), None)], ..webhook };
        assert!(Hook::new(&wrong).is_err());
    }
}
