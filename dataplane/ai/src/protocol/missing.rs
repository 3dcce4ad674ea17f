//! Reports of fields of a request that several providers' protocols have no place for.

use super::lost::Lost;
use super::model::Request;

/// Where the provider has neither a seed nor penalties.
pub(super) fn seed_and_penalties(request: &Request, provider: &str, lost: &mut Lost) {
    let missing = [
        (&request.seed, "seed"),
        (&request.presence_penalty, "presence penalty"),
        (&request.frequency_penalty, "frequency penalty"),
    ];
    for (field, name) in missing {
        if let Some(field) = field {
            lost.add(&field.path, format!("{provider} has no {name}"));
        }
    }
}

/// Where the provider neither limits a model to one tool call at a time nor takes an identifier of the user.
pub(super) fn parallel_tools_and_user(request: &Request, provider: &str, lost: &mut Lost) {
    if let Some(parallel) = request.parallel_tools.as_ref().filter(|field| !field.value) {
        lost.add(&parallel.path, format!("{provider} cannot tell a model to call one tool at a time"));
    }
    if let Some(user) = &request.user {
        lost.add_harmless(&user.path, format!("{provider} has no identifier of the user"));
    }
}

/// What only OpenAI has: a verbosity, and names of participants.
pub(super) fn verbosity_and_names(request: &Request, provider: &str, lost: &mut Lost) {
    if let Some(verbosity) = &request.verbosity {
        lost.add(&verbosity.path, format!("{provider} has no verbosity"));
    }
    for name in request.messages.iter().filter_map(|message| message.name.as_ref()) {
        lost.add(&name.path, format!("{provider} has no names of participants"));
    }
}
