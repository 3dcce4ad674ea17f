use ai_config::DatedPrice;

use super::*;

/// A list for a model at a price, which says that it is called like this.
fn list(name: &str, model: &str, input: u64) -> PriceList {
    let rates = vec![Rate { input, ..Rate::default() }];
    PriceList {
        name: format!("n/{name}"),
        provider: None,
        backends: Vec::new(),
        models: vec![ModelPrice { model: model.to_owned(), prices: vec![DatedPrice { from: None, rates }] }],
    }
}

fn for_backend(name: &str, list: PriceList) -> PriceList {
    PriceList { backends: vec![format!("n/{name}")], ..list }
}

fn for_provider(name: &str, list: PriceList) -> PriceList {
    PriceList { provider: Some(name.to_owned()), ..list }
}

fn sale<'a>(answered: Option<&'a str>, asked: &'a str) -> Sale<'a> {
    Sale { backend: "n/b", provider: "openai", answered, asked: Some(asked), now: 1_000 }
}

/// The price of a token, and who says so.
fn found(lists: &[PriceList], sale: &Sale<'_>) -> Option<(u64, String)> {
    let prices = Prices::new([("n".to_owned(), lists.to_vec())].into());
    let (rates, source) = prices.find(sale)?;
    let source = match source {
        Source::List(name) => name.to_owned(),
        Source::Public => "public".to_owned(),
    };
    Some((rates.first()?.input, source))
}

#[test]
fn of_several_prices_the_one_that_fits_best_counts() {
    let gpt = sale(Some("gpt-4o-2024-08-06"), "gpt-4o");
    for (lists, expected) in [
        (vec![], "public"),
        (vec![list("other", "gpt-4", 1)], "public"),
        // What a user says goes before what is known to all.
        (vec![list("all", "*", 1)], "n/all"),
        // The first one.
        (vec![list("a", "gpt-4o", 1), list("b", "gpt-4o", 2)], "n/a"),
        // The longer prefix, then the name without its date, then the whole name.
        (vec![list("all", "*", 1), list("gpt", "gpt-*", 2)], "n/gpt"),
        (vec![list("gpt", "gpt-4o-*", 1), list("exact", "gpt-4o", 2)], "n/exact"),
        (vec![list("exact", "gpt-4o", 1), list("whole", "gpt-4o-2024-08-06", 2)], "n/whole"),
        (vec![list("other", "gpt-4o-2024-05-13", 1)], "public"),
        // What is for the backend goes before what is for all of them.
        (vec![list("exact", "gpt-4o-2024-08-06", 1), for_backend("b", list("mine", "*", 2))], "n/mine"),
        (vec![list("exact", "gpt-4o", 1), for_backend("c", list("theirs", "*", 2))], "n/exact"),
        // What names the provider, before what does not.
        (vec![list("any", "gpt-4o", 1), for_provider("openai", list("ours", "gpt-4o", 2))], "n/ours"),
        (vec![list("any", "gpt-4o", 1), for_provider("openai", list("ours", "gpt-*", 2))], "n/any"),
        (vec![for_provider("anthropic", list("theirs", "gpt-4o", 2))], "public"),
    ] {
        let (_, source) = found(&lists, &gpt).unwrap();
        assert_eq!(source, expected, "{lists:?}");
    }
}

#[test]
fn the_model_that_answers_counts_or_else_the_one_that_was_asked_for() {
    let lists = [list("own", "deployment", 7)];
    let own = Some((7, "n/own".to_owned()));
    let public = Some((2_500_000, "public".to_owned()));
    for (answered, asked, expected) in [
        (Some("gpt-4o"), "gpt-4o-mini", public.clone()),
        (Some("unheard-of"), "gpt-4o", public.clone()),
        (None, "gpt-4o", public.clone()),
        (Some(""), "gpt-4o", public),
        // What a user says of either goes before what is known to all.
        (Some("gpt-4o"), "deployment", own.clone()),
        (Some("deployment"), "gpt-4o", own),
        (Some("unheard-of"), "unheard-of", None),
        (None, "", None),
    ] {
        assert_eq!(found(&lists, &sale(answered, asked)), expected, "{answered:?} {asked}");
    }
}

#[test]
fn a_price_counts_from_its_day_on() {
    let price = |from, input| DatedPrice { from, rates: vec![Rate { input, ..Rate::default() }] };
    let dated = |prices: Vec<DatedPrice>| {
        let mut list = list("own", "m", 0);
        list.models[0].prices = prices;
        vec![list]
    };
    let at =
        |lists: &[PriceList], now| found(lists, &Sale { now, ..sale(None, "m") }).map(|(input, _)| input);
    let all = dated(vec![price(Some(300), 3), price(Some(200), 2), price(None, 1)]);
    for (now, expected) in [(0, 1), (199, 1), (200, 2), (299, 2), (300, 3), (9_999, 3)] {
        assert_eq!(at(&all, now), Some(expected), "{now}");
    }
    let late = dated(vec![price(Some(200), 2)]);
    assert_eq!((at(&late, 199), at(&late, 200)), (None, Some(2)));
    // What is not valid yet hides nothing.
    let both = [late, vec![list("all", "*", 9)]].concat();
    assert_eq!((at(&both, 199), at(&both, 200)), (Some(9), Some(2)));
}

#[test]
fn prices_are_for_backends_of_their_namespace() {
    let lists = [list("own", "m", 7)];
    let other = Sale { backend: "other/b", ..sale(None, "m") };
    assert_eq!((found(&lists, &sale(None, "m")).is_some(), found(&lists, &other)), (true, None));
}

#[test]
fn dates_are_told_from_other_ends_of_names() {
    for (model, expected) in [
        ("gpt-4o-2024-08-06", Some("gpt-4o")),
        ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
        ("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
        ("claude-opus-5@default", Some("claude-opus-5")),
        ("gpt-4o", None),
        ("gpt-4o-2024-8-6", None),
        ("gpt-4o-20240806-v1", None),
        ("mistral-large-2411", None),
        ("-20250929", None),
        ("@default", None),
        ("2024-08-06", None),
        ("ä-20250929", Some("ä")),
        ("ä20250929", None),
    ] {
        assert_eq!(without_date(model), expected, "{model}");
    }
}
