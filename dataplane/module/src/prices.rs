//! The prices that users have given. They come with the configuration of a listener's filter, and are asked for by the filters of
//! clusters, which cannot have them themselves: an edit of a cluster would close its connections.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ai::prices::Prices;

use crate::abi::Scope;

/// The prices of each listener's configuration that Envoy has. All listeners of a proxy have the same ones, but for the moment at
/// which they change.
static SHARED: RwLock<Vec<(Scope, Arc<Prices>)>> = RwLock::new(Vec::new());

/// Those of public models alone.
static PUBLIC: LazyLock<Arc<Prices>> = LazyLock::new(Arc::default);

/// Has requests priced by this configuration.
pub(crate) fn share(scope: Scope, prices: Prices) {
    SHARED.write().unwrap_or_else(PoisonError::into_inner).push((scope, Arc::new(prices)));
}

/// Has no request priced by this configuration any more.
pub(crate) fn end_sharing(scope: Scope) {
    SHARED.write().unwrap_or_else(PoisonError::into_inner).retain(|(shared, _)| *shared != scope);
}

/// The prices that count now.
pub(crate) fn shared() -> Arc<Prices> {
    let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    shared.last().map_or_else(|| PUBLIC.clone(), |(_, prices)| prices.clone())
}
