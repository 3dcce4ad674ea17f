//! Price lists: read into what the AI engine is told. They are of the namespace of the backends that they are for.

use std::collections::BTreeSet;
use std::sync::Arc;

use ai::prices::price_of_token;
use ai_config::{ModelPrice, Rate, Tier};
use crds::backend::Backend;
use crds::core::Time;
use crds::price_list::{
    DatedPrice, PriceList, PriceListSpec, PricedModel, PricedProvider, ServiceTier, TierPrice, TokenPrices,
};
use crds::upstream::Upstream;
use crds::{NamespacedName, ObjectKey};

use super::facts::PriceBook;
use super::view::View;
use crate::status::{Condition, ConditionType, Detail, Facts, Reason, Rejection, Report};

/// The price lists of a namespace that can be applied, those that go before others first; `None` if there is none.
pub(crate) fn book(view: &impl View, namespace: &str) -> Option<PriceBook> {
    let mut lists: Vec<_> = view.objects_in::<PriceList>(namespace).collect();
    // As with policies: the older one, then by name. An object without a time is from a file, and as old as can be.
    lists.sort_by_key(|list| {
        let created = list.metadata.creation_timestamp.as_ref().map(seconds);
        (created, NamespacedName::of(&list.metadata))
    });
    let lists: Vec<_> = lists.into_iter().filter_map(|list| read(list).ok()).collect();
    (!lists.is_empty()).then_some(PriceBook { lists })
}

/// Reads a list.
///
/// # Errors
/// It makes no sense. None of its prices is applied.
fn read(list: &Arc<PriceList>) -> Result<ai_config::PriceList, Rejection> {
    let PriceListSpec { provider, backends, models } = &list.spec;
    let name = NamespacedName::of(&list.metadata);
    let mut seen = BTreeSet::new();
    let models = models.iter().enumerate().map(|(index, model)| {
        let field = format!("spec.models[{index}]");
        if !seen.insert(&model.model) {
            return Err(invalid(&format!("{field}.model"), "an earlier entry has the same model"));
        }
        read_model(model, &field)
    });
    let backends = backends.iter().flatten().map(|backend| format!("{}/{backend}", name.namespace));
    Ok(ai_config::PriceList {
        provider: provider.map(|provider| engine_name(provider).to_owned()),
        backends: backends.collect(),
        models: models.collect::<Result<_, _>>()?,
        name: name.to_string(),
    })
}

fn read_model(model: &PricedModel, field: &str) -> Result<ModelPrice, Rejection> {
    let PricedModel { model, prices } = model;
    if model.strip_suffix('*').unwrap_or(model).contains('*') {
        return Err(invalid(&format!("{field}.model"), "`*` may stand at the end alone"));
    }
    let mut seen = BTreeSet::new();
    let read = prices.iter().enumerate().map(|(index, price)| {
        let field = format!("{field}.prices[{index}]");
        let from = price.effective_from.as_ref().map(seconds);
        if !seen.insert(from) {
            return Err(invalid(&format!("{field}.effectiveFrom"), "an earlier price has the same time"));
        }
        Ok(ai_config::DatedPrice { from, rates: read_rates(price, &field)? })
    });
    let mut prices = read.collect::<Result<Vec<_>, _>>()?;
    prices.sort_by_key(|price| std::cmp::Reverse(price.from));
    Ok(ModelPrice { model: model.clone(), prices })
}

/// The rates of a price, the usual one first.
fn read_rates(price: &DatedPrice, field: &str) -> Result<Vec<Rate>, Rejection> {
    let mut rates = vec![read_rate(price.token_prices(), None, 0, field)?];
    for (index, tier) in price.tiers.iter().enumerate() {
        let field = format!("{field}.tiers[{index}]");
        let rate = read_tier(tier, &field)?;
        if rate.tier.is_none() && rate.above == 0 {
            return Err(invalid(&field, "neither tier nor promptsAbove is set"));
        }
        if rates.iter().any(|known| (known.tier, known.above) == (rate.tier, rate.above)) {
            return Err(invalid(&field, "an earlier entry is for the same requests"));
        }
        rates.push(rate);
    }
    Ok(rates)
}

