//! The tools of the end-to-end tests, tested themselves.

mod ads_client;
mod echo;
mod envoy;
mod load;
mod mock_provider_binary;
mod process;
mod provider;
