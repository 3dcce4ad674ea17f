//! By which name a control plane knows the GatewayClasses, the entries in statuses and the proxies that are its own.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use crds::is_dns_subdomain;
use translator::CONTROLLER_NAME;

/// The longest name: it is also the value of a label.
const LONGEST: usize = 63;

/// The `spec.controllerName` of the GatewayClasses that are served, and the `controllerName` of entries in statuses.
/// Two control planes in one cluster have different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerName(Arc<str>);

impl ControllerName {
    /// The value of the label that tells the proxies of several control planes apart; `None` for the usual name, whose
    /// proxies carry no such label.
    pub(crate) fn label(&self) -> Option<String> {
        // No name holds an underscore, so that different names have different labels.
        (&*self.0 != CONTROLLER_NAME).then(|| self.0.replace('/', "_"))
    }
}

impl Default for ControllerName {
    fn default() -> Self {
        Self(CONTROLLER_NAME.into())
    }
}

impl Deref for ControllerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ControllerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ControllerName {
    type Err = String;

    /// As `spec.controllerName` (Gateway API, `GatewayController`), and such that it fits into a label.
    fn from_str(name: &str) -> Result<Self, String> {
        let is_plain = |text: &str| {
            let inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-');
            text.chars().all(inner)
                && text.starts_with(|char: char| char.is_ascii_alphanumeric())
                && text.ends_with(|char: char| char.is_ascii_alphanumeric())
        };
        let is_valid =
            name.split_once('/').is_some_and(|(domain, path)| is_dns_subdomain(domain) && is_plain(path));
        if !is_valid {
            return Err("must be a domain name, a slash, and letters, digits, dots and hyphens, such as \
                        example.com/team-a"
                .to_owned());
        }
        if name.len() > LONGEST {
            return Err(format!("must be at most {LONGEST} characters long"));
        }
        Ok(Self(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_into_a_label_are_taken() {
        for name in ["example.com/team-a", "a/b", "example.com/Team.A"] {
            let taken: ControllerName = name.parse().unwrap();
            assert_eq!(taken.label().unwrap(), name.replace('/', "_"));
        }
        assert_eq!(ControllerName::default().label(), None);
        assert_eq!(CONTROLLER_NAME.parse::<ControllerName>().unwrap(), ControllerName::default());
    }

    #[test]
    fn other_names_are_refused() {
        let long = format!("example.com/{}", "a".repeat(52));
        for name in [
            "",
            "example.com",
            "Example.com/a",
            "a..b/c",
            "/a",
            "a/",
            "a/b/c",
            "a/b_c",
            "a b/c",
            "-a/b",
            "a/b-",
            &long,
        ] {
            assert!(name.parse::<ControllerName>().is_err(), "{name}");
        }
    }
}
