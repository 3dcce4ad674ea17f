//! Every golden translation is one that the real Envoy takes.

#[path = "../../translator/tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::envoy::validate;
use ir::ModuleSource;
use translator::xds::to_static_bootstrap;
use translator::{AiEngine, translate};

#[test]
fn envoy_takes_every_golden_translation() {
    let cases = support::cases();
    let next = AtomicUsize::new(0);
    let validated = AtomicUsize::new(0);
    // Two at a time: each is a process of its own, 50 ms long.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (resources, mut settings) = case.resources();
                if let AiEngine::Available(module) = &mut settings.ai_engine {
                    *module = ModuleSource::File(
                        e2e::scenario::ai_module().expect("the module").display().to_string(),
                    );
                }
                for (gateway, output) in translate(&resources, &settings).gateways {
                    let bootstrap = to_static_bootstrap(&output.xds());
                    let json = proto::message_to_json_unredacted(&bootstrap).expect("JSON");
                    if let Err(error) = validate(&json.to_string()) {
                        wrong.push(format!("{} {gateway}: {error}", case.name));
                    }
                    validated.fetch_add(1, Ordering::Relaxed);
                }
            }
            wrong
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let validated = validated.into_inner();
    println!("{validated} configurations of {} cases", cases.len());
    assert!(
        validated * 2 > cases.len(),
        "only {validated} of {} cases have something to validate",
        cases.len()
    );
}
