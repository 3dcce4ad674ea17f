//! The prices of public models that come with the engine: `prices/public.txt`, which says where they are from and of which day.

use std::collections::HashMap;
use std::sync::LazyLock;

use ai_config::{Rate, Tier};

use super::cost::ServiceTier;
use super::model_names;
use super::money::price_of_token;

const TEXT: &str = include_str!("../../prices/public.txt");

/// What stands before the day in the file.
const DATE: &str = "# Date: ";

/// In place of a price that there is none of.
const NONE: &str = "-";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT).unwrap_or_default());

/// All of it: the rates of models, by section and name.
#[derive(Debug, Default)]
struct Table {
    date: &'static str,
    sections: HashMap<&'static str, HashMap<&'static str, Vec<Rate>>>,
}

/// The day of the prices, such as `2026-11-30`.
pub fn date() -> &'static str {
    TABLE.date
}

/// The rates of a model of a provider, which is named as in metrics.
pub(super) fn rates(provider: &str, model: &str) -> Option<&'static [Rate]> {
    // Many hosts have OpenAI's API. No two of these providers have models of the same name.
    let sections: &[&str] = match provider {
        "openai" => &["openai", "deepseek", "mistral"],
        "azure_openai" => &["openai"],
        "vertex-ai" => &["vertexai"],
        other => &[other],
    };
    // A name of a resource of AWS ends with the name of the model.
    let model = model.rsplit('/').next().filter(|_| model.starts_with("arn:")).unwrap_or(model);
    model_names(model).find_map(|name| {
        let rates = sections.iter().find_map(|section| TABLE.sections.get(*section)?.get(name));
        rates.map(Vec::as_slice)
    })
}

impl Table {
    /// # Errors
    /// The file has not the form that it says: the line.
    fn read(text: &'static str) -> Result<Self, &'static str> {
        let mut table = Self::default();
        let (mut section, mut model) = ("", "");
        for line in text.lines() {
            if let Some(date) = line.strip_prefix(DATE) {
                table.date = date;
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.strip_suffix(']').ok_or(line)?;
            } else if !line.starts_with('#') {
                let (name, columns) = line.trim_start().split_once(' ').ok_or(line)?;
                let (tier, above) = if line.starts_with(' ') {
                    variant(name).ok_or(line)?
                } else {
                    model = name;
                    (None, 0)
                };
                let rate = rate(tier, above, columns).ok_or(line)?;
                table.sections.entry(section).or_default().entry(model).or_default().push(rate);
            }
        }
        Ok(table)
    }
}

/// `flex`, `>200000` or `flex>200000`.
fn variant(name: &str) -> Option<(Option<Tier>, u64)> {
    let (tier, above) = name.split_once('>').map_or((name, None), |(tier, above)| (tier, Some(above)));
    let tier = match ServiceTier::read(tier) {
        ServiceTier::Usual => None,
        ServiceTier::Other(tier) => Some(tier),
        ServiceTier::Unknown => return None,
    };
    Some((tier, above.map_or(Some(0), |above| above.parse().ok())?))
}

fn rate(tier: Option<Tier>, above: u64, columns: &str) -> Option<Rate> {
    let columns = columns.split(' ').map(|column| match column {
        NONE => Some(None),
        price => price_of_token(price).ok().map(Some),
    });
    let columns: Vec<Option<u64>> = columns.collect::<Option<_>>()?;
    let [input, output, cache_read, cache_write, cache_write_hour] = columns.try_into().ok()?;
    Some(Rate { tier, above, input: input?, output, cache_read, cache_write, cache_write_hour })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_its_form() {
        let table = Table::read(TEXT).unwrap();
        assert_eq!(table.date.len(), "2026-11-30".len(), "{}", table.date);
        assert!(TEXT.contains("# Source: "));
        let mut sections = Vec::new();
        let mut models: Vec<&str> = Vec::new();
        for line in TEXT.lines().filter(|line| !line.starts_with(['#', ' '])) {
            if line.starts_with('[') {
                sections.push(line);
                models.clear();
                continue;
            }
            let name = line.split(' ').next().unwrap();
            assert!(
                models.last().is_none_or(|last| *last < name),
                "{name} stands behind {:?}",
                models.last()
            );
            models.push(name);
        }
        let expected = ["anthropic", "bedrock", "deepseek", "gemini", "mistral", "openai", "vertexai"];
        assert_eq!(sections, expected.map(|name| format!("[{name}]")));
        for (model, rates) in table.sections.values().flatten() {
            assert!(rates.first().is_some_and(|usual| usual.tier.is_none() && usual.above == 0), "{model}");
            for (index, rate) in rates.iter().enumerate() {
                let Rate { tier, above, input, output, cache_read, cache_write, cache_write_hour } = *rate;
                let prices = [Some(input), output, cache_read, cache_write, cache_write_hour];
                assert!(prices.into_iter().flatten().all(|price| price > 0), "{model}: {rate:?}");
                let same = |other: &Rate| (other.tier, other.above) == (tier, above);
                assert_eq!(rates.iter().position(same), Some(index), "{model} has {tier:?} {above} twice");
            }
        }
    }

    /// What no provider would ask for: a slip of the decimal point shows here.
    #[test]
    fn prices_are_in_proportion() {
        for (model, rates) in Table::read(TEXT).unwrap().sections.values().flatten() {
            for rate in rates {
                assert!(rate.input <= 300_000_000, "{model}: {rate:?}");
                let output = rate.output.unwrap_or(rate.input);
                assert!(output >= rate.input / 4 && output <= rate.input * 20, "{model}: {rate:?}");
                assert!(rate.cache_read.is_none_or(|read| read <= rate.input), "{model}: {rate:?}");
                assert!(rate.cache_write.is_none_or(|write| write <= 2 * rate.input), "{model}: {rate:?}");
            }
        }
    }

    #[test]
    fn models_are_found_by_the_names_that_providers_have_for_them() {
        for (provider, model, input) in [
            ("openai", "gpt-4o", Some(2_500_000)),
            ("openai", "gpt-4o-2024-08-06", Some(2_500_000)),
            ("openai", "gpt-4o-2024-05-13", Some(5_000_000)),
            ("openai", "gpt-4o-mini-2024-07-18", Some(150_000)),
            ("openai", "deepseek-chat", Some(280_000)),
            ("azure_openai", "gpt-4o-2024-11-20", Some(2_500_000)),
            ("azure_openai", "deepseek-chat", None),
            ("anthropic", "claude-sonnet-4-5-20250929", Some(3_000_000)),
            ("gemini", "gemini-2.5-pro", Some(1_250_000)),
            ("vertex-ai", "claude-sonnet-4-5@20250929", Some(3_000_000)),
            ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", Some(3_300_000)),
            (
                "bedrock",
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Some(3_300_000),
            ),
            ("mistral", "mistral-small-latest", Some(150_000)),
            ("openai", "gpt-4o-", None),
            ("openai", "gpt", None),
            ("openai", "", None),
            ("openai", "x/gpt-4o", None),
            ("nobody", "gpt-4o", None),
        ] {
            let found = rates(provider, model).and_then(|rates| rates.first()).map(|rate| rate.input);
            assert_eq!(found, input, "{provider} {model}");
        }
    }
}
