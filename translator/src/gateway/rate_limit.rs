//! RateLimitConfigs: read into questions that proxies ask the service that counts.

use crds::policy::http::{TextMatch, TextPattern};
use crds::rate_limit_config::{
    Action, Descriptor, GenericKeyAction, HeaderMatch, HeaderValueMatchAction, MetadataAction,
    RateLimit as LimitSpec, RateLimitActions, RateLimitConfig, RawLimits, RequestHeaderAction, SetDescriptor,
};
use crds::{NamespacedName, ObjectKey, header};
use ir::{Counted, LimitEntry, LimitHeader, RateLimit};
use limit_rule::{Limit, Node, Rules, Set, SetEntry, Unit};

use super::policy;
use super::view::View;
use crate::status::{Condition, ConditionType, Facts, Reason, Rejection, Report};

/// The keys of entries that actions do not name.
const GENERIC_KEY: &str = "generic_key";
const HEADER_MATCH: &str = "header_match";
const REMOTE_ADDRESS: &str = "remote_address";
const DESTINATION_CLUSTER: &str = "destination_cluster";

/// The limits of a RateLimitConfig.
///
/// # Errors
/// It does not exist, or something in it cannot be carried out: without it, requests would pass that it is there to
/// refuse.
pub(super) fn of_config(view: &impl View, key: &NamespacedName) -> Result<Vec<RateLimit>, Rejection> {
    let reference = || ObjectKey::of::<RateLimitConfig>(key.clone()).to_ref();
    let config = view.object::<RateLimitConfig>(key);
    let config = config.ok_or_else(|| Rejection::missing(Reason::Invalid, reference()))?;
    read(config, key).map_err(|error| {
        let text = format!("{}: {}", reference(), error.message());
        Rejection::unusable(error.reason, reference(), text)
    })
}

/// What to tell about a RateLimitConfig.
pub(crate) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let config = view.object::<RateLimitConfig>(key)?;
    let condition = match read(config, key) {
        Ok(limits) if limits.is_empty() => {
            Condition::good(ConditionType::Accepted, Reason::Accepted, "limits nothing")
        }
        Ok(_) => Condition::good(ConditionType::Accepted, Reason::Accepted, "the limits can be applied"),
        Err(rejection) => Condition::rejected(ConditionType::Accepted, &rejection),
    };
    Some(Report {
        object: ObjectKey::of::<RateLimitConfig>(key.clone()).to_ref(),
        generation: config.metadata.generation.unwrap_or_default(),
        facts: Facts::Conditions(vec![condition]),
    })
}

fn read(config: &RateLimitConfig, key: &NamespacedName) -> Result<Vec<RateLimit>, Rejection> {
    let Some(RawLimits { descriptors, set_descriptors, rate_limits }) = &config.spec.raw else {
        return Err(invalid("spec.raw", "must be set"));
    };
    let name = key.to_string();
    let tree = read_tree(descriptors, "spec.raw.descriptors")?;
    let sets = set_descriptors.iter().enumerate();
    let sets = sets.map(|(index, set)| read_set(set, &format!("spec.raw.setDescriptors[{index}]")));
    let sets: Vec<Set> = sets.collect::<Result<_, _>>()?;
    let mut limits = Vec::new();
    let mut of_sets: Vec<(Option<Counted>, Vec<LimitEntry>)> = Vec::new();
    for (index, list) in rate_limits.iter().enumerate() {
        let field = format!("spec.raw.rateLimits[{index}]");
        let RateLimitActions { actions, set_actions, limit, kind } = list;
        if limit.is_some() {
            return Err(unsupported(&format!("{field}.limit"), "is not supported yet"));
        }
        if actions.is_empty() && set_actions.is_empty() {
            return Err(invalid(&field, "has neither actions nor setActions"));
        }
        let counted = kind.as_deref().map(|kind| read_counted(kind, &format!("{field}.type"))).transpose()?;
        if !actions.is_empty() {
            let field = format!("{field}.actions");
            let entries = read_actions(actions, &field)?;
            let tree = along(&tree, &entries);
            if tree.is_empty() {
                return Err(invalid(&field, "no descriptor has these entries with a limit"));
            }
            let rules = Rules { name: name.clone(), tree, ..Rules::default() };
            limits.push(RateLimit { counted, rules, entries });
        }
        let entries = read_actions(set_actions, &format!("{field}.setActions"))?;
        match of_sets.iter_mut().find(|(of, _)| *of == counted) {
            _ if entries.is_empty() => {}
            Some((_, known)) => known.extend(entries),
            None => of_sets.push((counted, entries)),
        }
    }
    limits.extend(of_sets.into_iter().map(|(counted, entries)| {
        let rules = Rules { name: name.clone(), sets: sets.clone(), ..Rules::default() };
        RateLimit { counted, rules, entries }
    }));
    Ok(limits)
}

