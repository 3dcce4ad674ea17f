//! Our verdict on regular expressions is the real Envoy's, both ways, and so is our size of their programs.
//!
//! `CHANCERY_REGEX_CASES` sets how many expressions are generated (20,000 take some minutes),
//! `CHANCERY_SEED` the seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::envoy::validate;
use e2e::random::{Random, setting};
use ir::MAX_REGEX_PROGRAM_SIZE;
use re2_syntax::{Error, check};
use serde_json::{Value, json};

/// Expressions in one configuration, all of which Envoy must take.
const BATCH: usize = 250;

const ATOMS: &[&str] = &[
    "a",
    "b",
    "ab",
    "abc",
    "/",
    "/users",
    ".",
    "-",
    "--",
    "&&",
    "~~",
    "é",
    "k",
    "S",
    "0",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "[a-z]",
    "[^a]",
    "[abx]",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[\\d-z]",
    "[a&&b]",
    "[é]",
    "\\pL",
    "\\PN",
    "\\p{Greek}",
    "\\p{^Latin}",
    "\\p{greek}",
    "\\p{Cn}",
    "\\pX",
    "[[:alpha:]]",
    "[[:^digit:]_]",
    "[[:foo:]]",
    "[:alpha:]",
    "\\.",
    "\\_",
    "\\x41",
    "\\x{e9}",
    "\\x{100}",
    "\\xg",
    "\\07",
    "\\1",
    "\\8",
    "\\a\\f\\t\\n\\r\\v",
    "\\Qa.b\\E",
    "\\Q*",
    "\\E",
    "\\C",
    "^",
    "$",
    "\\b",
    "\\B",
    "\\A",
    "\\z",
    "\\Z",
    "\\G",
    "\\u0041",
    "\\<",
    "{",
    "}",
    "{id}",
    "]",
    "(?i)",
    "(?s)",
    "(?U)",
    "(?m)",
    "(?-i)",
    "(?i-s)",
    "(?x)",
    "(?u)",
    "(?R)",
    "(?-)",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?#a)",
    "(?>a)",
];

const REPETITIONS: &[&str] = &[
    "*", "+", "?", "*?", "+?", "??", "{2}", "{0,3}", "{2,}", "{1,4}?", "{0}", "{,2}", "{01}", "{12}", "{40}",
    "{999}", "{1000}", "{1001}", "{3,2}", "**", "+*", "{2}{3}", "{2}*", "{ 2}", "{2",
];

const GROUPS: &[&str] = &[
    "(",
    "(?:",
    "(?i:",
    "(?s-i:",
    "(?P<name>",
    "(?<name>",
    "(?P<é>",
    "(?P<a-b>",
    "(?P<>",
    "(?P=a",
    "(?'a'",
    "(?x:",
];

fn expression(random: &mut Random, depth: usize) -> String {
    match random.below(10) {
        _ if depth == 0 => random.pick(ATOMS).to_owned(),
        0..=3 => random.pick(ATOMS).to_owned(),
        4 | 5 => expression(random, depth - 1) + &expression(random, depth - 1),
        6 => format!("{}{})", random.pick(GROUPS), expression(random, depth - 1)),
        7 => format!("{}|{}", expression(random, depth - 1), expression(random, depth - 1)),
        8 => format!("(?:{}){}", expression(random, depth - 1), random.pick(REPETITIONS)),
        _ => expression(random, depth - 1) + random.pick(REPETITIONS),
    }
}

/// Puts a character in, takes one out, or both.
fn mutated(random: &mut Random, expression: String) -> String {
    let mut chars: Vec<char> = expression.chars().collect();
    for _ in 0..random.below(3) {
        let at = random.below(chars.len() + 1);
        if random.below(2) == 0 && at < chars.len() {
            chars.remove(at);
        } else {
            chars.insert(
                at,
                random
                    .pick(&[
                        "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", "-", ":", "<", "P",
                        "é",
                    ])
                    .chars()
                    .next()
                    .unwrap_or('('),
            );
        }
    }
    chars.into_iter().collect()
}

/// One whose program is about as large as is allowed.
fn near_the_limit(random: &mut Random) -> String {
    let (atom, size) =
        [("\\W", 5), ("a", 1), ("\\w", 3), ("(a|b)", 3), ("[^ab]", 2), ("(?i:k\\d)", 2)][random.below(6)];
    let count = MAX_REGEX_PROGRAM_SIZE / size - 20 + random.below(40);
    let (whole, rest) = (count / 500, count % 500);
    format!("/(?:{atom}){{500}}").repeat(whole) + &format!("(?:{atom}){{{rest}}}")
}

