//! What a route asks for, ready for use.

use std::ops::Deref;

use ai_config::RoutePolicy;

use crate::guard::{Guard, PatternError};

/// The policy of a route, with its guards compiled.
#[derive(Debug, Default)]
pub struct Policy {
    route: RoutePolicy,
    pub(super) guard: Guard,
}

impl Policy {
    /// Compiles the guards of a policy.
    ///
    /// # Errors
    /// An expression cannot be used.
    pub fn new(route: RoutePolicy) -> Result<Self, PatternError> {
        let guard = route.guard.as_ref().map(Guard::new).transpose()?.unwrap_or_default();
        Ok(Self { route, guard })
    }
}

impl Deref for Policy {
    type Target = RoutePolicy;

    fn deref(&self) -> &RoutePolicy {
        &self.route
    }
}
