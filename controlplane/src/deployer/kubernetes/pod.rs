//! What a pod says of itself, in one line that stays the same while nothing changes. Pure.
//!
//! The line goes into a status, and each change of it is a write: so it has no restart counts, times, ids of
//! containers or waits, and the states between which a failing pod swings (started, ended, waiting to be started
//! again; pulling an image, waiting to pull it again) are told in the same words.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus};

/// The most of a text of others that is told, in characters.
const LONGEST_TEXT: usize = 300;

/// What keeps a pod from being ready.
///
/// The order is that in which one of several pods is chosen to be told about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    rank: Rank,
    text: String,
}

/// How much a trouble explains: what a person must put right stands above what may pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It was told to end, or has ended for good; the Deployment makes another.
    Over,
    /// It may become ready by itself.
    Starting,
    /// No node takes it.
    Unscheduled,
    /// A container cannot be started, or does not stay.
    Broken,
}

impl Trouble {
    fn new(rank: Rank, text: impl Into<String>) -> Self {
        Self { rank, text: text.into() }
    }

    pub(super) fn rank(&self) -> impl Ord + use<> {
        self.rank
    }

    /// Whether the pod has ended or is ending: what it says is of no importance when there is something else.
    pub(super) fn is_over(&self) -> bool {
        self.rank == Rank::Over
    }

    /// In words, to follow the pod's name.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// What keeps a pod from being ready. A pod that is ready has only to be counted yet.
pub(super) fn trouble(pod: &Pod) -> Trouble {
    if pod.metadata.deletion_timestamp.is_some() {
        return Trouble::new(Rank::Over, "is being deleted");
    }
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let phase = status.phase.as_deref().unwrap_or("Pending");
    if matches!(phase, "Failed" | "Succeeded") {
        let reason = status.reason.as_deref().unwrap_or("it has ended");
        return Trouble::new(Rank::Over, format!("is {phase}: {}", told(reason, status.message.as_deref())));
    }
    if let Some(condition) = condition(status, "PodScheduled").filter(|condition| condition.status == "False")
    {
        let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
        let why = condition.message.as_deref().map_or_else(|| reason.to_owned(), of_scheduler);
        return Trouble::new(Rank::Unscheduled, format!("is {phase}: {why}"));
    }
    let first = status.init_container_statuses.iter().flatten();
    let all = first.chain(status.container_statuses.iter().flatten());
    let mut worst: Vec<(Rank, String)> = all.filter_map(of_container).collect();
    // The kubelet's order of containers is that of the spec; ours depends on nothing.
    worst.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    if let Some((rank, text)) = worst.into_iter().next() {
        return Trouble::new(rank, format!("is {phase}: {text}"));
    }
    let ready = condition(status, "Ready").filter(|condition| condition.status == "False");
    let why = ready.and_then(|condition| {
        let reason = condition.reason.as_deref().filter(|reason| *reason != "ContainersNotReady")?;
        Some(told(reason, condition.message.as_deref()))
    });
    Trouble::new(
        Rank::Starting,
        format!("is {phase}: {}", why.unwrap_or_else(|| "it is not ready yet".to_owned())),
    )
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// What is wrong with a container; `None` if nothing is.
fn of_container(container: &ContainerStatus) -> Option<(Rank, String)> {
    let name = &container.name;
    let state = container.state.as_ref();
    let ended = state.and_then(|state| state.terminated.as_ref());
    // An init container that has done its work.
    let is_done = ended.is_some_and(|ended| ended.exit_code == 0 && container.ready);
    if container.ready || is_done {
        return None;
    }
    let before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting.message.as_deref());
    let of = |what: String| format!("container {name}: {what}");
    Some(match reason {
        "ErrImagePull" | "ImagePullBackOff" => {
            // Not with the message: older kubelets leave the cause out while they wait for the next attempt, and a
            // registry's answer may hold an address that is signed for whoever has it.
            (Rank::Broken, of(format!("ErrImagePull: image {:?} cannot be pulled", container.image)))
        }
        "" | "CrashLoopBackOff" | "ContainerCreating" | "PodInitializing" | "RunContainerError" => {
            match ended.or(before) {
                // Of a container that ends again and again, each start is no news.
                Some(ended) => (Rank::Broken, of(format!("CrashLoopBackOff: {}", ending(ended)))),
                None if matches!(reason, "CrashLoopBackOff" | "RunContainerError") => {
                    (Rank::Broken, of("CrashLoopBackOff: it does not stay".to_owned()))
                }
                None if reason.is_empty() => (Rank::Starting, of("it is not ready yet".to_owned())),
                None => (Rank::Starting, of(reason.to_owned())),
            }
        }
        reason => (Rank::Broken, of(told(reason, message))),
    })
}

/// `it ended with exit code 1 (Error)`.
fn ending(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("it ended with exit code {}{reason}", ended.exit_code)
}

/// A reason with its message.
fn told(reason: &str, message: Option<&str>) -> String {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", stable(message)),
        None => reason.to_owned(),
    }
}

/// What the scheduler says, without how many nodes it says it of, which changes with every node and every other pod:
/// `0/3 nodes are available: 2 Insufficient cpu, 1 node(s) were unschedulable. preemption: …` comes to `no nodes are
/// available: Insufficient cpu, node(s) were unschedulable`.
fn of_scheduler(message: &str) -> String {
    const NODES: &str = "nodes are available: ";
    let Some((_, causes)) = message.split_once(NODES) else { return stable(message) };
    let causes = causes.split("preemption:").next().unwrap_or_default();
    let causes = causes.split(", ").flat_map(|cause| cause.split(". ")).map(|cause| {
        let cause = cause.trim().trim_end_matches([',', '.']);
        match cause.split_once(' ') {
            Some((count, cause)) if count.bytes().all(|byte| byte.is_ascii_digit()) => cause,
            _ => cause,
        }
    });
    // What it says of every pod that it cannot place.
    let causes = causes.filter(|cause| !cause.is_empty() && !cause.starts_with("no new claims"));
    stable(&format!(
        "no {NODES}{}",
        causes.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
    ))
}

/// A text of others without what is other each time, such as the id of a container, and not too long.
pub(super) fn stable(text: &str) -> String {
    const SHORTEST_ID: usize = 12;
    let is_id = |word: &str| word.len() >= SHORTEST_ID && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if is_id(bare) { word.replace(bare, "...") } else { word.to_owned() }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