fn invalid(field: &str, text: impl Into<String>) -> Rejection {
    Rejection::at(Reason::Invalid, field, text)
}

fn unsupported(field: &str, text: impl Into<String>) -> Rejection {
    Rejection::at(Reason::UnsupportedValue, field, text)
}

fn read_counted(kind: &str, field: &str) -> Result<Counted, Rejection> {
    match kind {
        "REQUEST" => Ok(Counted::Requests),
        "TOKEN" => Ok(Counted::Tokens),
        other => Err(invalid(field, format!("{other:?} is neither REQUEST nor TOKEN"))),
    }
}

fn read_limit(spec: &LimitSpec, field: &str) -> Result<Limit, Rejection> {
    let names = ["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"];
    let found = names.iter().zip(Unit::ALL).find(|(name, _)| **name == spec.unit.to_uppercase());
    let Some((_, unit)) = found else {
        let text = format!("{:?} is none of {}", spec.unit, names.join(", "));
        return Err(invalid(&format!("{field}.unit"), text));
    };
    Ok(Limit { hits: spec.requests_per_unit, unit })
}

fn read_tree(descriptors: &[Descriptor], field: &str) -> Result<Vec<Node>, Rejection> {
    let read = |(index, descriptor): (usize, &Descriptor)| {
        let field = format!("{field}[{index}]");
        let Descriptor { key, value, rate_limit, descriptors, weight, always_apply } = descriptor;
        let limit = rate_limit.as_ref().map(|limit| read_limit(limit, &format!("{field}.rateLimit")));
        Ok(Node {
            key: key.clone(),
            value: value.clone().filter(|value| !value.is_empty()),
            limit: limit.transpose()?,
            weight: *weight,
            always_apply: *always_apply,
            nodes: read_tree(descriptors, &format!("{field}.descriptors"))?,
        })
    };
    descriptors.iter().enumerate().map(read).collect()
}

fn read_set(set: &SetDescriptor, field: &str) -> Result<Set, Rejection> {
    let SetDescriptor { simple_descriptors, rate_limit, always_apply } = set;
    let Some(limit) = rate_limit else { return Err(invalid(&format!("{field}.rateLimit"), "must be set")) };
    let entries = simple_descriptors.iter().map(|entry| SetEntry {
        key: entry.key.clone(),
        value: entry.value.clone().filter(|value| !value.is_empty()),
    });
    Ok(Set {
        entries: entries.collect(),
        limit: read_limit(limit, &format!("{field}.rateLimit"))?,
        always_apply: *always_apply,
    })
}

/// The nodes of a tree that a list of entries can come to, so that a request carries no more than it may need.
fn along(nodes: &[Node], entries: &[LimitEntry]) -> Vec<Node> {
    let Some((entry, rest)) = entries.split_first() else { return Vec::new() };
    let fits = |node: &&Node| {
        node.key == key_of(entry)
            && match (&node.value, constant(entry)) {
                (Some(value), Some(constant)) => value == constant,
                _ => true,
            }
    };
    let cut = |node: &Node| {
        let below = along(&node.nodes, rest);
        let limit = node.limit.filter(|_| rest.is_empty());
        let is_of_use = limit.is_some() || !below.is_empty();
        is_of_use.then(|| Node { limit, nodes: below, ..node.clone() })
    };
    nodes.iter().filter(fits).filter_map(cut).collect()
}

fn key_of(entry: &LimitEntry) -> &str {
    match entry {
        LimitEntry::Constant { key, .. }
        | LimitEntry::Header { key, .. }
        | LimitEntry::Metadata { key, .. } => key,
        LimitEntry::RemoteAddress => REMOTE_ADDRESS,
        LimitEntry::DestinationCluster => DESTINATION_CLUSTER,
        LimitEntry::HeaderMatch { .. } => HEADER_MATCH,
    }
}

/// The value, where it is the same for all requests that have the entry.
fn constant(entry: &LimitEntry) -> Option<&str> {
    match entry {
        LimitEntry::Constant { value, .. } | LimitEntry::HeaderMatch { value, .. } => Some(value),
        _ => None,
    }
}

fn read_actions(actions: &[Action], field: &str) -> Result<Vec<LimitEntry>, Rejection> {
    let read = |(index, action)| read_action(action, &format!("{field}[{index}]"));
    actions.iter().enumerate().map(read).collect()
}

