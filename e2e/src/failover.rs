//! The example `examples/failover` with stand-ins for its two providers.

use anyhow::Result;
use mock_llm::{Knobs, MockLlm};

use crate::examples::documents;
use crate::provider::TestAuthority;

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
    documents("failover", &[("OPENAI_KEY", openai_key), ("ANTHROPIC_KEY", anthropic_key)])
}
