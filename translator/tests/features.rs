//! The table of features in `docs/gateway-api.md` is that of the code.

use translator::features::{FEATURES, Feature, Release};

const DOCUMENT: &str = include_str!("../../docs/gateway-api.md");

fn row(feature: &Feature) -> (String, String) {
    let releases =
        Release::ALL.into_iter().filter(|release| feature.first <= *release && *release <= feature.last);
    let releases: Vec<_> = releases.map(|release| format!("{release:?}").replace("V1_", "1.")).collect();
    (feature.name.to_owned(), releases.join(", "))
}

#[test]
fn the_documented_features_are_those_that_are_told() {
    let (_, table) = DOCUMENT.split_once("\n## Features\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented = rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name.to_owned(), rest.split_once(" | ").unwrap().0.to_owned())
    });
    assert_eq!(documented.collect::<Vec<_>>(), FEATURES.iter().map(row).collect::<Vec<_>>());
}
