//! How many tokens a request has cost, as providers tell it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::prices::ServiceTier;

/// How many bytes of text come to a token, roughly: so providers say of English.
pub const BYTES_PER_TOKEN: u64 = 4;

/// Counts of tokens. Absent is what the provider did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those from the provider's cache among them.
    pub prompt: Option<u64>,
    /// Tokens of the answer, those of reasoning among them.
    pub completion: Option<u64>,
    /// Both together, where the provider says so itself.
    pub total: Option<u64>,
    /// Tokens of the prompt that came from the provider's cache.
    pub cached: Option<u64>,
    /// Tokens of the prompt that were written to the provider's cache.
    pub cache_creation: Option<u64>,
    /// Tokens of the answer that are reasoning.
    pub reasoning: Option<u64>,
    /// What only prices depend on.
    pub billing: Billing,
}

impl Usage {
    /// Reads the value of `usage` or `usageMetadata` of any provider: their field names do not collide. `None` if there
    /// is no count in it.
    pub fn read(json: &[u8]) -> Option<Self> {
        let raw: RawUsage = serde_json::from_slice(json).ok()?;
        // Read apart: serde copies all of an object of which a part is flattened.
        let usage = raw.into_usage(serde_json::from_slice(json).ok()?);
        let counts = Self { billing: Billing::default(), ..usage };
        (counts != Self::default()).then_some(usage)
    }

    /// Both together.
    pub fn total(&self) -> u64 {
        let sum = self.prompt.unwrap_or_default().saturating_add(self.completion.unwrap_or_default());
        self.total.unwrap_or(sum).max(sum)
    }

    /// With the tier of service that is told beside it.
    #[must_use]
    pub fn in_tier(self, tier: Option<ServiceTier>) -> Self {
        Self { billing: Billing { tier: self.billing.tier.or(tier), ..self.billing }, ..self }
    }

    /// Takes in what a later part of a stream tells. Counts in a stream only grow, and a part may leave some out.
    pub fn update(&mut self, later: Self) {
        let newer = |old: Option<u64>, new: Option<u64>| new.max(old);
        *self = Self {
            prompt: newer(self.prompt, later.prompt),
            completion: newer(self.completion, later.completion),
            total: newer(self.total, later.total),
            cached: newer(self.cached, later.cached),
            cache_creation: newer(self.cache_creation, later.cache_creation),
            reasoning: newer(self.reasoning, later.reasoning),
            billing: self.billing.updated(later.billing),
        };
    }
}

/// All providers' spellings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawUsage {
    // OpenAI chat, Mistral.
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    // OpenAI Responses, Anthropic.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    // Gemini, Vertex AI.
    #[serde(rename = "promptTokenCount")]
    prompt_token_count: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates_token_count: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts_token_count: Option<u64>,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached_content_token_count: Option<u64>,
    #[serde(rename = "totalTokenCount")]
    total_token_count: Option<u64>,
    // Bedrock Converse.
    #[serde(rename = "inputTokens")]
    bedrock_input: Option<u64>,
    #[serde(rename = "outputTokens")]
    bedrock_output: Option<u64>,
    #[serde(rename = "totalTokens")]
    bedrock_total: Option<u64>,
    #[serde(rename = "cacheReadInputTokens")]
    bedrock_cache_read: Option<u64>,
    #[serde(rename = "cacheWriteInputTokens")]
    bedrock_cache_write: Option<u64>,
}

/// What only prices depend on. What is not told in the form that is known is as if it was not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawBilling")]
pub struct Billing {
    /// Those of the tokens written to the provider's cache that stay there for an hour instead of some minutes.
    pub cache_creation_hour: Option<u64>,
    /// Tokens of prompt and answer that are sound.
    pub audio: Option<u64>,
    /// The tier of service that the request was answered in.
    pub tier: Option<ServiceTier>,
}

/// All providers' spellings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawBilling {
    // Anthropic.
    #[serde(deserialize_with = "lenient")]
    cache_creation: CacheCreation,
    #[serde(deserialize_with = "lenient")]
    service_tier: Option<String>,
    #[serde(deserialize_with = "lenient")]
    speed: Option<String>,
    // Gemini, Vertex AI.
    #[serde(rename = "promptTokensDetails", deserialize_with = "lenient")]
    prompt_details: Vec<Modality>,
    #[serde(rename = "candidatesTokensDetails", deserialize_with = "lenient")]
    candidates_details: Vec<Modality>,
    #[serde(rename = "trafficType", deserialize_with = "lenient")]
    traffic_type: Option<String>,
    #[serde(rename = "serviceTier", deserialize_with = "lenient")]
    gemini_tier: Option<String>,
    // Bedrock Converse.
    #[serde(rename = "cacheDetails", deserialize_with = "lenient")]
    cache_details: Vec<CacheDetail>,
}

