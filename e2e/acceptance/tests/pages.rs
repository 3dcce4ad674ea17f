//! The commands of docs/cluster.md, run in a cluster as they are written: what they name exists, and they do what the page says.

use std::fs;

use acceptance::{EchoGateway, SYSTEM, Setup, World, workspace};
use e2e::page;

/// What a person has at hand: the tools, the image in the place of the published one, and patience.
fn surroundings(world: &World) -> String {
    let helm = world.cluster.tools().program("helm");
    let tools = helm.parent().expect("a folder").display();
    let kubeconfig = world.cluster.kubeconfig();
    format!(
        "set -eu\ncd '{}'\nexport PATH='{tools}':$PATH KUBECONFIG='{}'\n\
         helm() {{ [ $1 != install ] || set -- \"$@\" --wait --set image.repository=chancery --set image.tag=dev; command helm \"$@\"; }}\n",
        workspace().display(),
        kubeconfig.display()
    )
}

/// Runs commands in the folder of the project, and gives what they print.
fn run(world: &World, commands: &str) -> String {
    let script = surroundings(world) + commands;
    let output = world.cluster.inside("bash").args(["-c", &script]).output();
    let output = output.expect("bash");
    let (printed, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{commands}\n{printed}\n{log}", output.status);
    printed.into_owned()
}

#[test]
fn the_commands_of_the_page_on_clusters_do_what_it_says() {
    let world = World::start(&Setup { install: false, ..Setup::default() });
    world.prepare();
    let _guard = world.cluster.keep_logs_on_panic();
    let page = fs::read_to_string(workspace().join("docs/cluster.md")).expect("the page");
    // `make` builds a cluster like the one that this is.
    let mut steps =
        page::steps(&page).into_iter().map(|step| step.commands).filter(|block| !block.contains("make "));
    let mut next = |what: &str| {
        let block = steps.next().unwrap_or_default();
        assert!(block.contains(what), "a block with {what}, not\n{block}");
        block
    };

    let classes = run(&world, &next("helm install chancery"));
    assert!(classes.contains("chancery") && classes.contains("chancery.dev/gateway-controller"), "{classes}");
    run(&world, &next("helm install team-a"));
    let class = ["gatewayclass", "team-a"];
    world.wait_for_condition(&class, ".status.conditions", "Accepted", "True Accepted");

    let gateway = EchoGateway::new("shop");
    gateway.deploy_backend(&world);
    let address = gateway.deploy_gateway(&world);
    acceptance::wait_for_answer(&world, &address, EchoGateway::HOST);
    // What goes on until it is ended is given the time that a look takes.
    let look = next("port-forward").replace(
        "9093 ",
        "9093 & until curl --silent --fail localhost:9093/readyz; do sleep 0.2; done; kill $! ",
    );
    let seen = run(&world, &look);
    assert!(seen.contains("gateway.gateway.networking.k8s.io/") && seen.contains("httproute"), "{seen}");

    let gone = run(&world, &next("helm uninstall"));
    assert!(gone.contains("deleted") && gone.contains("uninstalled"), "{gone}");
    let left = world.cluster.kubectl(&["get", "deployments", "-n", SYSTEM, "-o", "name"]).expect("a list");
    assert_eq!(left.trim(), "");
    assert!(steps.next().is_none(), "a block of which nothing is known");
}
