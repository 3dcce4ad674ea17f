//! Whatever requests do, each reservation is settled once, by what its requests have spent.

use std::collections::HashMap;

use super::*;
use crate::random::Random;

const PART: Reservation = Reservation { tokens: 100, micros: 7 };

fn tokens(tokens: u64) -> Reservation {
    Reservation { tokens, micros: 0 }
}

/// A request of the account `a` begins.
fn begin(sharing: &mut Sharing, name: &str, part: Reservation, now: Instant) -> (Member, Question) {
    sharing.begin("a", name, part, true, now)
}

/// A request ends: under which names how much is settled, and of how many others.
fn end(sharing: &mut Sharing, member: Member, spent: u64, now: Instant) -> Vec<(String, u64, u64)> {
    let settled = sharing.end(member, tokens(spent), now).into_iter();
    settled.map(|it| (it.name.to_string(), it.spent.tokens, it.others)).collect()
}

fn settled(name: &str, spent: u64, others: u64) -> (String, u64, u64) {
    (name.to_owned(), spent, others)
}

#[test]
fn a_request_alone_asks_for_itself() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    for name in ["1", "2"] {
        let (member, question) = begin(&mut sharing, name, PART, now);
        assert_eq!(question, Question::Own);
        assert_eq!(end(&mut sharing, member, 5, now), [settled(name, 5, 0)]);
    }
    assert!(sharing.is_empty());
}

#[test]
fn requests_that_run_beside_others_share_and_the_last_one_settles() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (mut asks, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    let (waits, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::Own, "one asks at a time");
    let (other, question) = sharing.begin("b", "4", PART, true, now);
    assert_eq!(question, Question::Own, "other budgets");
    sharing.granted(&mut asks, 3, now);
    let (shares, question) = begin(&mut sharing, "5", PART, now);
    assert_eq!(question, Question::None);
    let (fills, question) = begin(&mut sharing, "6", PART, now);
    assert_eq!(question, Question::None);
    let (full, question) = begin(&mut sharing, "7", PART, now);
    assert_eq!(question, Question::Shared(TIMES), "there were three parts");
    // What is not needed goes to the next ones.
    assert_eq!(end(&mut sharing, asks, 10, now), []);
    let (again, question) = begin(&mut sharing, "8", tokens(90), now);
    assert_eq!(question, Question::None);
    let (big, question) = begin(&mut sharing, "9", tokens(1), now);
    assert_eq!(question, Question::Own, "nothing is left, and one is asking");
    assert_eq!(end(&mut sharing, full, 4, now), [settled("7", 4, 0)]);
    for member in [shares, fills] {
        assert_eq!(end(&mut sharing, member, 1, now), []);
    }
    assert_eq!(end(&mut sharing, again, 90, now), [], "others may still come");
    let (last, question) = begin(&mut sharing, "10", PART, now);
    assert_eq!(question, Question::None);
    for (member, name) in [(first, "1"), (waits, "3"), (big, "9"), (other, "4")] {
        assert_eq!(end(&mut sharing, member, 7, now), [settled(name, 7, 0)]);
    }
    assert_eq!(end(&mut sharing, last, 5, now), [settled("2", 107, 4)]);
    assert!(sharing.is_empty());
}

#[test]
fn what_nobody_uses_is_settled_with_the_next_request_that_ends() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let later = now + OPEN_FOR;
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (second, _) = begin(&mut sharing, "2", PART, now);
    sharing.end(second, PART, now);
    let (mut asks, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    sharing.granted(&mut asks, TIMES, now);
    assert_eq!(end(&mut sharing, asks, 9, now), []);
    let (mut late, question) = begin(&mut sharing, "4", PART, later);
    assert_eq!(question, Question::Shared(TIMES), "nobody begins to share after its time");
    sharing.granted(&mut late, TIMES, later);
    let (beside, question) = begin(&mut sharing, "5", PART, later);
    assert_eq!(question, Question::None);
    assert_eq!(end(&mut sharing, beside, 1, later), [settled("3", 9, 0)], "another one is in its place");
    assert_eq!(end(&mut sharing, late, 2, later + OPEN_FOR), [settled("4", 3, 1)], "its time is over");
    assert_eq!(end(&mut sharing, first, 8, later), [settled("1", 8, 0)]);
    assert!(sharing.is_empty());
}

