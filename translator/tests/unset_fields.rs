//! A field of Envoy's that is left unset is a default of Envoy's. Every such field of every message that the
//! translator emits has a row in `src/xds/unset_fields.md`, which says what the default does and why it is wanted.
//!
//! When this fails after a change: set the field, or copy the rows that the message shows into the table and fill
//! in their last two cells.

mod support;
#[path = "support/unset_fields.rs"]
mod table;

use support::cases;
use table::{Emitted, Occurrence, add, check};
use translator::translate;

const TABLE: &str = include_str!("../src/xds/unset_fields.md");

/// Every message of every golden translation.
fn emitted() -> Emitted {
    let mut emitted = Emitted::new();
    for case in cases() {
        let (resources, settings) = case.resources();
        for output in translate(&resources, &settings).gateways.values() {
            for resource in output.resources.values() {
                add(&mut emitted, &resource.name, &resource.kind.type_url(), &resource.bytes);
            }
        }
    }
    emitted
}

#[test]
fn every_field_that_is_left_unset_is_in_the_table() {
    let mistakes = check(TABLE, &emitted());
    assert!(mistakes.is_empty(), "translator/src/xds/unset_fields.md:\n{mistakes}");
}

#[test]
fn a_row_that_is_taken_out_is_missed() {
    let emitted = emitted();
    // Where a row about one place is taken out, one about all the others may take its part.
    let is_general = |line: &str| line.starts_with("| `") && !line.contains("` in `");
    let rows = TABLE.lines().enumerate().filter(|(_, line)| is_general(line));
    // Each tenth, to be quick.
    let rows: Vec<_> = rows.step_by(10).collect();
    assert!(rows.len() > 10);
    for (index, row) in rows {
        let rest: Vec<_> =
            TABLE.lines().enumerate().filter(|(other, _)| *other != index).map(|(_, line)| line).collect();
        assert!(!check(&rest.join("\n"), &emitted).missing.is_empty(), "not missed: {row}");
    }
}

#[test]
fn a_row_that_is_not_true_is_superfluous() {
    let emitted = emitted();
    for (heading, row, expected) in [
        ("Never set", "| `Listener` | `stat_prefix` | x | y |", "is always set"),
        ("Never set", "| `Listener` | `no_such_field` | x | y |", "has no field `no_such_field`"),
        ("Never set", "| `NoSuchMessage` | `name` | x | y |", "no message `NoSuchMessage` is emitted"),
        ("Never set", "| `HttpProtocolOptions` | `name` | x | y |", "`HttpProtocolOptions` could be"),
        ("Never set", "| `Cluster` | `lb_policy` | x | y |", "has an earlier row"),
        ("Never set", "| `Cluster` in `nowhere` | `lb_policy` | x | y |", "is about no message"),
        ("Never set", "| `Cluster` | `dns_jitter` | x | y |", "needs no row"),
        ("Never set", "| `StringMatcher` | `prefix` | x | y |", "needs no row"),
        ("Never set", "| `RouteConfiguration` in `chancery/readiness` | `vhds` | x | |", "says not what"),
        ("Sometimes set", "| `FilterChain` in `chancery/readiness` | `name` | x | y |", "wrong heading"),
        ("Never set", "| `Listener` | `name` | x |", "not four cells"),
    ] {
        let found = check(&format!("{TABLE}\n## {heading}\n{row}\n"), &emitted).superfluous;
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{row}: {found:?}");
    }
}

#[test]
fn an_empty_table_lacks_everything_in_the_form_of_rows() {
    let mistakes = check("", &emitted());
    let shown = mistakes.to_string();
    assert!(shown.contains("missing under `## Sometimes set`:\n| `envoy.config.cluster.v3.Cluster` | `"));
    assert!(mistakes.missing.keys().any(|(occurrence, _)| *occurrence == Occurrence::Never));
}
