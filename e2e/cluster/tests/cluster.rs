//! smoke
use cluster::{Cluster, Options, Tools, images};
use std::time::Instant;

#[test]
fn smoke() {
    let t = Instant::now();
    let tools = Tools::locate().unwrap();
    let envoy = images::envoy(&tools).unwrap();
    eprintln!("image {:?}", t.elapsed());
    let t = Instant::now();
    let cluster = Cluster::start(&Options { images: vec![envoy], ..Options::default() }).unwrap();
    eprintln!("up {:?}", t.elapsed());
    eprintln!("{}", cluster.kubectl(&["get", "pods,nodes,svc", "-A", "-o", "wide"]).unwrap());
    let t = Instant::now();
    drop(cluster);
    eprintln!("down {:?}", t.elapsed());
}
