//! What requests cost: the prices that users have given, those of public models, and the cost of what a request has used.

mod cost;
mod money;
mod public;

use std::collections::BTreeMap;

use ai_config::{ModelPrice, PriceList, Rate};

pub use cost::{Expected, ServiceTier, Spent};
pub use money::{MAX_PRICE, Micros, Usd, micros, price_of_token};
pub use public::date;

/// The prices that users have given, by the namespace of the backends that they are for.
#[derive(Debug, Default)]
pub struct Prices(BTreeMap<String, Vec<PriceList>>);

/// What has been asked for, and of whom.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// The backend, `namespace/name`.
    pub backend: &'a str,
    /// The provider, by its name in metrics.
    pub provider: &'a str,
    /// The model that has answered, if that is known.
    pub answered: Option<&'a str>,
    /// The model that the provider was asked for.
    pub asked: Option<&'a str>,
    /// The time in seconds since 1970.
    pub now: i64,
}

/// Where a price is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// This object of a user's, `namespace/name`.
    List(&'a str),
    /// The prices of public models.
    Public,
}

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost<'a> {
    /// This much.
    Known {
        /// How much.
        amount: Usd,
        /// Where its price is from.
        source: Source<'a>,
        /// Whether it counts tokens that the provider has not told.
        is_estimated: bool,
    },
    /// Nobody knows the price of the model, or that of its tokens in the tier of service.
    Unknown,
}

/// How well a price fits: the later, the better.
type Fit<'a> = (bool, Spelling<'a>, bool);

/// How the name of a price says a model: the later, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling<'a> {
    /// It begins so.
    Prefix(usize, &'a str),
    /// It is so, without its date.
    WithoutDate,
    /// It is so.
    Whole,
}

impl Prices {
    /// Of each namespace, lists that go before others come first.
    pub fn new(lists: BTreeMap<String, Vec<PriceList>>) -> Self {
        Self(lists)
    }

    /// What tokens cost.
    pub fn cost(&self, sale: &Sale<'_>, spent: &Spent) -> Cost<'_> {
        let Some((rates, source)) = self.find(sale) else { return Cost::Unknown };
        match cost::cost(rates, &spent.usage) {
            Some(amount) => Cost::Known { amount, source, is_estimated: spent.is_estimated },
            None => Cost::Unknown,
        }
    }

    /// The most that a request may cost that has not been answered; `None` if nobody knows.
    pub fn most(&self, sale: &Sale<'_>, expected: &Expected) -> Option<Usd> {
        let (rates, _) = self.find(sale)?;
        cost::most(rates, expected)
    }

    /// What a model costs; `None` if nobody knows.
    fn find<'a>(&'a self, sale: &Sale<'_>) -> Option<(&'a [Rate], Source<'a>)> {
        let names = || [sale.answered, sale.asked].into_iter().flatten().filter(|name| !name.is_empty());
        let public = |name| Some((public::rates(sale.provider, name)?, Source::Public));
        names().find_map(|name| self.given(sale, name)).or_else(|| names().find_map(public))
    }

    /// What users say that a model costs.
    fn given<'a>(&'a self, sale: &Sale<'_>, model: &str) -> Option<(&'a [Rate], Source<'a>)> {
        let (namespace, _) = sale.backend.split_once('/')?;
        let mut best: Option<(Fit<'_>, &[Rate], Source<'_>)> = None;
        for list in self.0.get(namespace)? {
            let PriceList { name, provider, backends, models } = list;
            let is_for = backends.is_empty() || backends.iter().any(|backend| backend == sale.backend);
            if !is_for || provider.as_deref().is_some_and(|provider| provider != sale.provider) {
                continue;
            }
            for ModelPrice { model: named, prices } in models {
                let Some(spelling) = spelling(named, model) else { continue };
                let fit = (!backends.is_empty(), spelling, provider.is_some());
                let price = prices.iter().find(|price| price.from.is_none_or(|from| from <= sale.now));
                let Some(price) = price else { continue };
                // Of those that fit as well, the first one.
                if best.is_none_or(|(known, ..)| known < fit) {
                    best = Some((fit, &price.rates, Source::List(name)));
                }
            }
        }
        best.map(|(_, rates, source)| (rates, source))
    }
}

/// How a name says a model; `None` if it says another one.
fn spelling<'a>(named: &'a str, model: &str) -> Option<Spelling<'a>> {
    if let Some(prefix) = named.strip_suffix('*') {
        return model.starts_with(prefix).then_some(Spelling::Prefix(prefix.len(), prefix));
    }
    if named == model {
        return Some(Spelling::Whole);
    }
    (without_date(model) == Some(named)).then_some(Spelling::WithoutDate)
}

/// The names of a model: its own, and the one without its date.
fn model_names(model: &str) -> impl Iterator<Item = &str> {
    std::iter::once(model).chain(without_date(model))
}

/// The name of a model without the date at its end (`-2024-08-06`, `-20240806`, `@20240806`, or `@default`), if there is one.
fn without_date(model: &str) -> Option<&str> {
    if let Some(name) = model.strip_suffix("@default") {
        return Some(name).filter(|name| !name.is_empty());
    }
    let is_date = |text: &str, form: &str| {
        let fits = |(byte, form): (u8, u8)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    ["-0000-00-00", "-00000000", "@00000000"].into_iter().find_map(|form| {
        let (name, end) = model.split_at_checked(model.len().checked_sub(form.len())?)?;
        (!name.is_empty() && is_date(end, form)).then_some(name)
    })
}

#[cfg(test)]
mod tests;
