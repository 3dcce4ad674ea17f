//! Verdicts and sizes that were read off RE2, and what must hold for any text.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use re2_syntax::{ErrorKind, check};

fn kind(expression: &str) -> ErrorKind {
    check(expression, 2000).expect_err(expression).kind
}

#[test]
fn sizes_are_those_of_re2() {
    for (expression, size) in [
        ("a", 5),
        (".", 6),
        (r"\pL", 11),
        (r"\p{Greek}", 1),
        (r"\p{Greek}*", 5),
        ("(?i)ka", 6),
        (r"(?i)\xe9", 5),
        ("é", 6),
        ("(a|b)", 7),
        ("(ab|ac)", 8),
        ("a|b|", 6),
        ("--|S|S", 8),
        ("a*", 5),
        ("(a*)*", 11),
        ("x{2,5}", 12),
        ("a*a", 6),
        ("^/abc/*", 5),
        ("^S", 4),
        ("^S{1}", 3),
        ("(?:^){3}", 2),
        ("(){3}", 10),
        ("(?s)(?:a|.)", 5),
        (r"(?P<n>\C+)", 9),
        (r"/\W{490}", 2455),
    ] {
        assert_eq!(check(expression, 5000).map(|compiled| compiled.program_size), Ok(size), "{expression}");
    }
}

#[test]
fn what_re2_does_not_take_is_refused_with_its_reason() {
    for (expression, expected) in [
        ("", ErrorKind::Empty),
        ("/a**", ErrorKind::RepeatedRepetition),
        ("a{2}{3}", ErrorKind::RepeatedRepetition),
        ("*a", ErrorKind::NothingToRepeat),
        ("(*)", ErrorKind::NothingToRepeat),
        ("a{1001}", ErrorKind::RepetitionSize),
        ("a{3,2}", ErrorKind::RepetitionSize),
        ("(a{100}){11}", ErrorKind::RepetitionSize),
        ("(?ix)a", ErrorKind::Group),
        ("(?-)", ErrorKind::Group),
        ("(?=a)", ErrorKind::Group),
        ("(?P<é>x)", ErrorKind::GroupName),
        ("(?P<>x)", ErrorKind::GroupName),
        ("(a", ErrorKind::MissingParenthesis),
        ("a)", ErrorKind::UnexpectedParenthesis),
        ("[a", ErrorKind::MissingBracket),
        ("[[:foo:]]", ErrorKind::ClassRange),
        ("[b-a]", ErrorKind::ClassRange),
        (r"\p{Cn}", ErrorKind::ClassRange),
        (r"\1", ErrorKind::Escape),
        (r"\Z", ErrorKind::Escape),
        (r"\x{100}", ErrorKind::Escape),
        (r"a\", ErrorKind::TrailingBackslash),
    ] {
        assert_eq!(kind(expression), expected, "{expression}");
    }
    assert_eq!(kind(r"/\W{490}"), ErrorKind::TooLarge { size: 2455, limit: 2000 });
    // At the edge of what is allowed.
    assert!(check(r"/\W{399}", 2000).is_ok() && check(r"/\W{400}", 2000).is_err());
}

#[test]
fn an_error_says_what_and_where() {
    let told = |expression: &str| check(expression, 2000).unwrap_err().to_string();
    assert_eq!(told("/a**"), r#""**" at byte 2 repeats a repetition"#);
    assert!(told("/[a").contains("lacks its closing bracket"));
    assert!(told(r"/\W{490}").contains("2455 instructions"));
}

#[test]
fn hostile_expressions_are_judged_in_no_time() {
    let started = Instant::now();
    let nested = format!("{}a{}", "(".repeat(2000), ")".repeat(2000));
    let alternatives = "(a|".repeat(195) + "b" + &")".repeat(195);
    let growing = (1..90).map(|length| "a".repeat(length)).collect::<Vec<_>>().join("|");
    let prefixes = vec!["abcdefgh"; 450].join("|");
    for expression in [
        nested.as_str(),
        &alternatives,
        &prefixes,
        &growing,
        &r"(?:\pL{10}){100}".repeat(200),
        &"(?:a?){1000}".repeat(300),
        &"(?:(?:){30}){33}".repeat(250),
        &"[".repeat(4000),
        &"a{1000}".repeat(580),
    ] {
        let _ = check(expression, 2000);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(text in r#"[ -~é(){}\[\]|*+?\\^$.:<>-]{0,60}"#) {
        let verdict = check(&text, 2000);
        prop_assert!(verdict.is_err() || verdict.is_ok_and(|compiled| compiled.program_size <= 2000));
    }

    #[test]
    fn a_quoted_text_is_always_taken(text in r"[ -\[\]-~]{1,200}") {
        let quoted = format!(r"\Q{text}\E");
        prop_assert_eq!(check(&quoted, 2000).map(|compiled| compiled.program_size), Ok(4 + text.len()));
    }
}