#[test]
fn the_last_request_settles_its_own_and_what_was_shared() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (mut asks, _) = begin(&mut sharing, "2", PART, now);
    sharing.granted(&mut asks, TIMES, now);
    assert_eq!(end(&mut sharing, asks, 3, now), []);
    assert_eq!(end(&mut sharing, first, 8, now), [settled("1", 8, 0), settled("2", 3, 0)]);
    assert!(sharing.is_empty());
}

#[test]
fn who_gets_no_answer_lets_others_ask() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (refused, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    sharing.end(refused, Reservation::default(), now);
    let (asks, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    let (alone, question) = sharing.begin("a", "4", PART, false, now);
    assert_eq!(question, Question::Own);
    let of_others = [Reservation::default(), tokens(1_000_000_000 / 2 / TIMES + 1)].map(|part| {
        let (member, question) = sharing.begin("c", "5", part, true, now);
        assert_eq!(question, Question::Own, "nothing, and more than Envoy can tell");
        member
    });
    for member in [first, asks, alone].into_iter().chain(of_others) {
        sharing.end(member, PART, now);
    }
    assert!(sharing.is_empty());
}

/// Random requests, answers, ends and pauses.
#[test]
fn what_is_settled_is_what_was_spent() {
    let mut random = Random::new(17);
    for _ in 0..200 {
        let (mut sharing, mut now) = (Sharing::default(), Instant::now());
        let mut running: Vec<(Member, Question)> = Vec::new();
        // What each name has reserved, and what the sum of all settlements and of all requests is.
        let mut reserved: HashMap<String, u64> = HashMap::new();
        let (mut settled, mut spent, mut questions, mut others) = (0, 0, 0, 0);
        let mut end =
            |sharing: &mut Sharing, member: Member, reserved: &mut HashMap<String, u64>, amount, now| {
                spent += amount;
                let all = sharing.end(member, tokens(amount), now);
                assert!(all.len() <= MOST_SETTLED);
                for settlement in all {
                    settled += settlement.spent.tokens;
                    others += settlement.others;
                    let held = reserved.remove(&*settlement.name).expect("reserved, and settled once");
                    assert!(settlement.spent.tokens <= held, "nobody spends more than its part here");
                }
            };
        let requests = 400;
        for number in 0..requests {
            let account = *random.pick(&["a", "a", "b"]);
            let part = tokens(random.next() % 50);
            let (member, question) =
                sharing.begin(account, &number.to_string(), part, random.below(9) > 0, now);
            if question != Question::None {
                reserved.insert(number.to_string(), part.tokens);
                questions += 1;
            }
            running.push((member, question));
            let chosen = random.below(running.len());
            match random.below(4) {
                0 => now += OPEN_FOR / 4,
                1 => {
                    let (member, question) = &mut running[chosen];
                    if let Question::Shared(times) = *question {
                        *question = Question::None;
                        sharing.granted(member, times, now);
                        *reserved.get_mut(&*member.name).unwrap() *= times;
                    }
                }
                _ => {
                    let (member, _) = running.swap_remove(chosen);
                    let amount = random.next() % (member.part.tokens + 1);
                    end(&mut sharing, member, &mut reserved, amount, now);
                }
            }
        }
        for (member, _) in running {
            let amount = member.part.tokens;
            end(&mut sharing, member, &mut reserved, amount, now);
        }
        assert!(sharing.is_empty() && reserved.is_empty(), "{reserved:?}");
        assert_eq!(settled, spent);
        assert_eq!(questions + others, requests, "each request is asked about, or told of in the end");
    }
}
