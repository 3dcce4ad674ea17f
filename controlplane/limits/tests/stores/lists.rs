//! Lists of spenders.

use jiff::Timestamp;
use limits::store::{Listed, Moment, Spender};

use crate::server::{Lasting, servers, stores};

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Moment {
    Moment::of(Timestamp::from_second(seconds).unwrap())
}

fn spender(name: &str, spent: u64) -> Spender {
    Spender { list: "n/b|".to_owned(), name: name.to_owned(), spent, until: (NOW + 1) * 1_000 }
}

fn listed(count: usize, exhausted: usize, most: &[&str]) -> Listed {
    Listed { count, exhausted, most: most.iter().map(|name| (*name).to_owned()).collect() }
}

#[tokio::test]
async fn a_list_has_each_spender_once_with_what_is_spent_at_last() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let look = async |limit, most| store.listed("n/b|", limit, most, at(NOW)).await.unwrap();
        assert_eq!(look(0, 5).await, Listed::default());
        store.list(&[spender("a", 5), spender("b", 7)], at(NOW)).await.unwrap();
        assert_eq!(look(7, 5).await, listed(2, 1, &["b", "a"]));
        store.list(&[spender("a", 9)], at(NOW)).await.unwrap();
        assert_eq!(look(7, 1).await, listed(2, 2, &["a"]));
        assert_eq!(look(10, 0).await, listed(2, 0, &[]));
        let other = store.listed("n/other|", 0, 5, at(NOW)).await.unwrap();
        assert_eq!(other, Listed::default());
    }
}

#[tokio::test]
async fn a_list_has_an_end_and_so_many_spenders_and_no_more() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let many: Vec<_> = (0..10_005).map(|number| spender(&format!("s{number:05}"), 1 + number)).collect();
        for part in many.chunks(1_000) {
            store.list(part, at(NOW - 60)).await.unwrap();
        }
        let found = store.listed("n/b|", 10_000, 2, at(NOW)).await.unwrap();
        assert_eq!(found, listed(10_000, 6, &["s10004", "s10003"]));
    }
    let memory = limits::Memory::default();
    let store = limits::Store::Memory(memory.clone());
    store.list(&[spender("a", 1)], at(NOW)).await.unwrap();
    assert_eq!(store.listed("n/b|", 0, 2, at(NOW + 1)).await.unwrap(), Listed::default());
    let other = Spender { list: "other".to_owned(), until: (NOW + 9) * 1_000, ..spender("a", 1) };
    store.list(&[other], at(NOW + 1)).await.unwrap();
    assert_eq!(memory.len(), 1, "the one that is over is gone");
    for mut store in servers.iter().map(|server| server.store()) {
        store
            .list(
                &[Spender { list: "short".to_owned(), until: NOW * 1_000 + 50, ..spender("a", 1) }],
                at(NOW),
            )
            .await
            .unwrap();
        let gone = async |store: &mut limits::Store| {
            store.listed("short", 0, 2, at(NOW)).await.unwrap() == Listed::default()
        };
        let began = std::time::Instant::now();
        while !gone(&mut store).await {
            assert!(began.elapsed() < std::time::Duration::from_secs(10), "it is never forgotten");
            tokio::task::yield_now().await;
        }
    }
}