fn read_action(action: &Action, field: &str) -> Result<LimitEntry, Rejection> {
    let Action {
        source_cluster,
        destination_cluster,
        request_headers,
        remote_address,
        generic_key,
        header_value_match,
        metadata,
        cel,
    } = action;
    for (name, is_set) in [("sourceCluster", source_cluster.is_some()), ("cel", cel.is_some())] {
        if is_set {
            return Err(unsupported(&format!("{field}.{name}"), "is not supported yet"));
        }
    }
    let entries = [
        destination_cluster.as_ref().map(|_| Ok(LimitEntry::DestinationCluster)),
        remote_address.as_ref().map(|_| Ok(LimitEntry::RemoteAddress)),
        request_headers.as_ref().map(|action| read_header(action, &format!("{field}.requestHeaders"))),
        generic_key.as_ref().map(|GenericKeyAction { descriptor_value, descriptor_key }| {
            let key = descriptor_key.clone().filter(|key| !key.is_empty());
            let value = some(descriptor_value, &format!("{field}.genericKey.descriptorValue"))?;
            Ok(LimitEntry::Constant { key: key.unwrap_or_else(|| GENERIC_KEY.to_owned()), value })
        }),
        header_value_match
            .as_ref()
            .map(|action| read_header_match(action, &format!("{field}.headerValueMatch"))),
        metadata.as_ref().map(|action| read_metadata(action, &format!("{field}.metadata"))),
    ];
    let mut entries: Vec<_> = entries.into_iter().flatten().collect();
    match (entries.pop(), entries.is_empty()) {
        (Some(entry), true) => entry,
        (None, _) => Err(invalid(field, "sets no action")),
        (Some(_), false) => Err(invalid(field, "sets more than one action")),
    }
}

fn read_header(action: &RequestHeaderAction, field: &str) -> Result<LimitEntry, Rejection> {
    let RequestHeaderAction { header_name, descriptor_key } = action;
    let header =
        header::name_token(header_name).map_err(|error| invalid(&format!("{field}.headerName"), error))?;
    Ok(LimitEntry::Header { key: some(descriptor_key, &format!("{field}.descriptorKey"))?, header })
}

/// Envoy refuses empty keys and values, and the whole route table with them.
fn some(key: &str, field: &str) -> Result<String, Rejection> {
    if key.is_empty() { Err(invalid(field, "is empty")) } else { Ok(key.to_owned()) }
}

fn read_header_match(action: &HeaderValueMatchAction, field: &str) -> Result<LimitEntry, Rejection> {
    let HeaderValueMatchAction { descriptor_value, expect_match, headers } = action;
    if headers.is_empty() {
        return Err(invalid(&format!("{field}.headers"), "must not be empty"));
    }
    let headers = headers.iter().enumerate();
    let headers =
        headers.map(|(index, header)| read_limit_header(header, &format!("{field}.headers[{index}]")));
    Ok(LimitEntry::HeaderMatch {
        value: some(descriptor_value, &format!("{field}.descriptorValue"))?,
        is_expected: expect_match.unwrap_or(true),
        headers: headers.collect::<Result<_, _>>()?,
    })
}

fn read_limit_header(spec: &HeaderMatch, field: &str) -> Result<LimitHeader, Rejection> {
    let HeaderMatch {
        name,
        exact_match,
        regex_match,
        present_match,
        prefix_match,
        suffix_match,
        invert_match,
    } = spec;
    let name = header::name_token(name).map_err(|error| invalid(&format!("{field}.name"), error))?;
    let patterns = [
        ("exactMatch", exact_match.clone().map(TextPattern::Exact)),
        ("regexMatch", regex_match.clone().map(TextPattern::Regex)),
        ("prefixMatch", prefix_match.clone().map(TextPattern::Prefix)),
        ("suffixMatch", suffix_match.clone().map(TextPattern::Suffix)),
    ];
    let mut patterns = patterns.into_iter().filter_map(|(member, pattern)| Some((member, pattern?)));
    let pattern = patterns.next();
    if patterns.next().is_some() || (pattern.is_some() && present_match.is_some()) {
        return Err(invalid(field, "sets more than one match"));
    }
    let value = pattern.map(|(member, pattern)| {
        policy::text_match(&TextMatch { pattern, ignore_case: false }, &format!("{field}.{member}"))
    });
    Ok(LimitHeader {
        name,
        value: value.transpose()?,
        is_inverted: invert_match.unwrap_or_default() ^ (*present_match == Some(false)),
    })
}

