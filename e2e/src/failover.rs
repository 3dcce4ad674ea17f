//! The example `examples/failover` with stand-ins for its two providers.

use std::path::PathBuf;

use anyhow::{Context, Result};
use mock_llm::{Knobs, MockLlm};

use crate::provider::TestAuthority;
use crate::workspace::workspace_root;

/// Stand-ins for OpenAI, which is at its limit, and for Anthropic, which answers. They stop when dropped.
#[derive(Debug)]
pub struct FailoverProviders {
    /// Instead of `api.openai.com`.
    pub openai: MockLlm,
    /// Instead of `api.anthropic.com`.
    pub anthropic: MockLlm,
}

impl FailoverProviders {
    /// Starts them with certificates of this authority.
    ///
    /// # Errors
    /// No port, or no certificate.
    pub async fn start(authority: &TestAuthority) -> Result<Self> {
        let loopback = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let start =
            async |name: &str| MockLlm::start_on(loopback, Some(authority.server_config(&[name])?)).await;
        let (openai, anthropic) = (start("api.openai.com").await?, start("api.anthropic.com").await?);
        openai.set_knobs(Knobs { status: Some(429), ..Knobs::default() });
        Ok(Self { openai, anthropic })
    }

    /// Values of `--connect-to` that lead to them.
    #[must_use]
    pub fn connect_to(&self) -> [String; 2] {
        [("api.openai.com", &self.openai), ("api.anthropic.com", &self.anthropic)].map(|(name, mock)| {
            let address = mock.address();
            format!("{name}:443:{}:{}", address.ip(), address.port())
        })
    }
}

/// The documents of the example by file name, with these keys in them.
///
/// # Errors
/// They cannot be read.
pub fn failover_documents(openai_key: &str, anthropic_key: &str) -> Result<Vec<(String, String)>> {
    let folder: PathBuf = workspace_root().join("examples/failover");
    let mut documents = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        let text = std::fs::read_to_string(&path)?;
        documents
            .push((name, text.replace("$OPENAI_KEY", openai_key).replace("$ANTHROPIC_KEY", anthropic_key)));
    }
    Ok(documents)
}
