//! From what the translation tells of objects to what is said of files: at the line of the field, each fact once, and
//! with what was probably meant.

use crds::ObjectRef;
use translator::status::{Cause, Problem, Report};

use crate::source::{Finding, Origins, Place, Severity, rule};

/// What is wrong with an object, and what is to be mended although it works.
pub fn findings(report: &Report, origins: &Origins) -> Vec<Finding> {
    let problems = report.problems().into_iter().filter(|problem| !follows(problem, origins));
    let problems = problems.map(|problem| finding(problem, Severity::Problem, origins));
    let notes = report.notes().into_iter().map(|note| finding(note, Severity::Warning, origins));
    problems.chain(notes).collect()
}

/// Services that routes lead to, and of which no file says where they run.
pub fn without_endpoints(services: impl IntoIterator<Item = ObjectRef>, origins: &Origins) -> Vec<Finding> {
    let found = services.into_iter().filter(|service| !origins.is_broken(service)).map(|service| {
        let name = &service.name;
        let message = format!(
            "has no endpoints here, since Deployments do not run outside a cluster: requests to it get 503; write an \
             EndpointSlice with the label kubernetes.io/service-name: {name}, or let the route lead to a Backend of \
             type Static"
        );
        Finding::new(place(&service, "", origins), Severity::Warning, rule::NO_ENDPOINTS, message).of(service)
    });
    found.collect()
}

/// Whether something only follows from what is told of another object.
fn follows(problem: &Problem, origins: &Origins) -> bool {
    match problem.detail.cause.as_deref() {
        Some(Cause::Missing(object)) => origins.is_broken(object),
        Some(Cause::Unusable(object)) => origins.get(object).is_some(),
        None => false,
    }
}

fn finding(problem: Problem, severity: Severity, origins: &Origins) -> Finding {
    let Problem { object, reason, detail, .. } = problem;
    let meant = match detail.cause.as_deref() {
        Some(Cause::Missing(missing)) => origins.meant_by(missing),
        _ => None,
    };
    let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    let message = detail.text + &hint;
    let place = place(&object, &detail.field, origins);
    Finding::new(place, severity, reason.as_str(), message).at(detail.field).of(object)
}

/// Where the field of an object stands; the object itself, if it comes from no file.
fn place(object: &ObjectRef, field: &str, origins: &Origins) -> Place {
    origins.get(object).map_or_else(Place::nowhere, |origin| origin.of(field))
}
