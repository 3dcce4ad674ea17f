//! The AI engine in a cluster: its module reaches Envoys from the control plane, and another version rolls out with a
//! new control plane.

use std::env;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use acceptance::{
    DEADLINE, QUESTION, Setup, World, apply_seed, ask_gemini_until, assert_native_gemini, gateway_socket,
    workspace,
};
use cluster::{Error, Image};
use e2e::load::Load;
use serde_json::Value;

const NAMESPACE: &str = "kgateway-system";

/// Requests per second during the upgrade.
const RATE: u32 = 100;

/// How long requests go on after the upgrade.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Public authorities, where the image of `make image` has them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Names the folder of the programs in the image of `make image`; without it they are those of a release build.
const PROGRAMS_VARIABLE: &str = "CHANCERY_IMAGE_PROGRAMS";

#[test]
fn the_module_reaches_envoys_and_another_version_rolls_out_under_load_without_a_failed_request() {
    let world = World::start(&Setup::default());
    let world = &world;
    let _guard = world.cluster.keep_logs_on_panic();
    let address = apply_seed(world, "seed-kgateway", NAMESPACE);
    assert_native_gemini(&ask_gemini_until(&world.cluster, &address, 200));
    let pods = envoys(world);
    let [pod] = &pods[..] else { panic!("{pods:?}") };
    let counted = wait_for_tokens(world, pod, 0);
    let old = module(world, pod).expect("the Envoy has the engine");
    println!("the module {old} has counted {counted} tokens");

    world.cluster.load_image(&next_image()).expect("the next image");
    let load = Load {
        address: gateway_socket(&address),
        host: "ai.example.com".to_owned(),
        path: "/gemini".to_owned(),
        rate: NonZeroU32::new(RATE).expect("not zero"),
    };
    let question: Value = serde_json::from_str(QUESTION).expect("JSON");
    let running = world.network.run(async move { load.start_posting(&question).expect("a load") });
    let started = Instant::now();
    world.helm("upgrade", &["image.tag=next".to_owned()]);
    let is_new = || match module(world, pod)? {
        new if new != old => Ok(new),
        same => Err(Error::Unexpected(format!("it is still {same}"))),
    };
    let new = world.cluster.wait_until("the next module", DEADLINE, is_new).expect("the next module");
    let took = started.elapsed();
    thread::sleep(AFTERMATH);
    let report = world.network.run(running.stop()).expect("every request has an outcome");
    println!("upgrade to the module {new}: {:.1} s, {report}", took.as_secs_f64());
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.succeeded() > u64::from(RATE), "the load did not run: {report}");
    assert_eq!(envoys(world), pods, "no Envoy was replaced");
    let before = tokens(world, pod).expect("a count");
    assert_native_gemini(&ask_gemini_until(&world.cluster, &address, 200));
    wait_for_tokens(world, pod, before);
}

fn envoys(world: &World) -> Vec<String> {
    world.pods(NAMESPACE, "gateway.networking.k8s.io/gateway-name=ai-gateway")
}

/// The SHA-256 of the module that the Envoy's clusters have.
fn module(world: &World, pod: &str) -> Result<String, Error> {
    let dump = world.cluster.envoy_admin(NAMESPACE, pod, "/config_dump")?;
    let (_, rest) = dump
        .split_once("\"sha256\": \"")
        .ok_or_else(|| Error::Unexpected("no cluster has a module".to_owned()))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// The tokens of all prompts that the Envoy has counted.
fn tokens(world: &World, pod: &str) -> Result<u64, Error> {
    let stats = world.cluster.envoy_admin(NAMESPACE, pod, "/stats/prometheus")?;
    let counts =
        stats.lines().filter(|line| !line.starts_with('#') && line.contains("ai_prompt_tokens_total"));
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// Waits until more than `before` are counted.
fn wait_for_tokens(world: &World, pod: &str, before: u64) -> u64 {
    let has_more = || match tokens(world, pod)? {
        count if count > before => Ok(count),
        count => Err(Error::Unexpected(format!("{count} tokens"))),
    };
    world.cluster.wait_until("the count of tokens", DEADLINE, has_more).expect("tokens are counted")
}

/// The image of `make image` as `chancery:next`, with another module: some bytes at its end make it another version.
fn next_image() -> PathBuf {
    let programs = env::var_os(PROGRAMS_VARIABLE).map(PathBuf::from);
    let programs = programs.unwrap_or_else(|| workspace().join("target/release"));
    let folder = workspace().join("dist");
    let module = folder.join("libchancery_ai.next.so");
    let built = programs.join("libchancery_ai.so");
    let mut bytes = fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    bytes.extend_from_slice(b"next");
    fs::write(&module, bytes).expect("the next module");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let target = format!("/usr/local/lib/chancery/libchancery_ai.{architecture}.so");
    let tarball = folder.join("chancery-image-next.tar");
    let image = Image::new("chancery:next").program(programs.join("chancery"));
    let image = image.file(AUTHORITIES, AUTHORITIES).file(module, target);
    image.write(&tarball).expect("the next image");
    tarball
}