fn expressions(random: &mut Random, number: usize) -> Vec<String> {
    let one = |random: &mut Random| match random.below(20) {
        0 => near_the_limit(random),
        1..=6 => {
            let written = expression(random, 3);
            mutated(random, written)
        }
        _ => {
            let depth = 1 + random.below(4);
            expression(random, depth)
        }
    };
    (0..number).map(|_| one(random)).collect()
}

/// A configuration in which each expression stands once: in a path, a header or a query parameter.
fn configuration(expressions: &[&str], largest_program: usize) -> String {
    let route = |(index, expression): (usize, &&str)| {
        let text = json!({"safe_regex": {"regex": expression}});
        let matches = match index % 3 {
            0 => json!({"safe_regex": {"regex": expression}}),
            1 => json!({"prefix": "/", "headers": [{"name": "x-a", "string_match": text}]}),
            _ => json!({"prefix": "/", "query_parameters": [{"name": "a", "string_match": text}]}),
        };
        json!({"match": matches, "direct_response": {"status": 200}})
    };
    let routes: Vec<Value> = expressions.iter().enumerate().map(route).collect();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": routes}]},
    });
    json!({
        "layered_runtime": {"layers": [{"name": "a", "static_layer": {"re2.max_program_size.error_level": largest_program}}]},
        "static_resources": {"listeners": [{
            "name": "a",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{"name": "a", "typed_config": manager}]}],
        }]},
    })
    .to_string()
}

/// Runs jobs by two workers.
fn each<T: Sync>(jobs: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(job);
                }
            });
        }
    });
}

fn cases(default: u64) -> usize {
    setting("CHANCERY_REGEX_CASES", default) as usize
}

#[test]
fn our_verdict_on_an_expression_is_envoys() {
    let mut random = Random::from_environment();
    let mut expressions = expressions(&mut random, cases(500));
    let reported = [
        "/a**",
        "(?ix)a",
        "[[:foo:]]",
        "(?P<é>x)",
        "",
        r"/\W{490}",
        "a--b",
        "/[a-z]+--[0-9]+",
        r"/\\users",
        "/users/{id}",
        r"\pL",
        r"\Qa.b\E",
        "(?-u)/a",
        "(?iu)a",
        "(?s-x)a",
        "a&&b",
        r"/\W{398}",
        r"/\W{399}",
    ];
    // In each of the places where an expression may stand.
    expressions.extend(reported.iter().flat_map(|text| [text, text, text]).map(|text| (*text).to_owned()));
    let verdict = |text: &&str| check(text, MAX_REGEX_PROGRAM_SIZE);
    let (good, bad): (Vec<&str>, Vec<&str>) =
        expressions.iter().map(String::as_str).partition(|text| verdict(text).is_ok());
    let wrong = Mutex::new(Vec::new());
    let batches: Vec<&[&str]> = good.chunks(BATCH).collect();
    each(&batches, |batch| {
        if validate(&configuration(batch, MAX_REGEX_PROGRAM_SIZE)).is_ok() {
            return;
        }
        for text in *batch {
            if let Err(error) = validate(&configuration(&[text], MAX_REGEX_PROGRAM_SIZE)) {
                wrong.lock().unwrap().push(format!("we take {text:?}, Envoy does not: {error:#}"));
            }
        }
    });
    let number = AtomicUsize::new(0);
    each(&bad, |text| {
        // In turn at each place.
        let place = number.fetch_add(1, Ordering::Relaxed) % 3;
        let all = [&["a", "a"][..place], &[text]].concat();
        if validate(&configuration(&all, MAX_REGEX_PROGRAM_SIZE)).is_ok() {
            let error = verdict(text).err().map(|error: Error| error.to_string());
            wrong.lock().unwrap().push(format!("Envoy takes {text:?}, we do not: {error:?}"));
        }
    });
    println!("{} expressions: {} good, {} bad", expressions.len(), good.len(), bad.len());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    assert!(good.len() > expressions.len() / 10 && bad.len() > expressions.len() / 10, "both verdicts occur");
}

/// With a limit of one instruction less, Envoy refuses; with that of our number, it does not.
#[test]
fn our_size_of_a_program_is_envoys() {
    let mut random = Random::from_environment();
    let expressions = expressions(&mut random, cases(500) / 10);
    let sized: Vec<(&str, usize)> = expressions
        .iter()
        .filter_map(|text| Some((text.as_str(), check(text, 100_000).ok()?.program_size)))
        .collect();
    let wrong = Mutex::new(Vec::new());
    each(&sized, |(text, size)| {
        let takes = |limit| validate(&configuration(&[text], limit)).is_ok();
        if !takes(*size) || takes(size - 1) {
            wrong.lock().unwrap().push(format!("{text:?} is not of size {size}"));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} sizes", sized.len());
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), sized.len(), wrong.join("\n"));
}
