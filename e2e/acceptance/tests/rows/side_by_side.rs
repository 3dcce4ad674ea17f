//! Row A3: both seeds together.

use std::cell::Cell;

use acceptance::{Answer, World, assert_native_gemini, restricted_namespace};
use cluster::Error;

use crate::guide::{Seed, port_8080};

const PATH: &str = "/gemini";

#[test]
fn a3_both_seeds_are_served_side_by_side_and_neither_loses_by_the_others_secret() {
    let (world, _guard) = World::shared();
    let seeds = [
        Seed::kgateway("kgateway-system", "canary-a3-kgateway"),
        Seed::gloo("gloo-system", "canary-a3-gloo"),
    ];
    for seed in seeds {
        world.cluster.apply(&restricted_namespace(seed.namespace)).expect("the namespace");
        seed.apply_gateway(world);
        seed.apply_route(world);
    }
    let addresses = seeds.map(|seed| port_8080(&world.programmed("ai-gateway", seed.namespace)));
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        assert_native_gemini(&world.ask_until(address, PATH, 200));
    }
    for (gone, kept) in [(0, 1), (1, 0)] {
        let before = seeds.map(|seed| world.provider_requests_with(seed.key).len());
        let namespace = seeds[gone].namespace;
        world.cluster.kubectl(&["delete", "secret", "google-secret", "-n", namespace]).expect("deleted");
        let asked_of_kept = Cell::new(0);
        let is_refused = || {
            let answer = world.ask(addresses[kept], PATH).expect("an answer");
            assert_eq!(answer.status, 200, "{}: {}", seeds[kept].folder, answer.body);
            asked_of_kept.set(asked_of_kept.get() + 1);
            match world.ask(addresses[gone], PATH).expect("an answer") {
                Answer { status: 500, .. } => Ok(()),
                Answer { status, body } => Err(Error::Unexpected(format!("{status}: {body}"))),
            }
        };
        world.cluster.wait_until("500", acceptance::DEADLINE, is_refused).expect("500 without its Secret");
        for _ in 0..20 {
            is_refused().expect("it stays so");
        }
        let with_own_key = world.provider_requests_with(seeds[kept].key).len() - before[kept];
        assert_eq!(with_own_key, asked_of_kept.get(), "each request of {} has its key", seeds[kept].folder);
        println!(
            "A3: without the Secret of {}: {} of {} answers of {} are 200",
            seeds[gone].folder, with_own_key, with_own_key, seeds[kept].folder
        );
        seeds[gone].apply_secret(world);
        world.ask_until(addresses[gone], PATH, 200);
    }
}
