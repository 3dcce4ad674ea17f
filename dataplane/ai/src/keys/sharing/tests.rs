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
    sharing.begin(Some("a"), name, part, now)
}

/// A request ends: whether it settles what it had reserved for itself.
fn end(sharing: &mut Sharing, member: Member, spent: u64, now: Instant) -> bool {
    sharing.end(member, tokens(spent), now).settles
}

/// What is settled: under which names how much, and of how many others.
fn settle(sharing: &mut Sharing, now: Instant) -> Vec<(String, u64, u64)> {
    let settled = sharing.settle(now).into_iter();
    let mut settled: Vec<_> = settled.map(|it| (it.name.to_string(), it.spent.tokens, it.others)).collect();
    settled.sort();
    settled
}

fn settled(name: &str, spent: u64, others: u64) -> (String, u64, u64) {
    (name.to_owned(), spent, others)
}

#[test]
fn a_request_that_has_been_alone_for_long_asks_for_itself() {
    let (mut sharing, mut now) = (Sharing::default(), Instant::now());
    for name in ["1", "2"] {
        let (member, question) = begin(&mut sharing, name, PART, now);
        assert_eq!(question, Question::Own);
        assert!(end(&mut sharing, member, 5, now));
        assert_eq!(sharing.next(), Some(now + LINGER));
        now += LINGER;
    }
    assert_eq!(settle(&mut sharing, now), []);
    assert!(sharing.is_empty());
}