impl Billing {
    /// With what a later part of a stream tells.
    #[must_use]
    pub fn updated(self, later: Self) -> Self {
        Self {
            cache_creation_hour: later.cache_creation_hour.max(self.cache_creation_hour),
            audio: later.audio.max(self.audio),
            tier: later.tier.or(self.tier),
        }
    }
}

/// Reads the tier of service that stands beside the counts: a text (OpenAI), or an object with its `type` (Bedrock).
pub fn told_tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServiceTier>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let word = value.as_str().or_else(|| value.get("type")?.as_str());
    Ok(word.map(ServiceTier::read))
}

impl From<RawBilling> for Billing {
    fn from(raw: RawBilling) -> Self {
        let details = raw.cache_details.iter().filter(|detail| detail.ttl == "1h");
        let of_bedrock = details.map(|detail| detail.input_tokens).reduce(u64::saturating_add);
        let of_gemini = raw.prompt_details.iter().chain(&raw.candidates_details);
        let audio = of_gemini.filter(|part| part.modality == "AUDIO").map(|part| part.token_count);
        // Anthropic's fast mode is no tier of theirs, but has prices of its own.
        let words =
            raw.speed.iter().chain(&raw.service_tier).chain(&raw.traffic_type).chain(&raw.gemini_tier);
        let tiers = words.map(|word| ServiceTier::read(word));
        Self {
            cache_creation_hour: raw.cache_creation.ephemeral_1h_input_tokens.or(of_bedrock),
            audio: audio.reduce(u64::saturating_add).filter(|tokens| *tokens > 0),
            tier: tiers.reduce(|first, second| if first == ServiceTier::Usual { second } else { first }),
        }
    }
}

/// What only prices depend on: in another form than the usual one, it is as if it was not there, and the counts are read
/// all the same.
fn lenient<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
}

/// How long what Anthropic writes to its cache stays there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

/// The same of Bedrock.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CacheDetail {
    ttl: String,
    input_tokens: u64,
}

/// How many tokens Gemini counts of one sort.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: String,
    token_count: u64,
}

impl RawUsage {
    /// Tokens that are sound, as OpenAI tells them.
    fn audio(&self) -> Option<u64> {
        let details = [
            &self.prompt_tokens_details,
            &self.completion_tokens_details,
            &self.input_tokens_details,
            &self.output_tokens_details,
        ];
        let audio = details.into_iter().filter_map(|details| details.as_ref()?.audio_tokens);
        audio.reduce(u64::saturating_add).filter(|tokens| *tokens > 0)
    }

    fn into_usage(self, billing: Billing) -> Usage {
        let cached = |details: &Option<Details>| details.as_ref().and_then(|details| details.cached_tokens);
        let reasoning =
            |details: &Option<Details>| details.as_ref().and_then(|details| details.reasoning_tokens);
        let billing = Billing { audio: self.audio().or(billing.audio), ..billing };
        let write =
            |details: &Option<Details>| details.as_ref().and_then(|details| details.cache_write_tokens);
        let written_inside = write(&self.prompt_tokens_details).or(write(&self.input_tokens_details));
        let details = cached(&self.prompt_tokens_details).or(cached(&self.input_tokens_details));
        // Anthropic and Bedrock count what comes from their cache, or goes into it, apart from the other input.
        let read = self.cache_read_input_tokens.or(self.bedrock_cache_read);
        let written = self.cache_creation_input_tokens.or(self.bedrock_cache_write);
        let apart = [read, written].into_iter().flatten().fold(0, u64::saturating_add);
        let input = self.input_tokens.or(self.bedrock_input).map(|input| input.saturating_add(apart));
        // Gemini counts tools' results and thoughts apart.
        let gemini_prompt = self
            .prompt_token_count
            .map(|prompt| prompt.saturating_add(self.tool_use_prompt_token_count.unwrap_or_default()));
        let gemini_answer = match (self.candidates_token_count, self.thoughts_token_count) {
            (None, None) => None,
            (answer, thoughts) => {
                Some(answer.unwrap_or_default().saturating_add(thoughts.unwrap_or_default()))
            }
        };
        Usage {
            prompt: self.prompt_tokens.or(input).or(gemini_prompt),
            completion: self
                .completion_tokens
                .or(self.output_tokens)
                .or(self.bedrock_output)
                .or(gemini_answer),
            total: self.total_tokens.or(self.bedrock_total).or(self.total_token_count),
            cached: details.or(read).or(self.cached_content_token_count),
            cache_creation: written_inside.or(written),
            billing,
            reasoning: reasoning(&self.completion_tokens_details)
                .or(reasoning(&self.output_tokens_details))
                .or(self.thoughts_token_count),
        }
    }
}

