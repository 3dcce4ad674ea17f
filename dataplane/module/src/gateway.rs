//! The filter of a listener. Routes enable it that are chosen by the model of a request: it reads the model, puts it into a
//! header, and has the route chosen again. Routes to pools enable it, too: it has members that are ejected passed over. It
//! also answers requests for a route's list of models.

use std::sync::Arc;

use ai::exchange::Refusal;
use ai::metadata::Metadata;
use ai::model_routing::{self, Named};
use ai::prices::Prices;
use ai_config::{
    GROUPS_NAMESPACE, GatewayConfig, METADATA_NAMESPACE, MODEL_HEADER, MODEL_READ_KEY, MODELS_KEY, POOL_KEY,
    Pool, VERSION,
};

use crate::abi::{Definer, HeaderMap, MetadataSource, Scope, Stream};
use crate::ejection;
use crate::holding::Holding;
use crate::metrics::{self, Metrics};
use crate::placement::{self, BodyStatus, HeadersStatus, text};
use crate::prices;

/// A configuration: what is done for a gateway.
#[derive(Debug)]
pub(crate) struct Config {
    gateway: GatewayConfig,
    scope: Scope,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not one that this module understands.
    pub(crate) fn new(settings: &[u8], definer: &mut Definer) -> Result<Self, String> {
        let mut gateway: GatewayConfig =
            serde_json::from_slice(settings).map_err(|error| error.to_string())?;
        placement::check_version(gateway.version)?;
        let metrics =
            Metrics::define(definer, &gateway.metric_labels).ok_or("Envoy does not define its metrics")?;
        let scope = definer.scope();
        metrics::share(scope, metrics);
        prices::share(scope, Prices::new(std::mem::take(&mut gateway.prices)));
        Ok(Self { gateway, scope })
    }

    /// Envoy is about to forget it.
    pub(crate) fn end(&self) {
        metrics::end_sharing(self.scope);
        prices::end_sharing(self.scope);
    }
}

/// One request, whose body may be held back for its model.
#[derive(Debug)]
pub(crate) struct Filter {
    config: Arc<Config>,
    request: Holding<()>,
}

impl Filter {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, request: Holding::new() }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        self.request.give_up();
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        if let Some(models) = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, MODELS_KEY) {
            let models = serde_json::from_slice::<Vec<String>>(models).unwrap_or_default();
            let body = model_routing::list(&models, text(stream, ":path"));
            self.give_up();
            stream.respond(200, "application/json", &body, "chancery_ai_models");
            return HeadersStatus::Stop;
        }
        if leads_to_pool(stream) {
            return HeadersStatus::Continue;
        }
        // Whatever the client says there is not what it asks for.
        stream.remove_header(HeaderMap::Request, MODEL_HEADER);
        let schema = placement::schema(stream);
        let has_body = !end && !matches!(text(stream, ":method"), "GET" | "HEAD" | "OPTIONS");
        match model_routing::named(text(stream, ":path")) {
            Ok(Named::ByPath(model)) => choose(stream, Some(&model)),
            Ok(Named::ByBody) if !has_body => choose(stream, None),
            Ok(Named::ByBody) => {
                if placement::is_encoded(stream) {
                    return self
                        .request
                        .refuse(stream, &Refusal::encoded(schema, "the route is chosen by the model"));
                }
                return self.request.hold(stream, (), schema);
            }
            Err(refusal) => return self.request.refuse(stream, &refusal),
        }
        HeadersStatus::Continue
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let limit = self.config.gateway.max_request_bytes;
        self.request.on_body(stream, limit, end, |stream, (), schema, body| {
            choose(stream, model_routing::named_by(body, schema)?.as_deref());
            Ok(())
        })
    }

    pub(crate) fn on_request_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        self.request.on_trailers(stream)
    }
}

/// Has the route chosen by the model.
fn choose(stream: &mut Stream, model: Option<&str>) {
    if let Some(model) = model {
        stream.set_header(HeaderMap::Request, MODEL_HEADER, model.as_bytes());
    }
    let mut read = Metadata::new();
    read.text(MODEL_READ_KEY, "true");
    stream.set_metadata(METADATA_NAMESPACE, &read);
    stream.clear_route_cache();
    if ejection::is_any_ejected() {
        stream.choose_route();
        leads_to_pool(stream);
    }
}

/// Whether the route leads to a pool. Members that are ejected are passed over then.
fn leads_to_pool(stream: &mut Stream) -> bool {
    let Some(pool) = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, POOL_KEY) else {
        return false;
    };
    if !ejection::is_any_ejected() {
        return true;
    }
    // A pool that cannot be read keeps the order that Envoy has.
    let pool = serde_json::from_slice::<Pool>(pool).ok().filter(|pool| pool.version == VERSION);
    let groups = pool.and_then(|pool| {
        ejection::with_ejected(|is_ejected| ai::ejection::groups_without(&pool, is_ejected))
    });
    if let Some(groups) = groups {
        stream.set_metadata(GROUPS_NAMESPACE, &groups);
        stream.refresh_cluster();
    }
    true
}
