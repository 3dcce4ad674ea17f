//! What the translation found out about each object.

use std::fmt;

use crds::ObjectRef;
use crds::gateway_api::part::ParentRef;
use ir::GatewayName;

use super::{BudgetFacts, Condition, ConditionType, Detail, Reason};

/// The facts about one object that its status shall tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whose status it is.
    pub object: ObjectRef,
    /// The generation of the object that these facts are about.
    pub generation: i64,
    /// The facts.
    pub facts: Facts,
}

/// The facts, in the shape that the kind's status has.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// A list of conditions (Backend, Upstream).
    Conditions(Vec<Condition>),
    /// A Budget.
    Budget(BudgetFacts),
    /// A GatewayClass.
    Class(ClassFacts),
    /// A Gateway.
    Gateway(GatewayFacts),
    /// A ListenerSet.
    ListenerSet(ListenerSetFacts),
    /// A route: one entry per parent of ours.
    Route(Vec<ParentFacts>),
    /// A policy: one entry per ancestor of ours, which is a Gateway (Gateway API, `PolicyStatus.ancestors`).
    Policy(Vec<ParentFacts>),
    /// An XBackend: one entry per Gateway of ours with a route that names it.
    XBackend(XBackendForm, Vec<ParentFacts>),
}

/// Which release of Gateway API an XBackend is written for: its status has another shape in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XBackendForm {
    /// 1.6: `parents`, each with a `parentRef`.
    V1_6,
    /// 1.7: `ancestors`, each with an `ancestorRef`.
    V1_7,
}

/// The facts about a GatewayClass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassFacts {
    /// About the class.
    pub conditions: Vec<Condition>,
    /// What its Gateways can do, by Gateway API's names; sorted.
    pub supported_features: Vec<&'static str>,
}

/// The facts about a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayFacts {
    /// Where it can be reached.
    pub addresses: Vec<StatusAddress>,
    /// About the Gateway as a whole.
    pub conditions: Vec<Condition>,
    /// About each of its listeners, in the order of the spec.
    pub listeners: Vec<ListenerFacts>,
    /// How many ListenerSets add listeners that are valid.
    pub attached_listener_sets: i32,
}

/// The facts about a ListenerSet.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSetFacts {
    /// The Gateway that takes its listeners; `None` where none does.
    pub gateway: Option<GatewayName>,
    /// About the ListenerSet as a whole.
    pub conditions: Vec<Condition>,
    /// About each of its listeners, in the order of the spec; none if the Gateway does not take them.
    pub listeners: Vec<ListenerFacts>,
}

impl ListenerSetFacts {
    /// Of one of which no Gateway takes a listener.
    pub(crate) fn unserved(conditions: Vec<Condition>) -> Self {
        Self { gateway: None, conditions, listeners: Vec::new() }
    }
}

/// Where a Gateway can be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusAddress {
    /// An IP address.
    Ip(String),
    /// A DNS name.
    Hostname(String),
}

/// The facts about one listener of a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerFacts {
    /// The listener's name.
    pub name: String,
    /// Its port; `None` if the number is no port.
    pub port: Option<u16>,
    /// The kinds of routes that may attach, as (group, kind).
    pub supported_kinds: Vec<(String, String)>,
    /// How many routes are attached and accepted.
    pub attached_routes: i32,
    /// About the listener.
    pub conditions: Vec<Condition>,
}

/// The facts about a route at one of its parents, or about a policy at one of its ancestors.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentFacts {
    /// The reference: of a route exactly as it writes it.
    pub parent_ref: ParentRef,
    /// About the route at this parent.
    pub conditions: Vec<Condition>,
}

/// One thing that is wrong with an object, in one line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object.
    pub object: ObjectRef,
    /// The part of the object: a listener, a parent; empty for the whole.
    pub part: String,
    /// The type of the condition that says so.
    pub kind: ConditionType,
    /// Its value.
    pub status: bool,
    /// Its reason.
    pub reason: Reason,
    /// What is wrong. Its field is a path from the object on.
    pub detail: Detail,
}

impl Facts {
    /// The same with a condition in place of those of its type: the object's own, or a route's at each parent.
    #[must_use]
    pub fn with_condition(mut self, condition: &Condition) -> Self {
        let put = |conditions: &mut Vec<Condition>| {
            conditions.retain(|other| other.kind != condition.kind);
            conditions.insert(0, condition.clone());
        };
        match &mut self {
            Self::Conditions(conditions) | Self::Budget(BudgetFacts { conditions, .. }) => put(conditions),
            Self::Class(class) => put(&mut class.conditions),
            Self::Gateway(gateway) => put(&mut gateway.conditions),
            Self::ListenerSet(set) => put(&mut set.conditions),
            Self::Route(parents) | Self::Policy(parents) | Self::XBackend(_, parents) => {
                parents.iter_mut().for_each(|parent| put(&mut parent.conditions))
            }
        }
        self
    }
}