fn read_metadata(action: &MetadataAction, field: &str) -> Result<LimitEntry, Rejection> {
    let MetadataAction { descriptor_key, metadata_key, default_value, default, source } = action;
    let is_of_route = match source.as_deref() {
        None | Some("DYNAMIC") => false,
        Some("ROUTE_ENTRY") => true,
        Some(other) => {
            let text = format!("{other:?} is neither DYNAMIC nor ROUTE_ENTRY");
            return Err(invalid(&format!("{field}.source"), text));
        }
    };
    let path = metadata_key.path.iter().enumerate();
    let path = path.map(|(index, step)| some(&step.key, &format!("{field}.metadataKey.path[{index}].key")));
    let path: Vec<_> = path.collect::<Result<_, _>>()?;
    if path.is_empty() {
        return Err(invalid(&format!("{field}.metadataKey.path"), "must not be empty"));
    }
    Ok(LimitEntry::Metadata {
        key: some(descriptor_key, &format!("{field}.descriptorKey"))?,
        namespace: some(&metadata_key.key, &format!("{field}.metadataKey.key"))?,
        path,
        default: default_value.clone().or_else(|| default.clone()).filter(|text| !text.is_empty()),
        is_of_route,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is wrong with a list that has this action; `None` if nothing is.
    fn fault(action: &Value) -> Option<String> {
        let keys = ["generic_key", "header_match", "a"]
            .map(|key| json!({"key": key, "rateLimit": {"unit": "HOUR", "requestsPerUnit": 1}}));
        let spec = json!({"raw": {"descriptors": keys, "rateLimits": [{"actions": [action]}]}});
        let spec = serde_json::from_value(spec).unwrap();
        read(&RateLimitConfig::new("c", spec), &NamespacedName::new("n", "c"))
            .err()
            .map(|error| error.message())
    }

    #[test]
    fn what_envoy_would_refuse_is_refused_with_its_field() {
        let metadata = |key: &str, namespace: &str, path: Value| json!({"metadata": {"descriptorKey": key, "metadataKey": {"key": namespace, "path": path}}});
        let header =
            |header: Value| json!({"headerValueMatch": {"descriptorValue": "v", "headers": [header]}});
        let step = || json!([{"key": "b"}]);
        for (action, field) in [
            (json!({"genericKey": {"descriptorValue": "v"}}), None),
            (json!({"genericKey": {"descriptorValue": "v", "descriptorKey": ""}}), None),
            (json!({"genericKey": {"descriptorValue": ""}}), Some("genericKey.descriptorValue")),
            (json!({"requestHeaders": {"headerName": "x", "descriptorKey": "a"}}), None),
            (json!({"requestHeaders": {"headerName": "", "descriptorKey": "a"}}), Some("headerName")),
            (json!({"requestHeaders": {"headerName": "a b", "descriptorKey": "a"}}), Some("headerName")),
            (json!({"requestHeaders": {"headerName": "x", "descriptorKey": ""}}), Some("descriptorKey")),
            (metadata("a", "n", step()), None),
            (metadata("", "n", step()), Some("descriptorKey")),
            (metadata("a", "", step()), Some("metadataKey.key")),
            (metadata("a", "n", json!([])), Some("metadataKey.path")),
            (metadata("a", "n", json!([{"key": ""}])), Some("metadataKey.path[0].key")),
            (header(json!({"name": "x"})), None),
            (header(json!({"name": "x", "exactMatch": ""})), None),
            (header(json!({"name": ""})), Some("headers[0].name")),
            (header(json!({"name": "x", "regexMatch": ""})), Some("headers[0].regexMatch")),
            (header(json!({"name": "x", "regexMatch": "("})), Some("headers[0].regexMatch")),
            (header(json!({"name": "x", "prefixMatch": ""})), Some("headers[0].prefixMatch")),
            (header(json!({"name": "x", "suffixMatch": ""})), Some("headers[0].suffixMatch")),
            (header(json!({"name": "x", "exactMatch": "a", "presentMatch": true})), Some("headers[0]")),
            (header(json!({"name": "x", "exactMatch": "a", "prefixMatch": "a"})), Some("headers[0]")),
            (
                json!({"headerValueMatch": {"descriptorValue": "", "headers": [{"name": "x"}]}}),
                Some("descriptorValue"),
            ),
            (json!({"headerValueMatch": {"descriptorValue": "v"}}), Some("headerValueMatch.headers")),
            (json!({}), Some("actions[0]: sets no action")),
            (json!({"remoteAddress": {}, "destinationCluster": {}}), Some("sets more than one action")),
        ] {
            let found = fault(&action);
            match field {
                None => assert_eq!(found, None, "{action}"),
                Some(field) => assert!(
                    found.as_deref().is_some_and(|found| found.contains(field)),
                    "{action}: {found:?}"
                ),
            }
        }
    }
}
