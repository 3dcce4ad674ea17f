//! How the module reaches the proxies of a cluster, and what holds while it does not.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::envoy::Envoy;
use e2e::http::{Response, eventually, post_json};
use e2e::load::Load;
use ir::{ModuleSource, RemoteModule};
use mock_llm::MockLlm;

use crate::replica::{Replica, Site, module};
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, GATEWAY, backend, chat, route, route_to, secret};

/// A backend with the engine, and one that has nothing to do with it. Both lead to `mock`.
fn objects(site: &Site, mock: &MockLlm) -> String {
    let place = format!("host: 127.0.0.1, port: {}", mock.address().port());
    let plain = format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: plain, namespace: default}}\nspec: {{type: Static, static: {{hosts: [{{{place}}}]}}}}\n"
    );
    let model = format!(
        "llm: {{openai: {{authToken: {{kind: SecretRef, secretRef: {{name: key}}}}, model: m}}, {place}}}"
    );
    GATEWAY.replace("PORT", &site.gateway.port().to_string())
        + &secret("key", "canary")
        + &backend("model", &model)
        + &route("model")
        + &plain
        + &route("plain")
}

/// The virtual key of the route `keyed`.
const KEY: &str = "sk-canary-delivered-0000000001";

/// The parts of the engine that stand in the listener: pools, models, virtual keys and guards. All lead to `mock`.
fn listener_objects(mock: &MockLlm) -> String {
    let place = format!("host: 127.0.0.1, port: {}", mock.address().port());
    let openai = "openai: {authToken: {kind: SecretRef, secretRef: {name: key}}}";
    let group = format!("{{providers: [{{{openai}, {place}}}]}}");
    let by_model = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: by-model, namespace: default}\n\
        spec:\n  parentRefs: [{name: gw}]\n  rules:\n  - matches: [{path: {value: /by-model}, headers: [{name: x-gateway-model-name, \
        value: client-model}]}]\n    backendRefs: [{name: model, group: gateway.kgateway.dev, kind: Backend}]\n";
    let guard = "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: guarded, namespace: default}\n\
        spec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: guarded}]\n  \
        ai: {promptGuard: {request: {regex: {action: REJECT, matches: [{pattern: forbidden}]}}}}\n";
    backend("pool", &format!("priorityGroups: [{group}, {group}]"))
        + &route("pool")
        + by_model
        + &route_to("keyed", "model")
        + &asking("keyed", &serde_json::json!({"team": "a"}))
        + &key("one", KEY, "a", &serde_json::json!({}))
        + &route_to("guarded", "model")
        + guard
}

async fn ask(site: &Site, path: &str) -> Result<Response> {
    ask_for(site, path, "hello").await
}

/// Asks with the virtual key, which means nothing to routes that ask for none.
async fn ask_for(site: &Site, path: &str, text: &str) -> Result<Response> {
    post_json(site.gateway, "ai.example", path, &[("x-api-key", KEY)], &chat(text)).await
}

async fn wait_until_served(site: &Site, mock: &MockLlm) -> Result<()> {
    eventually(DEADLINE, || async {
        let answer = ask(site, "/model").await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        anyhow::Ok(())
    })
    .await?;
    let seen = mock.recording().take().pop().expect("a request");
    assert_eq!(seen.json()["model"], "m", "the engine has changed it");
    Ok(())
}

/// The paths of the modules that are loaded into an Envoy.
fn loaded(envoy: &mut Envoy) -> Result<Vec<String>> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", envoy.process().id()))?;
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut paths: Vec<String> =
        paths.filter(|path| path.contains("envoy_dynamic_module_")).map(str::to_owned).collect();
    paths.dedup();
    Ok(paths)
}

/// The shared libraries that a file needs, by name.
fn libraries(file: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("ldd").arg(file).output()?;
    ensure!(output.status.success(), "ldd {}", file.display());
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter_map(|name| name.rsplit('/').next()).map(str::to_owned).collect())
}

