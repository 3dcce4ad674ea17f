//! Edits of headers.
//!
//! Several edits that apply one after the other become one list: Envoy's own order between a route
//! and its weighted clusters is not ours, and within one list it is clear (removals, then the rest as
//! written).

use ir::HeaderModifier;
use proto::core::header_value_option::HeaderAppendAction;
use proto::core::{HeaderValue, HeaderValueOption};

/// What is done to the headers of a request or response.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HeaderEdits {
    /// The `Host` to send. Envoy takes no edit of that header, and rejects a whole route table that
    /// has one; it is rewritten by a field of its own.
    pub(super) host: Option<String>,
    /// Removed first.
    pub(super) remove: Vec<String>,
    /// Then set or appended, in this order.
    pub(super) add: Vec<HeaderValueOption>,
}

impl HeaderEdits {
    /// The edits of several modifiers, applied in this order.
    pub(super) fn compose<'a>(modifiers: impl IntoIterator<Item = &'a HeaderModifier>) -> Self {
        let mut edits = Self::default();
        for modifier in modifiers {
            modifier.remove.iter().for_each(|name| edits.remove(name));
            modifier.set.iter().for_each(|(name, value)| edits.set(name, value));
            modifier.add.iter().for_each(|(name, value)| edits.append(name, value));
        }
        edits
    }

    pub(super) fn remove(&mut self, name: &str) {
        if is_editable(name) {
            self.forget(name);
            if !self.remove.iter().any(|removed| removed == name) {
                self.remove.push(name.to_owned());
            }
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        if is_host(name) {
            self.host = Some(value.to_owned());
        } else if is_editable(name) {
            self.forget(name);
            self.add.push(option(name, &literal_format(value), HeaderAppendAction::OverwriteIfExistsOrAdd));
        }
    }

    /// Sets a header to what Envoy's formatter makes of a format; to nothing at all if that is empty.
    pub(super) fn set_format(&mut self, name: &str, format: &str) {
        self.forget(name);
        let set = option(name, format, HeaderAppendAction::OverwriteIfExistsOrAdd);
        self.add.push(HeaderValueOption { keep_empty_value: false, ..set });
    }

    pub(super) fn append(&mut self, name: &str, value: &str) {
        if is_host(name) {
            self.host = Some(value.to_owned());
        } else if is_editable(name) {
            self.add.push(option(name, &literal_format(value), HeaderAppendAction::AppendIfExistsOrAdd));
        }
    }

    /// Drops what an earlier modifier did to a header that is now replaced or removed.
    fn forget(&mut self, name: &str) {
        self.add.retain(|option| option.header.as_ref().is_none_or(|header| header.key != name));
    }
}

/// A text that Envoy's formatter gives back unchanged: in values of headers it sees `%COMMAND%`.
pub(super) fn literal_format(text: &str) -> String {
    text.replace('%', "%%")
}

fn option(name: &str, format: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: format.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        keep_empty_value: format.is_empty(),
        ..HeaderValueOption::default()
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Whether Envoy accepts an edit of the header; one that it does not accept costs the whole table.
fn is_editable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(':') && !is_host(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn modifier(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderModifier {
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        HeaderModifier { set: pairs(set), add: pairs(add), remove }
    }

    fn show(edits: &HeaderEdits) -> Vec<String> {
        let removed = edits.remove.iter().map(|name| format!("-{name}"));
        let added = edits.add.iter().map(|option| {
            let header = option.header.as_ref().unwrap();
            let sign = if option.append_action == i32::from(HeaderAppendAction::AppendIfExistsOrAdd) {
                "+"
            } else {
                "="
            };
            format!("{}{sign}{}", header.key, header.value)
        });
        removed.chain(added).collect()
    }

    #[test]
    fn later_modifiers_win_over_earlier_ones() {
        let first = modifier(&[("a", "1"), ("b", "1")], &[("c", "1")], &["d"]);
        let second = modifier(&[("a", "2"), ("d", "2")], &[("c", "2")], &["b", "d"]);
        let edits = HeaderEdits::compose([&first, &second]);
        assert_eq!(show(&edits), ["-d", "-b", "c+1", "a=2", "d=2", "c+2"]);
    }

    #[test]
    fn percent_signs_are_doubled() {
        let edits = HeaderEdits::compose([&modifier(&[("a", "100% %REQ(x)%")], &[("b", "%")], &[])]);
        assert_eq!(show(&edits), ["a=100%% %%REQ(x)%%", "b+%%"]);
    }

    #[test]
    fn host_becomes_a_rewrite_and_what_envoy_rejects_is_left_out() {
        let edits = HeaderEdits::compose([&modifier(
            &[("host", "a%.com"), (":path", "/x"), ("", "y")],
            &[(":scheme", "https")],
            &["host", ":authority", ":method", ""],
        )]);
        assert_eq!(edits, HeaderEdits { host: Some("a%.com".to_owned()), ..HeaderEdits::default() });
    }

    #[test]
    fn an_empty_value_is_sent() {
        let edits = HeaderEdits::compose([&modifier(&[("a", "")], &[], &[])]);
        assert!(edits.add[0].keep_empty_value);
    }
}
