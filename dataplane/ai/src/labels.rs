//! Labels of metrics that users name, with values from the metadata of requests, such as the team that a token is for.
//!
//! Envoy keeps each series for ever, and whoever issues tokens may write anything into them. So values are short, and there
//! are so many of them and no more ([`Places`]).

use std::collections::{BTreeMap, BTreeSet};

use ai_config::MetricLabel;
use serde_json::Value;

/// The value of a label of which a request says nothing.
pub const UNKNOWN: &str = "<unknown>";

/// In place of values for which there is no place any more.
pub const OTHER: &str = "<other>";

/// The longest value in bytes; of a longer one, the beginning counts.
pub const MAX_VALUE_BYTES: usize = 128;

/// Different values of one label.
pub const MAX_VALUES: usize = 256;

/// Different combinations of the values of all labels.
pub const MAX_COMBINATIONS: usize = 4096;

/// The values of a request, by the names of labels.
pub type Values = BTreeMap<String, String>;

/// Reads the values of labels. `metadata` gives what stands in the namespace of a label, as JSON text.
pub fn read<'a>(labels: &[MetricLabel], metadata: impl Fn(&MetricLabel) -> Option<&'a [u8]>) -> Values {
    // Nearly always there is one namespace.
    let mut namespaces: BTreeMap<&str, Value> = BTreeMap::new();
    let mut values = Values::new();
    for label in labels {
        let namespace = namespaces.entry(&label.namespace).or_insert_with(|| {
            metadata(label).and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default()
        });
        if let Some(text) = label.paths.iter().find_map(|path| text_at(namespace, path)) {
            values.insert(label.name.clone(), beginning(text));
        }
    }
    values
}

/// The value that members lead to; `None` if there is none, or an empty one.
fn text_at(namespace: &Value, path: &[String]) -> Option<String> {
    let text = match path.iter().try_fold(namespace, |value, name| value.get(name))? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        // A list or an object is told as JSON.
        value => value.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// As many whole characters as a value may have bytes.
fn beginning(mut text: String) -> String {
    let end = (0..=MAX_VALUE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    if text.len() > end {
        text.truncate(end);
    }
    text
}

/// The values that stand in labels. Those that come first have a place.
#[derive(Debug, Default)]
pub struct Places {
    values: BTreeMap<String, BTreeSet<String>>,
    combinations: BTreeSet<Vec<String>>,
}

/// What stands in the labels of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The values, in the order of the labels.
    pub values: Vec<String>,
    /// The names of the labels whose value has got no place.
    pub crowded_out: Vec<String>,
}

impl Places {
    /// Gives places to the values of a request. `series` is what its metrics have in their other labels.
    pub fn place(&mut self, labels: &[MetricLabel], values: &Values, series: &[&str]) -> Placed {
        let mut placed = Placed::default();
        for label in labels {
            let value = match values.get(&label.name) {
                None => UNKNOWN,
                Some(value) if self.has_place(&label.name, value) => value,
                Some(_) => {
                    placed.crowded_out.push(label.name.clone());
                    OTHER
                }
            };
            placed.values.push(value.to_owned());
        }
        let own =
            labels.iter().map(|label| label.name.as_str()).zip(placed.values.iter().map(String::as_str));
        let own = own.flat_map(|(name, value)| [name, value]);
        let combination: Vec<String> = series.iter().copied().chain(own).map(str::to_owned).collect();
        if !self.combinations.contains(&combination) {
            if self.combinations.len() >= MAX_COMBINATIONS {
                return Placed {
                    values: vec![OTHER.to_owned(); labels.len()],
                    crowded_out: labels.iter().map(|label| label.name.clone()).collect(),
                };
            }
            self.combinations.insert(combination);
        }
        placed
    }

    fn has_place(&mut self, label: &str, value: &str) -> bool {
        let places = self.values.entry(label.to_owned()).or_default();
        if places.contains(value) {
            return true;
        }
        let is_free = places.len() < MAX_VALUES;
        if is_free {
            places.insert(value.to_owned());
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn label(name: &str, path: &[&str]) -> MetricLabel {
        MetricLabel {
            name: name.to_owned(),
            namespace: "tokens".to_owned(),
            paths: vec![path.iter().map(|name| (*name).to_owned()).collect()],
        }
    }

    fn team(value: &str) -> Values {
        [("team".to_owned(), value.to_owned())].into()
    }

    #[test]
    fn values_are_found_by_their_path_and_cut() {
        let metadata = json!({"principal": {
            "team": "dev", "https://a.example/org": "ops", "level": 7, "admin": true, "groups": ["a", "b"], "empty": "",
            "none": null, "long": "ä".repeat(100),
        }});
        let metadata = metadata.to_string();
        let long = "ä".repeat(64);
        let rows: [(&[&str], Option<&str>); 11] = [
            (&["principal", "team"], Some("dev")),
            (&["principal", "https://a.example/org"], Some("ops")),
            (&["principal", "level"], Some("7")),
            (&["principal", "admin"], Some("true")),
            (&["principal", "groups"], Some(r#"["a","b"]"#)),
            (&["principal", "long"], Some(&long)),
            (&["principal", "empty"], None),
            (&["principal", "none"], None),
            (&["principal", "team", "name"], None),
            (&["principal", "groups", "0"], None),
            (&["team"], None),
        ];
        for (path, expected) in rows {
            let values = read(&[label("a", path)], |_| Some(metadata.as_bytes()));
            assert_eq!(values.get("a").map(String::as_str), expected, "{path:?}");
        }
        let mut both = label("a", &["payload", "team"]);
        both.paths.extend(label("a", &["principal", "team"]).paths);
        assert_eq!(read(&[both], |_| Some(metadata.as_bytes())), [("a".to_owned(), "dev".to_owned())].into());
        for metadata in [None, Some(&b"no JSON"[..]), Some(b"[]")] {
            assert_eq!(read(&[label("a", &["principal", "team"])], |_| metadata), Values::new());
        }
    }

    #[test]
    fn there_is_no_place_for_ever_new_values() {
        let labels = [label("org", &["org"]), label("team", &["team"])];
        let mut places = Places::default();
        for i in 0..MAX_VALUES {
            let placed = places.place(&labels, &team(&i.to_string()), &[]);
            assert_eq!((placed.values[1].as_str(), placed.crowded_out.len()), (i.to_string().as_str(), 0));
        }
        let late = places.place(&labels, &team("late"), &[]);
        assert_eq!(late.values, [UNKNOWN, OTHER]);
        assert_eq!(late.crowded_out, ["team"]);
        // Those that were there keep their place, and a request without a value needs none.
        assert_eq!(places.place(&labels, &team("7"), &[]).values, [UNKNOWN, "7"]);
        assert_eq!(places.place(&labels, &Values::new(), &[]).values, [UNKNOWN, UNKNOWN]);
        assert_eq!(places.place(&labels, &[("org".to_owned(), "a".to_owned())].into(), &[]).values[0], "a");
    }

    #[test]
    fn there_is_no_place_for_ever_new_combinations() {
        let labels = [label("team", &["team"])];
        let mut places = Places::default();
        let models: Vec<String> = (0..=MAX_COMBINATIONS / MAX_VALUES).map(|i| i.to_string()).collect();
        let mut other = 0;
        for model in &models {
            for i in 0..MAX_VALUES {
                let placed = places.place(&labels, &team(&i.to_string()), &[model]);
                other += usize::from(placed.values == [OTHER] && placed.crowded_out == ["team"]);
            }
        }
        assert_eq!(other, MAX_VALUES);
        assert_eq!(places.place(&labels, &team("7"), &["0"]).values, ["7"]);
    }
}
