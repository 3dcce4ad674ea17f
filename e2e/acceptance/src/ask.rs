//! Requests from inside the cluster's network, without a process for each of them.

use std::net::SocketAddr;
use std::time::Instant;

use cluster::Error;
use e2e::http::post_json;
use serde_json::Value;

use crate::{Answer, DEADLINE, QUESTION, World, header};

impl World {
    /// Posts the guides' request to a path.
    ///
    /// # Errors
    /// No answer.
    pub fn ask(&self, address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
        let path = path.to_owned();
        let question: Value = serde_json::from_str(QUESTION)?;
        let credential = [("authorization", "Bearer client-secret")];
        let answer = self.network.run(async move {
            post_json(address, &address.to_string(), &path, &credential, &question).await
        })?;
        Ok(Answer { status: answer.status, body: answer.text() })
    }

    /// Asks until the answer has this status; gives the body.
    ///
    /// # Panics
    /// It does not within the deadline.
    pub fn ask_until(&self, address: SocketAddr, path: &str, wanted: u16) -> String {
        let started = Instant::now();
        let answer = || match self.ask(address, path) {
            Ok(Answer { status, body }) if status == wanted => Ok(body),
            Ok(Answer { status, body }) => Err(Error::Unexpected(format!("{status}: {body}"))),
            Err(error) => Err(Error::Unexpected(error.to_string())),
        };
        let what = format!("{wanted} of {address}{path}");
        let body = self.cluster.wait_until(&what, DEADLINE, answer).expect("the answer");
        println!("{what}: after {:.2} s", started.elapsed().as_secs_f64());
        body
    }

    /// The requests that reached the stand-in for Gemini with this key and no other.
    #[must_use]
    pub fn provider_requests_with(&self, key: &str) -> Vec<Value> {
        let requests = self.provider_requests().into_iter();
        requests.filter(|request| header(request, "x-goog-api-key") == [key]).collect()
    }
}
