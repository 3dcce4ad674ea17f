//! Durations as Gateway API writes them (GEP-2257), such as `1m30s`.

use std::time::Duration;

/// Reads a duration.
///
/// # Errors
/// It is none, in words for whoever wrote it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: gateway_api::Duration = text.parse()?;
    Ok(Duration::from_millis(parsed.as_millis().try_into().unwrap_or(u64::MAX)))
}
