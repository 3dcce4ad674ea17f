//! A client of the Responses API.

use serde_json::Value;

use crate::clients::{Call, Said, list, number, text};

fn responses_item(said: &mut Said, item: &Value) {
    match text(item, "type") {
        "message" => {
            assert_eq!(item["role"], "assistant");
            assert_eq!(item["status"], "completed");
            for part in list(item, "content") {
                assert_eq!(part["type"], "output_text");
                list(part, "annotations");
                said.text += text(part, "text");
            }
        }
        "reasoning" => {
            for part in list(item, "summary") {
                assert_eq!(part["type"], "summary_text");
                said.reasoning += text(part, "text");
            }
            said.signature += item["encrypted_content"].as_str().unwrap_or("");
        }
        "function_call" => {
            assert!(!text(item, "call_id").is_empty());
            said.calls
                .push(Call { name: text(item, "name").into(), arguments: text(item, "arguments").into() });
        }
        other => panic!("unknown item {other}"),
    }
}

pub(crate) fn responses_unary(value: &Value) -> Said {
    assert_eq!(value["object"], "response");
    assert!(text(value, "id").starts_with("resp_"));
    for name in
        ["created_at", "parallel_tool_calls", "tool_choice", "tools", "text", "metadata", "temperature"]
    {
        assert!(!value[name].is_null(), "{name} is missing");
    }
    let mut said = Said::default();
    for item in list(value, "output") {
        responses_item(&mut said, item);
    }
    said.stop = match (text(value, "status"), value["incomplete_details"]["reason"].as_str()) {
        ("completed", None) if said.calls.is_empty() => "end",
        ("completed", None) => "tool",
        ("incomplete", Some("max_output_tokens")) => "length",
        ("incomplete", Some("content_filter")) => "filtered",
        other => panic!("unknown status {other:?}"),
    };
    let usage = &value["usage"];
    said.input = number(usage, "input_tokens");
    said.output = number(usage, "output_tokens");
    said.cached = number(&usage["input_tokens_details"], "cached_tokens");
    number(&usage["output_tokens_details"], "reasoning_tokens");
    assert_eq!(number(usage, "total_tokens"), said.input + said.output);
    said
}

/// Follows the deltas and compares them with what the items say when they are done.
pub(crate) fn responses_stream(events: &[(Option<String>, String)]) -> Said {
    let mut items: Vec<Value> = Vec::new();
    let mut open: Option<(String, String)> = None;
    let mut last = Value::Null;
    for (sequence, (name, data)) in events.iter().enumerate() {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"].as_str(), name.as_deref());
        assert_eq!(number(&event, "sequence_number"), sequence as u64);
        assert!(last.is_null(), "nothing follows the end");
        if let Some(index) = event.get("output_index") {
            assert_eq!(index.as_u64().unwrap(), items.len() as u64);
        }
        if let Some(id) = event.get("item_id") {
            assert_eq!(id.as_str(), open.as_ref().map(|(id, _)| id.as_str()));
        }
        match text(&event, "type") {
            "response.created" => assert_eq!(sequence, 0),
            "response.in_progress" => assert_eq!(sequence, 1),
            "response.output_item.added" => {
                assert_eq!(open, None);
                open = Some((text(&event["item"], "id").to_owned(), String::new()));
            }
            "response.output_text.delta"
            | "response.function_call_arguments.delta"
            | "response.reasoning_summary_text.delta" => open.as_mut().unwrap().1 += text(&event, "delta"),
            "response.output_text.done" | "response.reasoning_summary_text.done" => {
                assert_eq!(text(&event, "text"), open.as_ref().unwrap().1);
            }
            "response.function_call_arguments.done" => {
                assert_eq!(text(&event, "arguments"), open.as_ref().unwrap().1);
            }
            "response.content_part.added"
            | "response.content_part.done"
            | "response.reasoning_summary_part.added"
            | "response.reasoning_summary_part.done" => assert!(event["part"].is_object()),
            "response.output_item.done" => {
                assert_eq!(event["item"]["id"].as_str(), open.take().map(|(id, _)| id).as_deref());
                items.push(event["item"].clone());
            }
            "response.completed" | "response.incomplete" => last = event["response"].clone(),
            other => panic!("unknown event {other}"),
        }
    }
    assert_eq!(last["output"], Value::Array(items));
    responses_unary(&last)
}
