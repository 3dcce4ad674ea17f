//! Certificates that are renewed under load.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::load::Load;
use e2e::provider::TestAuthority;
use e2e::tls_client;

use e2e::manifests::gateway_with;

use crate::world::{https, route, secret, service};

const HOST: &str = "a.example.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_hundred_renewals_under_load_lose_no_request() -> Result<()> {
    const RENEWALS: usize = 100;
    const RATE: u32 = 500;
    let authority = TestAuthority::generate()?;
    let backend = EchoBackend::start("web").await?;
    let objects = [
        gateway_with("gw", "", &[https("https", HOST, "cert")]),
        service("web", backend.address()),
        route("r", "gw", "", "web"),
    ];
    let first = secret("cert", &authority.issue(&[HOST])?);
    let fixture = Fixture::start(&[("all.yaml", &objects.concat()), ("cert.yaml", &first)]).await?;
    let address = fixture.address();
    let config = authority.client_config()?;
    let rate = NonZeroU32::new(RATE).unwrap();
    let load = Load { address, host: HOST.into(), path: "/".into(), rate }.start_tls(config.clone())?;
    let mut slowest = Duration::ZERO;
    for renewal in 1..=RENEWALS {
        let issued = authority.issue(&[HOST])?;
        let saved = Instant::now();
        fixture.save("cert.yaml", &secret("cert", &issued))?;
        eventually(DEADLINE, || async {
            let shown = tls_client::certificate(address, HOST, &config).await?;
            ensure!(shown == issued.der(), "renewal {renewal} is not shown yet");
            anyhow::Ok(())
        })
        .await?;
        slowest = slowest.max(saved.elapsed());
    }
    let report = load.stop().await?;
    println!("{RENEWALS} renewals, the slowest shown after {slowest:?}; {report}");
    assert_eq!(report.failed(), 0, "{report:#?}\n{}", fixture.chancery.log());
    assert!(report.finished() > u64::from(RATE), "only {} requests: no load", report.finished());
    // A renewal changes no listener, so no connection is drained for it.
    assert!(report.connections <= 100, "{} connections", report.connections);
    assert!(slowest < Duration::from_secs(1), "{slowest:?} until a new certificate was shown");
    Ok(())
}
