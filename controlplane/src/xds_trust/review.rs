//! Asks the API server whose token it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;

use super::token::BearerToken;

/// A review that takes longer has failed.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Reviews at a time: a flood of tokens must not become a flood at the API server.
const MAX_REVIEWS: usize = 16;

/// Where TokenReview puts the UID of the pod that a token is bound to.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceAccount {
    /// Reads `system:serviceaccount:NAMESPACE:NAME`.
    fn from_username(username: &str) -> Option<Self> {
        let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let is_fine = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
        is_fine.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The service account that it speaks for.
    pub service_account: ServiceAccount,
    /// The UID of the pod that it is bound to.
    pub pod: Option<String>,
}

/// What a review says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is genuine, valid at this time, and made for us.
    Genuine(Reviewed),
    /// It is not.
    Rejected,
}

/// The API server gave no answer. Names no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// Finds out whose token it is.
pub trait TokenReviewer: Send + Sync + 'static {
    /// Reviews `token` for our audience.
    fn review<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>>;
}

/// Reviews by the API server's TokenReview.
pub struct KubeTokenReviewer {
    reviews: Api<TokenReview>,
    audience: String,
    permits: Semaphore,
}

impl KubeTokenReviewer {
    /// Asks for tokens made for `audience`.
    pub fn new(client: kube::Client, audience: impl Into<String>) -> Self {
        Self { reviews: Api::all(client), audience: audience.into(), permits: Semaphore::new(MAX_REVIEWS) }
    }

    async fn ask(&self, token: &BearerToken) -> Result<Verdict, Unavailable> {
        let unavailable = |error: &dyn fmt::Display| Unavailable(error.to_string());
        let _permit = self.permits.acquire().await.map_err(|error| unavailable(&error))?;
        let spec = TokenReviewSpec {
            audiences: Some(vec![self.audience.clone()]),
            token: token.expose().to_owned(),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = self.reviews.create(&PostParams::default(), &review).await;
        let status = review.map_err(|error| unavailable(&error))?.status.unwrap_or_default();
        Ok(verdict(status, &self.audience))
    }
}

impl TokenReviewer for KubeTokenReviewer {
    fn review<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>> {
        Box::pin(async {
            let late = |_| Err(Unavailable("the API server did not answer in time".to_owned()));
            tokio::time::timeout(REVIEW_TIMEOUT, self.ask(token)).await.unwrap_or_else(late)
        })
    }
}

/// An authenticator that knows no audiences answers without any: then the token may have been made for
/// somebody else, and does not count.
fn verdict(status: TokenReviewStatus, audience: &str) -> Verdict {
    let TokenReviewStatus { audiences, authenticated, error: _, user } = status;
    let is_ours = audiences.unwrap_or_default().iter().any(|named| named == audience);
    if authenticated != Some(true) || !is_ours {
        return Verdict::Rejected;
    }
    let user = user.unwrap_or_default();
    let Some(service_account) = user.username.as_deref().and_then(ServiceAccount::from_username) else {
        return Verdict::Rejected;
    };
    let pod = user.extra.and_then(|mut extra| extra.remove(POD_UID)?.into_iter().next());
    Verdict::Genuine(Reviewed { service_account, pod })
}

#[cfg(test)]
mod tests;