fn read_tier(price: &TierPrice, field: &str) -> Result<Rate, Rejection> {
    let above = price.prompts_above.map_or(Ok(0), u64::try_from);
    let above = above.map_err(|_| invalid(&format!("{field}.promptsAbove"), "is below zero"))?;
    read_rate(price.token_prices(), price.tier.map(engine_tier), above, field)
}

fn read_rate(
    prices: TokenPrices<'_>,
    tier: Option<Tier>,
    above: u64,
    field: &str,
) -> Result<Rate, Rejection> {
    let TokenPrices { input, output, cache_read, cache_write, cache_write_hour } = prices;
    let price = |name: &str, text: &str| {
        price_of_token(text).map_err(|error| invalid(&format!("{field}.{name}"), &error))
    };
    let optional = |name: &str, text: Option<&str>| text.map(|text| price(name, text)).transpose();
    Ok(Rate {
        tier,
        above,
        input: price("input", input)?,
        output: optional("output", output)?,
        cache_read: optional("cacheRead", cache_read)?,
        cache_write: optional("cacheWrite", cache_write)?,
        cache_write_hour: optional("cacheWriteHour", cache_write_hour)?,
    })
}

fn invalid(field: &str, text: &str) -> Rejection {
    Rejection::at(Reason::Invalid, field, text)
}

fn seconds(Time(time): &Time) -> i64 {
    time.as_second()
}

/// A provider's name in the engine's facts, which is that of its metrics.
fn engine_name(provider: PricedProvider) -> &'static str {
    match provider {
        PricedProvider::OpenAi => "openai",
        PricedProvider::AzureOpenAi => "azure_openai",
        PricedProvider::Anthropic => "anthropic",
        PricedProvider::Gemini => "gemini",
        PricedProvider::VertexAi => "vertex-ai",
        PricedProvider::Bedrock => "bedrock",
        PricedProvider::Mistral => "mistral",
    }
}

fn engine_tier(tier: ServiceTier) -> Tier {
    match tier {
        ServiceTier::Batch => Tier::Batch,
        ServiceTier::Fast => Tier::Fast,
        ServiceTier::Flex => Tier::Flex,
        ServiceTier::Priority => Tier::Priority,
        ServiceTier::Provisioned => Tier::Provisioned,
        ServiceTier::Reserved => Tier::Reserved,
        ServiceTier::Scale => Tier::Scale,
        ServiceTier::Ultrafast => Tier::Ultrafast,
    }
}

/// What to tell about a PriceList.
pub(crate) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let list = view.object::<PriceList>(key)?;
    let condition = match read(list) {
        Ok(_) => {
            let notes: Vec<_> =
                list.spec.backends.iter().flatten().filter_map(|name| missing(view, key, name)).collect();
            Condition::good(ConditionType::Accepted, Reason::Accepted, "the prices are applied")
                .with_notes(&notes)
        }
        Err(rejection) => Condition::rejected(ConditionType::Accepted, &rejection),
    };
    Some(Report {
        object: ObjectKey::of::<PriceList>(key.clone()).to_ref(),
        generation: list.metadata.generation.unwrap_or_default(),
        facts: Facts::Conditions(vec![condition]),
    })
}

/// What to say of a backend that is not there.
fn missing(view: &impl View, list: &NamespacedName, name: &str) -> Option<Detail> {
    let name = NamespacedName::new(&*list.namespace, name);
    let is_there = view.object::<Backend>(&name).is_some() || view.object::<Upstream>(&name).is_some();
    (!is_there).then(|| Detail::new(format!("there is no Backend or Upstream {name}")))
}