#[test]
fn requests_one_after_the_other_share() {
    let (mut sharing, mut now) = (Sharing::default(), Instant::now());
    let pause = LINGER - Duration::from_millis(1);
    let (first, question) = begin(&mut sharing, "1", PART, now);
    assert_eq!(question, Question::Own);
    assert!(end(&mut sharing, first, 5, now));
    now += pause;
    let (mut asks, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    sharing.granted(&mut asks, TIMES, now);
    assert_eq!(sharing.next(), None, "it runs");
    assert_eq!(sharing.end(asks, PART, now), Ended { settles: false, is_idle: true });
    for name in ["3", "4"] {
        now += pause;
        assert_eq!(settle(&mut sharing, now), [], "others may still come");
        let (member, question) = begin(&mut sharing, name, PART, now);
        assert_eq!(question, Question::None);
        assert!(!end(&mut sharing, member, 7, now));
        assert_eq!(sharing.next(), Some(now + LINGER));
    }
    assert_eq!(settle(&mut sharing, now + LINGER), [settled("2", 114, 2)]);
    assert!(sharing.is_empty() && sharing.next().is_none());
}

#[test]
fn requests_that_run_beside_others_share() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (mut asks, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    let (waits, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::Own, "one asks at a time");
    let (other, question) = sharing.begin(Some("b"), "4", PART, now);
    assert_eq!(question, Question::Own, "other budgets");
    sharing.granted(&mut asks, 3, now);
    let (shares, question) = begin(&mut sharing, "5", PART, now);
    assert_eq!(question, Question::None);
    let (fills, question) = begin(&mut sharing, "6", PART, now);
    assert_eq!(question, Question::None);
    let (full, question) = begin(&mut sharing, "7", PART, now);
    assert_eq!(question, Question::Shared(TIMES * MORE), "there were three parts");
    // What is not needed goes to the next ones.
    assert!(!end(&mut sharing, asks, 10, now));
    let (again, question) = begin(&mut sharing, "8", tokens(90), now);
    assert_eq!(question, Question::None);
    let (big, question) = begin(&mut sharing, "9", tokens(1), now);
    assert_eq!(question, Question::Own, "nothing is left, and one is asking");
    for (member, spent) in [(shares, 1), (fills, 1), (again, 90)] {
        assert!(!end(&mut sharing, member, spent, now));
    }
    let (last, question) = begin(&mut sharing, "10", PART, now);
    assert_eq!(question, Question::None);
    for member in [first, waits, big, other, full] {
        assert!(end(&mut sharing, member, 7, now));
    }
    assert!(!end(&mut sharing, last, 5, now));
    let later = now + LINGER;
    assert_eq!(settle(&mut sharing, later - Duration::from_millis(1)), []);
    assert_eq!(settle(&mut sharing, later), [settled("2", 107, 4)]);
    assert!(sharing.is_empty());
}

#[test]
fn nobody_begins_to_share_after_its_time() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let later = now + OPEN_FOR;
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (mut asks, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    sharing.granted(&mut asks, TIMES, now);
    let (long, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::None);
    assert!(!end(&mut sharing, asks, 9, now));
    let (mut late, question) = begin(&mut sharing, "4", PART, later);
    assert_eq!(question, Question::Shared(TIMES));
    sharing.granted(&mut late, TIMES, later);
    let (beside, question) = begin(&mut sharing, "5", PART, later);
    assert_eq!(question, Question::None);
    assert!(!end(&mut sharing, beside, 1, later));
    assert_eq!(settle(&mut sharing, later + LINGER), [], "some run in both");
    assert!(!end(&mut sharing, long, 1, later));
    assert_eq!(settle(&mut sharing, later + LINGER), [settled("2", 10, 1)], "another one is in its place");
    let last = later + LINGER;
    assert!(!end(&mut sharing, late, 2, last));
    assert!(end(&mut sharing, first, 8, last));
    assert_eq!(settle(&mut sharing, last + LINGER), [settled("4", 3, 1)]);
    assert!(sharing.is_empty());
}

#[test]
fn who_gets_no_answer_lets_others_ask() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let (refused, question) = begin(&mut sharing, "2", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    assert!(end(&mut sharing, refused, 0, now));
    let (asks, question) = begin(&mut sharing, "3", PART, now);
    assert_eq!(question, Question::Shared(TIMES));
    let (alone, question) = sharing.begin(None, "4", PART, now);
    assert_eq!(question, Question::Own);
    let of_others = [Reservation::default(), tokens(MOST_SHARED / TIMES + 1)].map(|part| {
        let (beside, _) = sharing.begin(Some("c"), "5", PART, now);
        let (member, question) = sharing.begin(Some("c"), "6", part, now);
        assert_eq!(question, Question::Own, "nothing, and too much");
        assert!(end(&mut sharing, beside, 1, now));
        member
    });
    for member in [first, asks, alone].into_iter().chain(of_others) {
        assert!(end(&mut sharing, member, 1, now));
    }
    assert_eq!(settle(&mut sharing, now + LINGER), []);
    assert!(sharing.is_empty());
}

#[test]
fn more_is_asked_for_after_it_was_used_up_and_less_after_it_was_not_granted() {
    let (mut sharing, now) = (Sharing::default(), Instant::now());
    let (first, _) = begin(&mut sharing, "1", PART, now);
    let mut members = Vec::new();
    let mut asks = |sharing: &mut Sharing, name: &str, part, now, grants: bool| {
        let (mut member, question) = begin(sharing, name, part, now);
        if grants {
            // Nothing is left for others.
            sharing.granted(&mut member, 1, now);
            members.push(member);
        } else {
            end(sharing, member, 0, now);
        }
        question
    };
    for times in [TIMES, 128, 512, MOST_TIMES, MOST_TIMES] {
        let name = format!("{times}-{:?}", sharing.shared.len());
        assert_eq!(asks(&mut sharing, &name, PART, now, true), Question::Shared(times));
    }
    let big = tokens(MOST_SHARED / 100);
    assert_eq!(
        asks(&mut sharing, "big", big, now, true),
        Question::Shared(100),
        "no more than can be reserved"
    );
    assert_eq!(asks(&mut sharing, "refused", PART, now, false), Question::Shared(100 * MORE));
    let later = now + OPEN_FOR;
    assert_eq!(asks(&mut sharing, "again", PART, later, true), Question::Shared(TIMES));
    assert_eq!(
        asks(&mut sharing, "late", PART, later + OPEN_FOR, true),
        Question::Shared(TIMES),
        "it was not used up"
    );
    for member in members.into_iter().chain([first]) {
        end(&mut sharing, member, 1, later);
    }
    sharing.settle(later + LINGER);
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
        let mut end = |sharing: &mut Sharing,
                       member: Option<Member>,
                       reserved: &mut HashMap<String, u64>,
                       amount,
                       now| {
            let mut take = |name: &str, amount| {
                settled += amount;
                let held = reserved.remove(name).expect("reserved, and settled once");
                assert!(amount <= held, "nobody spends more than its part here");
            };
            if let Some(member) = member {
                spent += amount;
                let name = member.name().to_owned();
                if sharing.end(member, tokens(amount), now).settles {
                    take(&name, amount);
                }
            }
            for settlement in sharing.settle(now) {
                others += settlement.others;
                take(&settlement.name, settlement.spent.tokens);
            }
            assert!(sharing.next().is_none_or(|at| at > now), "what is over is settled");
        };
        let requests = 400;
        for number in 0..requests {
            let account = *random.pick(&["a", "a", "b"]);
            let part = tokens(random.next() % 50);
            let (member, question) =
                sharing.begin((random.below(9) > 0).then_some(account), &number.to_string(), part, now);
            if question != Question::None {
                reserved.insert(number.to_string(), part.tokens);
                questions += 1;
            }
            running.push((member, question));
            for _ in 0..2 {
                let chosen = random.below(running.len().max(1));
                match random.below(5) {
                    0 => {
                        now += LINGER / 2;
                        end(&mut sharing, None, &mut reserved, 0, now);
                    }
                    1 => {
                        let Some((member, question)) = running.get_mut(chosen) else { continue };
                        if let Question::Shared(times) = *question {
                            *question = Question::None;
                            sharing.granted(member, times, now);
                            *reserved.get_mut(&*member.name).unwrap() *= times;
                        }
                    }
                    _ if running.is_empty() => {}
                    _ => {
                        let (member, _) = running.swap_remove(chosen);
                        let amount = random.next() % (member.part.tokens + 1);
                        end(&mut sharing, Some(member), &mut reserved, amount, now);
                    }
                }
            }
        }
        for (member, _) in running {
            let amount = member.part.tokens;
            end(&mut sharing, Some(member), &mut reserved, amount, now);
        }
        end(&mut sharing, None, &mut reserved, 0, now + LINGER);
        assert!(sharing.is_empty() && reserved.is_empty(), "{reserved:?}");
        assert_eq!(settled, spent);
        assert_eq!(questions + others, requests, "each request is asked about, or told of in the end");
    }
}