/// Envoy's distroless image has no more.
#[test]
fn the_module_needs_no_library_that_envoy_does_not_need() -> Result<()> {
    let (module, envoy) = (libraries(&e2e::scenario::ai_module()?)?, libraries(&e2e::envoy::binary()?)?);
    assert!(module.contains("libc.so.6"), "{module:?}");
    assert!(module.is_subset(&envoy), "{module:?}, {envoy:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_fetches_the_module_from_the_control_plane_and_keeps_it() -> Result<()> {
    let (site, mock) = (Site::new()?, MockLlm::start().await?);
    let objects = objects(&site, &mock);
    let folder = tempfile::tempdir()?;
    let module = module(folder.path(), b"")?;
    let source = site.source(&module);
    let replica = Replica::start(&site, Some(module), source.clone(), &objects).await?;
    let mut envoy = site.envoy().await?;
    wait_until_served(&site, &mock).await?;
    assert_eq!(replica.refused(), []);
    let stats = envoy.admin().stats().await?;
    assert_eq!(stats["cluster.xds_cluster.upstream_cx_total"], 1, "on the connection of the stream");
    assert_eq!(site.cached()?.len(), 1);
    assert_eq!(loaded(&mut envoy)?.len(), 1);
    drop(envoy);
    replica.stop().await?;

    // Started anew, the proxy has the module already.
    let _replica = Replica::start(&site, None, source, &objects).await?;
    let _envoy = site.envoy().await?;
    wait_until_served(&site, &mock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_models_keys_and_guards_are_served_by_a_module_that_is_fetched_and_by_none_are_refused()
-> Result<()> {
    let (site, mock) = (Site::new()?, MockLlm::start().await?);
    let objects = objects(&site, &mock) + &listener_objects(&mock);
    let folder = tempfile::tempdir()?;
    let module = module(folder.path(), b"")?;
    let source = site.source(&module);
    // The replica has no module to give at first.
    let replica = Replica::start(&site, None, source.clone(), &objects).await?;
    let _envoy = site.envoy().await?;
    eventually(DEADLINE, || async {
        let answer = ask(&site, "/plain").await?;
        ensure!(!mock.recording().take().is_empty(), "{}: it is not served", answer.status);
        ensure!(!replica.refused().is_empty(), "nothing is told");
        anyhow::Ok(())
    })
    .await?;
    let paths = ["/model", "/pool", "/by-model", "/keyed", "/guarded"];
    for path in paths {
        let answer = ask(&site, path).await?;
        assert!(matches!(answer.status, 500 | 503), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(mock.recording().take().len(), 0, "nothing passed");
    replica.stop().await?;

    let replica = Replica::start(&site, Some(module), source, &objects).await?;
    for path in paths {
        eventually(DEADLINE, || async {
            let answer = ask(&site, path).await?;
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
            anyhow::Ok(())
        })
        .await?;
    }
    mock.recording().take();
    let no_key = post_json(site.gateway, "ai.example", "/keyed", &[], &chat("hello")).await?;
    assert_eq!(no_key.status, 401, "{}", no_key.text());
    let guarded = ask_for(&site, "/guarded", "a forbidden word").await?;
    assert_eq!(guarded.status, 403, "{}", guarded.text());
    assert_eq!(mock.recording().take().len(), 0, "nothing passed");
    assert_eq!(replica.refused(), []);
    Ok(())
}

/// A fetch that fails, and one that brings another file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_module_no_request_passes_and_nothing_else_is_affected() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let module = module(folder.path(), b"")?;
    for is_there in [false, true] {
        let (site, mock) = (Site::new()?, MockLlm::start().await?);
        let good = site.source(&module);
        let ModuleSource::Remote(remote) = good.clone() else { panic!("it is not fetched") };
        let sha256 = "0".repeat(64);
        let uri = if is_there { remote.uri.clone() } else { remote.uri.replace(&remote.sha256, &sha256) };
        let wrong = ModuleSource::Remote(RemoteModule { uri, sha256, ..remote });
        let replica = Replica::start(&site, Some(module.clone()), wrong, &objects(&site, &mock)).await?;
        let _envoy = site.envoy().await?;
        let told = eventually(DEADLINE, || async {
            let answer = ask(&site, "/plain").await?;
            ensure!(!mock.recording().take().is_empty(), "{}: it is not served", answer.status);
            let refused = replica.refused();
            ensure!(refused.iter().any(|(objects, _)| !objects.is_empty()), "nothing is told");
            anyhow::Ok(refused)
        })
        .await?;
        // That of the cluster with which the proxy shows that it has the module is nobody's.
        let of_objects: Vec<_> = told.iter().filter(|(objects, _)| !objects.is_empty()).collect();
        let [(objects, message)] = &of_objects[..] else { panic!("{told:?}") };
        assert_eq!(objects.len(), 1, "{objects:?}");
        assert!(objects[0].contains("default/model"), "{objects:?}");
        assert!(message.contains("does not get the module of the AI engine"), "{message}");
        assert_eq!(ask(&site, "/model").await?.status, 500);
        assert_eq!(mock.recording().take().len(), 0, "nothing passed");
        assert_eq!(site.cached()?, [""; 0]);

        replica.set_source(good);
        wait_until_served(&site, &mock).await?;
        eventually(DEADLINE, || async {
            ensure!(replica.refused().is_empty(), "{:?}", replica.refused());
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_with_another_module_takes_over_under_load() -> Result<()> {
    let (site, mock) = (Site::new()?, MockLlm::start().await?);
    let objects = objects(&site, &mock);
    let folder = tempfile::tempdir()?;
    let (old, new) = (module(folder.path(), b"")?, module(folder.path(), b"another version")?);
    let replica = Replica::start(&site, Some(old.clone()), site.source(&old), &objects).await?;
    let mut envoy = site.envoy().await?;
    wait_until_served(&site, &mock).await?;
    let load = Load {
        address: site.gateway,
        host: "ai.example".to_owned(),
        path: "/model".to_owned(),
        rate: NonZeroU32::new(100).expect("not zero"),
    };
    let load = load.start_posting(&chat("hello"))?;
    replica.stop().await?;
    // The old replica still answers at first, and has not what the new one names.
    let replica = Replica::start(&site, Some(old), site.source(&new), &objects).await?;
    eventually(DEADLINE, || async {
        ensure!(!replica.refused().is_empty(), "nothing is told");
        anyhow::Ok(())
    })
    .await?;
    replica.stop().await?;
    let replica = Replica::start(&site, Some(new.clone()), site.source(&new), &objects).await?;
    let before = load.progress().finished();
    eventually(DEADLINE, || async {
        ensure!(site.cached()?.len() == 2, "it is not fetched");
        let dump = envoy.admin().config_dump().await?.to_string();
        let ModuleSource::Remote(remote) = site.source(&new) else { panic!("it is not fetched") };
        ensure!(dump.contains(&remote.sha256), "the cluster is the old one");
        anyhow::Ok(())
    })
    .await?;
    eventually(DEADLINE, || async {
        ensure!(load.progress().finished() > before + 200, "too few requests");
        ensure!(replica.refused().is_empty(), "{:?}", replica.refused());
        anyhow::Ok(())
    })
    .await?;
    let report = load.stop().await?;
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.succeeded() > 200, "{report}");
    assert_eq!(loaded(&mut envoy)?.len(), 2, "each version once");
    tokio::time::timeout(Duration::from_secs(10), replica.stop()).await?
}