#[cfg(test)]
mod tests {
    use ai_config::Tier;

    use super::*;

    fn in_tier(tier: Tier) -> Billing {
        Billing { tier: Some(ServiceTier::Other(tier)), ..Billing::default() }
    }

    fn counts(prompt: u64, completion: u64, total: u64) -> Usage {
        Usage { prompt: Some(prompt), completion: Some(completion), total: Some(total), ..Usage::default() }
    }

    #[test]
    fn every_provider_is_understood() {
        let rows = [
            (
                r#"{"prompt_tokens":21,"completion_tokens":22,"total_tokens":43,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5}}"#,
                Usage { cached: Some(4), reasoning: Some(5), ..counts(21, 22, 43) },
                43,
            ),
            (
                r#"{"input_tokens":10,"output_tokens":3,"total_tokens":13,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":1}}"#,
                Usage { cached: Some(2), reasoning: Some(1), ..counts(10, 3, 13) },
                13,
            ),
            (
                r#"{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":7,"output_tokens":3,"service_tier":"priority","cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":6}}"#,
                Usage {
                    total: None,
                    cached: Some(5),
                    cache_creation: Some(7),
                    billing: Billing { cache_creation_hour: Some(6), ..in_tier(Tier::Priority) },
                    ..counts(22, 3, 0)
                },
                25,
            ),
            (
                r#"{"promptTokenCount":4,"candidatesTokenCount":6,"thoughtsTokenCount":10,"totalTokenCount":20,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1},{"modality":"AUDIO","tokenCount":3}],"trafficType":"ON_DEMAND_FLEX"}"#,
                Usage {
                    reasoning: Some(10),
                    billing: Billing { audio: Some(3), ..in_tier(Tier::Flex) },
                    ..counts(4, 16, 20)
                },
                20,
            ),
            (
                r#"{"inputTokens":4,"outputTokens":6,"totalTokens":15,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"cacheDetails":[{"ttl":"1h","inputTokens":2},{"ttl":"5m","inputTokens":9},{"ttl":"1h","inputTokens":1}]}"#,
                Usage {
                    cached: Some(5),
                    cache_creation: Some(0),
                    billing: Billing { cache_creation_hour: Some(3), ..Billing::default() },
                    ..counts(9, 6, 15)
                },
                15,
            ),
            (
                // What only prices depend on costs no count when it is in another form.
                r#"{"prompt_tokens":8,"total_tokens":8,"service_tier":7,"cache_creation":null,"promptTokensDetails":{},"cacheDetails":null,"prompt_tokens_details":{"cache_write_tokens":2,"audio_tokens":1}}"#,
                Usage {
                    completion: None,
                    cache_creation: Some(2),
                    billing: Billing { audio: Some(1), ..Billing::default() },
                    ..counts(8, 0, 8)
                },
                8,
            ),
            (r#"{"prompt_tokens":8,"total_tokens":8}"#, Usage { completion: None, ..counts(8, 0, 8) }, 8),
        ];
        for (json, expected, total) in rows {
            let usage = Usage::read(json.as_bytes()).unwrap();
            assert_eq!(usage, expected, "{json}");
            assert_eq!(usage.total(), total, "{json}");
        }
        for json in ["null", "{}", "[]", "{\"prompt_tokens\":-1}", "", "{\"prompt_tokens\":null}"] {
            assert_eq!(Usage::read(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn a_stream_that_tells_in_parts_is_summed_up() {
        let mut usage = Usage::read(br#"{"input_tokens":25,"output_tokens":1}"#).unwrap();
        usage.update(Usage::read(br#"{"output_tokens":15}"#).unwrap());
        assert_eq!((usage.prompt, usage.completion, usage.total()), (Some(25), Some(15), 40));
    }
}
