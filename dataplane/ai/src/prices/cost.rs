//! What the tokens of a request cost at the rates of a model.

use ai_config::{Rate, Tier};

use super::money::Usd;
use crate::usage::Usage;

/// The tier of service that a provider says it has answered in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceTier {
    /// The usual one.
    #[default]
    Usual,
    /// This one.
    Other(Tier),
    /// One that nobody here knows, so that nothing has a price in it.
    Unknown,
}

impl ServiceTier {
    /// Reads the word of any provider.
    pub fn read(word: &str) -> Self {
        // https://platform.openai.com/docs/api-reference/chat/object (service_tier),
        // https://docs.anthropic.com/en/api/service-tiers, `trafficType` of Vertex AI's GenerateContentResponse.UsageMetadata,
        // `serviceTier` of Bedrock's Converse.
        match word.to_ascii_lowercase().as_str() {
            ""
            | "auto"
            | "default"
            | "standard"
            | "on_demand"
            | "traffic_type_unspecified"
            | "unspecified" => Self::Usual,
            "batch" => Self::Other(Tier::Batch),
            "fast" => Self::Other(Tier::Fast),
            "flex" | "on_demand_flex" => Self::Other(Tier::Flex),
            "priority" | "on_demand_priority" => Self::Other(Tier::Priority),
            "provisioned_throughput" => Self::Other(Tier::Provisioned),
            "reserved" => Self::Other(Tier::Reserved),
            "scale" => Self::Other(Tier::Scale),
            "ultrafast" => Self::Other(Tier::Ultrafast),
            _ => Self::Unknown,
        }
    }
}

/// The tokens that a request is billed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// What the provider has told, with estimates in place of what it has not.
    pub usage: Usage,
    /// Whether there are estimates.
    pub is_estimated: bool,
}

/// What tokens cost at the rates of a model; `None` if these say nothing about such tokens.
pub(super) fn cost(rates: &[Rate], usage: &Usage) -> Option<Usd> {
    let prompt = usage.prompt.unwrap_or_default();
    let rate = rate(rates, usage.billing.tier.unwrap_or_default(), prompt)?;
    // No rate tells what tokens of sound cost, which is another price everywhere.
    if usage.billing.audio.is_some_and(|tokens| tokens > 0) {
        return None;
    }
    let completion = usage.completion.unwrap_or_default();
    let output = match rate.output {
        Some(price) => price,
        None if completion == 0 => 0,
        None => return None,
    };
    let cached = usage.cached.unwrap_or_default().min(prompt);
    let written = usage.cache_creation.unwrap_or_default().min(prompt - cached);
    let for_an_hour = usage.billing.cache_creation_hour.unwrap_or_default().min(written);
    let write = rate.cache_write.unwrap_or(rate.input);
    let parts = [
        (prompt - cached - written, rate.input),
        (cached, rate.cache_read.unwrap_or(rate.input)),
        (written - for_an_hour, write),
        (for_an_hour, rate.cache_write_hour.unwrap_or(write)),
        (completion, output),
    ];
    Some(
        parts
            .into_iter()
            .map(|(tokens, price)| Usd::of_tokens(tokens, price))
            .fold(Usd::default(), Usd::plus),
    )
}

/// What a request may come to, before anybody has answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The tokens of its text.
    pub prompt: u64,
    /// More tokens than so many its text does not have.
    pub longest_prompt: u64,
    /// How many tokens its answers may have.
    pub answer: u64,
    /// Whether it may ask for another tier of service than the usual one.
    pub any_tier: bool,
}

/// The most that a request may cost at the rates of a model; `None` if these say nothing about such a request.
pub(super) fn most(rates: &[Rate], expected: &Expected) -> Option<Usd> {
    let Expected { prompt, longest_prompt, answer, any_tier } = *expected;
    let fits =
        |rate: &&Rate| (any_tier || rate.tier.is_none()) && (rate.above == 0 || longest_prompt > rate.above);
    let cost = |rate: &Rate| {
        let kinds = [rate.cache_read, rate.cache_write, rate.cache_write_hour];
        let input = kinds.into_iter().flatten().fold(rate.input, u64::max);
        let output = rate.output.or((answer == 0).then_some(0))?;
        Some(Usd::of_tokens(prompt, input).plus(Usd::of_tokens(answer, output)))
    };
    let costs: Option<Vec<Usd>> = rates.iter().filter(fits).map(cost).collect();
    costs?.into_iter().max()
}

