//! Services that see requests and answers, as policies and extensions name them: checked, with what they refer to.

use crds::ObjectKey;
use crds::ext_proc::{self as spec, MetadataNamespaces, ProcessingContent, ProcessorRules, RouteCacheAction};
use crds::identity::BackendReference;
use crds::policy::http::{ExtensionName, Setting};
use ir::{BodyMode, MessageMode, Processing, ProcessingMode, Processor, ProcessorName, RouteAfter};

use super::extension;
use super::facts::{AskedProcessor, BackendKey};
use super::policy::rejection;
use super::view::View;
use crate::status::Rejection;

/// What a policy has a service see.
///
/// # Errors
/// It refers to what cannot be used. Nothing may be served without it.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    setting: &Setting<ProcessingContent>,
) -> Result<Setting<AskedProcessor>, Rejection> {
    let Setting::On(ProcessingContent { extension: ExtensionName { field, namespace, name }, mode }) =
        setting
    else {
        return Ok(Setting::Off);
    };
    let found = extension::of_policy(view, policy, namespace.as_deref(), name, |key, extension| {
        let (rules, backend) = extension.processor().map_err(rejection)?;
        service(view, key, &rules, &backend)
    });
    let (service, backend) = found.map_err(|error| error.within(field))?;
    let service = match mode {
        Some(mode) if mode.has_whole_bodies() => saying_lengths(service),
        _ => service,
    };
    let processing = Processing {
        processor: service.name.clone(),
        mode: mode.map_or(service.mode, read_mode),
        may_choose_route: service.route != RouteAfter::Kept,
    };
    Ok(Setting::On(AskedProcessor { processing, service: service.into(), backend }))
}

/// The service that an extension names.
///
/// # Errors
/// It cannot be asked.
pub(super) fn service(
    view: &impl View,
    owner: &ObjectKey,
    rules: &ProcessorRules,
    reference: &BackendReference,
) -> Result<(Processor, BackendKey), Rejection> {
    let (cluster, backend) = extension::grpc_cluster(view, owner, reference)?;
    let ProcessorRules {
        authority,
        fails_open,
        mode,
        other_modes,
        message_timeout,
        max_message_timeout,
        stat_prefix,
        route,
        metadata: MetadataNamespaces { typed, untyped },
    } = rules.clone();
    let kind = owner.kind.info().kind.to_ascii_lowercase();
    let service = Processor {
        name: ProcessorName::of_object(&kind, &owner.name.namespace, &owner.name.name),
        cluster,
        authority: authority.unwrap_or_else(|| extension::authority(owner, reference)),
        fails_open,
        mode: read_mode(mode),
        other_modes: other_modes.as_ref().map(|modes| modes.iter().copied().map(read_mode).collect()),
        message_timeout,
        max_message_timeout,
        stat_prefix,
        route: match route {
            RouteCacheAction::FromResponse => RouteAfter::AsAnswered,
            RouteCacheAction::Clear => RouteAfter::ChosenAgain,
            RouteCacheAction::Retain => RouteAfter::Kept,
        },
        typed_metadata: typed,
        untyped_metadata: untyped,
        sets_lengths: false,
    };
    let service = match mode.has_whole_bodies() || other_modes.is_some() {
        true => saying_lengths(service),
        false => service,
    };
    Ok((service, backend))
}

/// The service where it says the length of bodies.
fn saying_lengths(service: Processor) -> Processor {
    match service.sets_lengths {
        true => service,
        false => Processor { name: service.name.with_lengths(), sets_lengths: true, ..service },
    }
}

fn read_mode(spec::Mode { request, response }: spec::Mode) -> ProcessingMode {
    let message = |spec::MessageMode { headers, body, trailers }: spec::MessageMode| MessageMode {
        headers,
        body: match body {
            spec::BodyMode::None => BodyMode::None,
            spec::BodyMode::Streamed => BodyMode::Streamed,
            spec::BodyMode::Buffered => BodyMode::Whole,
            spec::BodyMode::BufferedPartial => BodyMode::Beginning,
            spec::BodyMode::FullDuplexStreamed => BodyMode::FullDuplex,
        },
        trailers,
    };
    ProcessingMode { request: message(request), response: message(response) }
}