impl Report {
    /// Every condition with the part of the object that it is about (empty for the whole).
    pub fn conditions(&self) -> impl Iterator<Item = (String, &Condition)> {
        let mut all: Vec<(String, &Condition)> = Vec::new();
        match &self.facts {
            Facts::Conditions(conditions)
            | Facts::Budget(BudgetFacts { conditions, .. })
            | Facts::Class(ClassFacts { conditions, .. }) => {
                all.extend(conditions.iter().map(|c| (String::new(), c)));
            }
            Facts::Gateway(GatewayFacts { conditions, listeners, .. })
            | Facts::ListenerSet(ListenerSetFacts { conditions, listeners, .. }) => {
                all.extend(conditions.iter().map(|c| (String::new(), c)));
                for listener in listeners {
                    let part = format!("{LISTENER}{}", listener.name);
                    all.extend(listener.conditions.iter().map(|c| (part.clone(), c)));
                }
            }
            Facts::Route(parents) | Facts::Policy(parents) | Facts::XBackend(_, parents) => {
                let role = if matches!(self.facts, Facts::Route(_)) { "parent" } else { "ancestor" };
                for parent in parents {
                    let part = format!("{role} {}", parent_name(&parent.parent_ref));
                    all.extend(parent.conditions.iter().map(|c| (part.clone(), c)));
                }
            }
        }
        all.into_iter()
    }

    /// What is wrong with the object: each thing once, however many conditions say it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for (part, condition) in self.conditions().filter(|(_, condition)| condition.says_something_wrong()) {
            let whole = [Detail::new(condition.message.clone())];
            let details = if condition.details.is_empty() { &whole } else { &*condition.details };
            for detail in details {
                let detail = Detail { field: self.whole_field(&part, &detail.field), ..detail.clone() };
                if !problems.iter().any(|known| known.detail == detail) {
                    problems.push(self.problem(&part, condition, detail));
                }
            }
        }
        problems
    }

    /// What is to be mended although it works.
    pub fn notes(&self) -> Vec<Problem> {
        let noted = self.conditions().filter(|(_, condition)| !condition.is_problem());
        let notes = noted.flat_map(|(part, condition)| {
            condition.details.iter().map(move |detail| self.problem(&part, condition, detail.clone()))
        });
        notes.collect()
    }

    fn problem(&self, part: &str, condition: &Condition, detail: Detail) -> Problem {
        let &Condition { kind, status, reason, .. } = condition;
        Problem { object: self.object.clone(), part: part.to_owned(), kind, status, reason, detail }
    }

    /// How many things are wrong with the object.
    pub fn problem_count(&self) -> usize {
        self.problems().len()
    }

    /// The path of a field from the object on. Fields of listeners are named from the listener on.
    fn whole_field(&self, part: &str, field: &str) -> String {
        let listeners = match &self.facts {
            Facts::Gateway(GatewayFacts { listeners, .. })
            | Facts::ListenerSet(ListenerSetFacts { listeners, .. }) => listeners,
            Facts::Conditions(_)
            | Facts::Budget(_)
            | Facts::Class(_)
            | Facts::Route(_)
            | Facts::Policy(_)
            | Facts::XBackend(..) => {
                return field.to_owned();
            }
        };
        let name = part.strip_prefix(LISTENER);
        let index = name.and_then(|name| listeners.iter().position(|listener| listener.name == name));
        match (index, field) {
            (None, field) => field.to_owned(),
            (Some(index), "") => format!("spec.listeners[{index}]"),
            (Some(index), field) => format!("spec.listeners[{index}].{field}"),
        }
    }

    /// The object's own condition of a type (not a listener's or a parent's).
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        let conditions = match &self.facts {
            Facts::Conditions(conditions)
            | Facts::Budget(BudgetFacts { conditions, .. })
            | Facts::Class(ClassFacts { conditions, .. }) => conditions,
            Facts::Gateway(gateway) => &gateway.conditions,
            Facts::ListenerSet(set) => &set.conditions,
            Facts::Route(_) | Facts::Policy(_) | Facts::XBackend(..) => return None,
        };
        conditions.iter().find(|condition| condition.kind == kind)
    }
}

/// What stands before the name of a listener where a part of a Gateway or a ListenerSet is named.
const LISTENER: &str = "listener ";

/// `ai-gateway` or `ai-gateway/http`, for messages.
fn parent_name(parent_ref: &ParentRef) -> String {
    let name = &*parent_ref.name;
    parent_ref.section_name.as_ref().map_or_else(|| name.to_owned(), |section| format!("{name}/{section}"))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, part, kind, status, reason, detail } = self;
        write!(f, "{object}: ")?;
        if !part.is_empty() {
            write!(f, "{part}: ")?;
        }
        let status = if *status { "True" } else { "False" };
        write!(f, "{kind}={status} ({reason}): {detail}")
    }
}