/// The rate of a tier for a prompt of this length.
fn rate(rates: &[Rate], tier: ServiceTier, prompt: u64) -> Option<&Rate> {
    let tier = match tier {
        ServiceTier::Usual => None,
        ServiceTier::Other(tier) => Some(tier),
        ServiceTier::Unknown => return None,
    };
    let of = |tier: Option<Tier>| {
        let fitting =
            rates.iter().filter(move |rate| rate.tier == tier && (rate.above == 0 || prompt > rate.above));
        fitting.max_by_key(|rate| rate.above)
    };
    let usual = of(None)?;
    // Where long prompts have a price of their own, a tier without one has none for them.
    of(tier).filter(|rate| rate.above >= usual.above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Billing;

    fn rate_of(tier: Option<Tier>, above: u64, input: u64) -> Rate {
        Rate { tier, above, input, output: Some(10 * input), ..Rate::default() }
    }

    fn for_an_hour(tokens: u64) -> Billing {
        Billing { cache_creation_hour: Some(tokens), ..Billing::default() }
    }

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage { prompt: Some(prompt), completion: Some(completion), ..Usage::default() }
    }

    #[test]
    fn each_sort_of_tokens_has_its_price() {
        let full = Rate {
            cache_read: Some(1),
            cache_write: Some(30),
            cache_write_hour: Some(40),
            ..rate_of(None, 0, 20)
        };
        let bare = rate_of(None, 0, 20);
        let cached = Usage { cached: Some(4), ..usage(10, 3) };
        let written = Usage { cache_creation: Some(5), billing: for_an_hour(2), ..cached };
        for (usage, at_full, at_bare) in [
            (Usage::default(), 0, 0),
            (usage(10, 3), 800, 800),
            (cached, 6 * 20 + 4 + 600, 800),
            (written, 20 + 4 + 3 * 30 + 2 * 40 + 600, 800),
            // What a provider tells may contradict itself: no token counts twice.
            (Usage { cached: Some(40), ..usage(10, 0) }, 10, 200),
            (
                Usage { cached: Some(9), cache_creation: Some(9), billing: for_an_hour(9), ..usage(10, 0) },
                49,
                200,
            ),
        ] {
            assert_eq!(cost(&[full], &usage), Some(Usd::from_picos(at_full)), "{usage:?}");
            assert_eq!(cost(&[bare], &usage), Some(Usd::from_picos(at_bare)), "{usage:?}");
        }
    }

    #[test]
    fn what_has_no_price_costs_no_known_amount() {
        let embedding = Rate { output: None, ..rate_of(None, 0, 20) };
        assert_eq!(cost(&[embedding], &usage(10, 0)), Some(Usd::from_picos(200)));
        assert_eq!(cost(&[embedding], &usage(10, 1)), None);
        assert_eq!(cost(&[], &usage(10, 0)), None);
        let spoken = Usage { billing: Billing { audio: Some(1), ..Billing::default() }, ..usage(10, 1) };
        assert_eq!(cost(&[rate_of(None, 0, 20)], &spoken), None);
    }

    #[test]
    fn the_most_that_a_request_may_cost_is_that_of_the_highest_price_that_fits() {
        let priority = Rate { output: Some(9_000), ..rate_of(Some(Tier::Priority), 0, 90) };
        let cheap = Rate {
            cache_write: Some(30),
            cache_write_hour: Some(40),
            cache_read: Some(1),
            ..rate_of(None, 0, 20)
        };
        let rates = [cheap, rate_of(None, 100, 50), priority];
        let usual = Expected { prompt: 10, longest_prompt: 100, answer: 3, any_tier: false };
        for (expected, most) in [
            (Expected::default(), 0),
            (usual, 10 * 40 + 3 * 200),
            (Expected { longest_prompt: 101, ..usual }, 10 * 50 + 3 * 500),
            (Expected { any_tier: true, ..usual }, 10 * 90 + 3 * 9_000),
        ] {
            assert_eq!(super::most(&rates, &expected), Some(Usd::from_picos(most)), "{expected:?}");
        }
        let embedding = Rate { output: None, ..rate_of(None, 0, 20) };
        assert_eq!(super::most(&[embedding], &Expected { answer: 0, ..usual }), Some(Usd::from_picos(200)));
        assert_eq!(super::most(&[embedding], &usual), None);
        assert_eq!(super::most(&[priority], &usual), None, "nothing in the usual tier");
    }

    /// Whatever comes of a request that has no more tokens than expected, it does not cost more.
    #[test]
    fn nothing_costs_more_than_the_most() {
        let mut state = 11_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let mut rate = |tier, above| Rate {
                tier,
                above,
                input: next(50),
                output: Some(next(50)),
                cache_read: Some(next(50)).filter(|price| price % 2 == 0),
                cache_write: Some(next(50)).filter(|price| price % 2 == 0),
                cache_write_hour: Some(next(50)).filter(|price| price % 2 == 0),
            };
            let flex = Some(Tier::Flex);
            let rates = [rate(None, 0), rate(None, 20), rate(flex, 0), rate(flex, 20)];
            let any_tier = next(2) == 0;
            let tier =
                if any_tier && next(2) == 0 { ServiceTier::Other(Tier::Flex) } else { ServiceTier::Usual };
            let (prompt, answer) = (next(60), next(60));
            let expected = Expected { prompt, longest_prompt: prompt, answer, any_tier };
            let (prompt, answer) = (next(prompt + 1), next(answer + 1));
            let billing =
                Billing { tier: Some(tier), cache_creation_hour: Some(next(60)), ..Billing::default() };
            let used = Usage {
                cached: Some(next(60)),
                cache_creation: Some(next(60)),
                billing,
                ..usage(prompt, answer)
            };
            assert!(cost(&rates, &used) <= super::most(&rates, &expected), "{rates:?} {expected:?} {used:?}");
        }
    }

    #[test]
    fn tiers_and_long_prompts_have_rates_of_their_own() {
        let (flex, priority) = (Some(Tier::Flex), Some(Tier::Priority));
        let rates = [
            rate_of(None, 0, 20),
            rate_of(None, 100, 40),
            rate_of(None, 200, 80),
            rate_of(flex, 0, 10),
            rate_of(flex, 100, 30),
            rate_of(flex, 200, 50),
            rate_of(priority, 0, 100),
        ];
        for (word, prompt, expected) in [
            ("default", 100, Some(20)),
            ("default", 101, Some(40)),
            ("standard", 201, Some(80)),
            ("flex", 1, Some(10)),
            ("ON_DEMAND_FLEX", 101, Some(30)),
            ("flex", 1000, Some(50)),
            ("priority", 100, Some(100)),
            ("priority", 101, None),
            ("scale", 1, None),
            ("a-new-one", 1, None),
        ] {
            let billing = Billing { tier: Some(ServiceTier::read(word)), ..Billing::default() };
            let usage = Usage { billing, ..usage(prompt, 0) };
            let expected = expected.map(|price| Usd::of_tokens(prompt, price));
            assert_eq!(cost(&rates, &usage), expected, "{word} {prompt}");
        }
    }

    /// Against a plain restatement, over generated counts and prices.
    #[test]
    fn a_cost_is_the_sum_over_its_tokens() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let some = |number: u64| (!number.is_multiple_of(3)).then_some(number);
            let rate = Rate {
                input: next(50),
                output: Some(next(50)),
                cache_read: some(next(50)),
                cache_write: some(next(50)),
                cache_write_hour: some(next(50)),
                ..Rate::default()
            };
            let prompt = next(60);
            let cached = some(next(60)).filter(|cached| *cached <= prompt);
            let written = some(next(60)).filter(|written| written + cached.unwrap_or(0) <= prompt);
            let hour = some(next(60)).filter(|hour| *hour <= written.unwrap_or(0));
            let told = Usage {
                cached,
                cache_creation: written,
                billing: Billing { cache_creation_hour: hour, ..Billing::default() },
                ..usage(prompt, next(60))
            };
            // Token by token.
            let mut expected = 0_u128;
            for token in 0..prompt {
                let (cached, written, hour) = (cached.unwrap_or(0), written.unwrap_or(0), hour.unwrap_or(0));
                let price = if token < cached {
                    rate.cache_read.unwrap_or(rate.input)
                } else if token < cached + hour {
                    rate.cache_write_hour.or(rate.cache_write).unwrap_or(rate.input)
                } else if token < cached + written {
                    rate.cache_write.unwrap_or(rate.input)
                } else {
                    rate.input
                };
                expected += u128::from(price);
            }
            expected += u128::from(told.completion.unwrap() * rate.output.unwrap());
            assert_eq!(cost(&[rate], &told), Some(Usd::from_picos(expected)), "{rate:?} {told:?}");
        }
    }
}
