//! What somebody probably meant who wrote something that is not there.

/// How many letters may be wrong, missing or too many in a text of that many.
fn tolerance(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// The candidate that differs least from a text, if it is close enough to be meant: by its case alone, or by a few
/// letters.
pub fn most_similar<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = text.to_lowercase();
    let distance = |candidate: &&str| strsim::osa_distance(&wanted, &candidate.to_lowercase());
    let others = candidates.into_iter().filter(|candidate| *candidate != text);
    let nearest = others.map(|candidate| (distance(&candidate), candidate)).min()?;
    (nearest.0 <= tolerance(wanted.chars().count())).then_some(nearest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_its_case_or_a_few_letters_is_meant() {
        let kinds = ["Gateway", "HTTPRoute", "Service"];
        let rows = [
            ("HttpRoute", Some("HTTPRoute")),
            ("HTTPRoutes", Some("HTTPRoute")),
            ("Gatewya", Some("Gateway")),
            ("Service", None),
            ("ConfigMap", None),
            ("a", None),
        ];
        for (text, expected) in rows {
            assert_eq!(most_similar(text, kinds), expected, "{text}");
        }
        assert_eq!(most_similar("backendRef", ["backendRefs", "filters"]), Some("backendRefs"));
    }
}
