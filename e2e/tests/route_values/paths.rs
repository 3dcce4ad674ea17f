//! Paths that requests are compared with.

use anyhow::{Result, ensure};

use e2e::random::{Random, setting};

use super::{World, route};

/// What a path element is made of. All of it may stand in a path of an HTTPRoute (the CRD's pattern).
const PIECES: [&str; 40] = [
    "a", "b", "Z", "0", ".", "..", "-", "_", "~", "!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=", ":",
    "@", "%2D", "%2d", "%2E", "%2e%2e", "%7E", "%7e", "%41", "%3A", "%3a", "%20", "%C3%A4", "%c3%a4", "%25",
    "%22", "%7B", "%2F", "%5c", "%00",
];

fn random_path(random: &mut Random) -> String {
    let mut path = String::new();
    for _ in 0..=random.below(3) {
        path.push('/');
        for _ in 0..random.below(4) {
            path.push_str(random.pick(&PIECES));
        }
    }
    path
}

/// The same path in other letters: hexadecimal digits in the other case, or one letter escaped.
fn spellings(path: &str, random: &mut Random) -> Vec<String> {
    let mut swapped = String::new();
    let mut digits = 0;
    for char in path.chars() {
        swapped.push(match (digits, char) {
            (1.., char) if char.is_ascii_lowercase() => char.to_ascii_uppercase(),
            (1.., char) => char.to_ascii_lowercase(),
            (0, char) => char,
        });
        digits = if char == '%' { 2 } else { usize::saturating_sub(digits, 1) };
    }
    let letters: Vec<_> = path.match_indices(['a', 'b', '0']).map(|(index, _)| index).collect();
    let escaped = (!letters.is_empty() && !path.contains('%')).then(|| {
        let at = letters[random.below(letters.len())];
        format!("{}%{:02x}{}", &path[..at], path.as_bytes()[at], &path[at + 1..])
    });
    [path.to_owned(), swapped].into_iter().chain(escaped).collect()
}

/// A path either matches the requests that ask for it, in every spelling, or its route says that it
/// cannot: no value is accepted that never matches, and none is refused that would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_matches_the_requests_that_ask_for_it_or_says_that_it_cannot() -> Result<()> {
    // One rule each: a value that the CRD itself refuses costs its whole route.
    const ROUTES: usize = 192;
    const RULES: usize = 1;
    let mut random = Random::from_environment();
    for _ in 0..setting("CHANCERY_CASES", 1) {
        let mut documents = String::new();
        let mut values = Vec::new();
        for number in 0..ROUTES {
            let mut rules = String::new();
            for rule in 0..RULES {
                // Each has a place of its own, so that one value does not take another's requests.
                let value = format!("/n{number}-{rule}{}", random_path(&mut random));
                let kind = random.pick(&["Exact", "PathPrefix"]);
                rules += &format!(
                    "  - matches: [{{path: {{type: {kind}, value: \"{value}\"}}}}]\n    filters: [{{type: \
                     ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-rule, value: \
                     n{number}-{rule}}}]}}}}]\n    backendRefs: [{{name: echo, port: 80}}]\n"
                );
                values.push((number, rule, kind, value));
            }
            documents += &route(&format!("r{number}"), &rules);
        }
        let world = World::start(&documents).await?;
        let mut statuses = Vec::new();
        for number in 0..ROUTES {
            // Objects that the CRD's own rules refuse have no status; what they hold is not served.
            statuses.push(world.status_text(&format!("r{number}")).await.ok());
        }
        let (mut accepted, mut refused) = (0, 0);
        for (number, rule, kind, value) in &values {
            let Some(status) = &statuses[*number] else { continue };
            let is_refused = status.contains(&format!("spec.rules[{rule}].matches[0].path.value"));
            accepted += usize::from(!is_refused);
            refused += usize::from(is_refused);
            for spelling in spellings(value, &mut random) {
                let answer = world.get(&spelling).await?;
                let takes = answer.header("x-rule") == Some(format!("n{number}-{rule}").as_str());
                ensure!(
                    takes != is_refused,
                    "{kind} {value:?} is {}, but a request for {spelling:?} {}: {}\n{status}",
                    if is_refused { "refused" } else { "accepted" },
                    if takes { "is taken by it" } else { "is not" },
                    answer.status
                );
            }
            if *kind == "PathPrefix" && !is_refused {
                let below = format!("{}/more", value.trim_end_matches('/'));
                let rule = format!("n{number}-{rule}");
                ensure!(world.get(&below).await?.header("x-rule") == Some(rule.as_str()), "{below}");
                let beside = format!("{}more", value.trim_end_matches('/'));
                ensure!(world.get(&beside).await?.header("x-rule") != Some(rule.as_str()), "{beside}");
            }
        }
        println!(
            "{} paths: {accepted} accepted, {refused} refused, the others refused by the CRD",
            values.len()
        );
        ensure!(accepted > 20 && refused > 5, "both verdicts occur");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escaped_slashes_are_redirected_refused_or_kept_as_the_gateway_says() -> Result<()> {
    let rules = "  - matches: [{path: {value: /api}}]\n    backendRefs: [{name: echo, port: 80}]\n";
    for (annotation, status) in [("redirect", 307), ("reject", 400), ("keep", 200)] {
        let world = World::start(&route("r", rules)).await?;
        assert_eq!(world.get("/api/grp%2Fproj").await?.status, 307, "the default");
        let all = world.fixture.read("all.yaml")?.replacen(
            "metadata: {name: gw}",
            &format!("metadata: {{name: gw, annotations: {{chancery.dev/escaped-slashes: {annotation}}}}}"),
            1,
        );
        world.fixture.save("all.yaml", &all)?;
        let changed = e2e::http::eventually(e2e::fixture::DEADLINE, || async {
            for path in ["/api/grp%2Fproj", "/api/grp%2fproj", "/api/a%5Cb"] {
                let answer = world.get(path).await?;
                ensure!(answer.status == status, "{annotation} {path}: {}", answer.status);
            }
            anyhow::Ok(())
        });
        changed.await?;
        if annotation == "keep" {
            assert_eq!(world.seen("/api/grp%2Fproj?a=%2F").await?.path, "/api/grp%2Fproj?a=%2F");
            // Dots behind an escaped slash are the backend's to read; those between slashes are resolved.
            assert_eq!(world.seen("/api/x/../y%2F..%2Fz").await?.path, "/api/y%2F..%2Fz");
        }
    }
    Ok(())
}
