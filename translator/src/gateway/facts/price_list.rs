//! Prices that users have given.

/// The price lists of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PriceBook {
    /// Those that go before others come first.
    pub lists: Vec<ai_config::PriceList>,
}
