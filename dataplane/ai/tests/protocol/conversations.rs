//! One conversation, as each client tells it.

use ai::protocol::ClientProtocol;

/// The same conversation in every client protocol: system prompt, image, two parallel calls, their
/// results, and a last question.
pub(crate) const CHAT: &str = r#"{"model":"m","messages":[
    {"role":"system","content":"Be brief."},
    {"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,SU1H"}}]},
    {"role":"assistant","content":"I look.","tool_calls":[
        {"id":"call_a","type":"function","function":{"name":"look","arguments":"{\"z\":1.50,\"a\":12345678901234567890123}"}},
        {"id":"call_b","type":"function","function":{"name":"list","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"call_a","content":"a cat"},
    {"role":"tool","tool_call_id":"call_b","content":"{\"n\": 2}"},
    {"role":"user","content":"So?"}],
  "tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"integer"}},"required":["z"]}}},
           {"type":"function","function":{"name":"list","parameters":{"type":"object","properties":{}}}}],
  "tool_choice":"required","max_tokens":200,"temperature":0.3,"top_p":0.9,"stop":["END"]}"#;

pub(crate) const RESPONSES: &str = r#"{"model":"m","instructions":"Be brief.","input":[
    {"role":"user","content":[{"type":"input_text","text":"What is this?"},{"type":"input_image","image_url":"data:image/jpeg;base64,SU1H","detail":"auto"}]},
    {"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
    {"type":"function_call","id":"fc_1","call_id":"call_a","name":"look","arguments":"{\"z\":1.50,\"a\":12345678901234567890123}","status":"completed"},
    {"type":"function_call","call_id":"call_b","name":"list","arguments":"{}"},
    {"type":"function_call_output","call_id":"call_a","output":"a cat"},
    {"type":"function_call_output","call_id":"call_b","output":"{\"n\": 2}"},
    {"role":"user","content":"So?"}],
  "tools":[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"integer"}},"required":["z"]}},
           {"type":"function","name":"list","parameters":{"type":"object","properties":{}}}],
  "tool_choice":"required","max_output_tokens":200,"temperature":0.3,"top_p":0.9}"#;

pub(crate) const ANTHROPIC: &str = r#"{"model":"m","system":[{"type":"text","text":"Be brief."}],"messages":[
    {"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"SU1H"}}]},
    {"role":"assistant","content":[{"type":"text","text":"I look."},
        {"type":"tool_use","id":"call_a","name":"look","input":{"z":1.50,"a":12345678901234567890123}},
        {"type":"tool_use","id":"call_b","name":"list","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a","content":"a cat"},
        {"type":"tool_result","tool_use_id":"call_b","content":[{"type":"text","text":"{\"n\": 2}"}]},
        {"type":"text","text":"So?"}]}],
  "tools":[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"integer"}},"required":["z"]}},
           {"name":"list","input_schema":{"type":"object","properties":{}}}],
  "tool_choice":{"type":"any"},"max_tokens":200,"temperature":0.3,"top_p":0.9,"stop_sequences":["END"]}"#;

pub(crate) const GEMINI: &str = r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[
    {"role":"user","parts":[{"text":"What is this?"},{"inlineData":{"mimeType":"image/jpeg","data":"SU1H"}}]},
    {"role":"model","parts":[{"text":"I look."},{"functionCall":{"name":"look","args":{"z":1.50,"a":12345678901234567890123}}},{"functionCall":{"name":"list","args":{}}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"look","response":{"output":"a cat"}}},{"functionResponse":{"name":"list","response":{"n": 2}}},{"text":"So?"}]}],
  "tools":[{"functionDeclarations":[{"name":"look","description":"Looks.","parameters":{"type":"OBJECT","properties":{"z":{"type":"NUMBER"},"a":{"type":"INTEGER"}},"required":["z"]}},{"name":"list","parametersJsonSchema":{"type":"object","properties":{}}}]}],
  "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},
  "generationConfig":{"maxOutputTokens":200,"temperature":0.3,"topP":0.9,"stopSequences":["END"]}}"#;

pub(crate) fn conversation(client: ClientProtocol) -> &'static str {
    match client {
        ClientProtocol::OpenAiChat => CHAT,
        ClientProtocol::OpenAiResponses => RESPONSES,
        ClientProtocol::AnthropicMessages => ANTHROPIC,
        ClientProtocol::Gemini => GEMINI,
    }
}
