//! What RE2 does to an expression before it compiles it, as far as it changes the size of the program:
//! common beginnings of alternatives are taken out, neighbouring repetitions of one thing are joined, and
//! counted repetitions become sequences.

use crate::class::Class;
use crate::parse::{Assertion, Flags, Node};

/// The expression as RE2's parser leaves it.
pub(crate) fn normalise(node: Node) -> Node {
    match node {
        Node::Concat(nodes) => Node::Concat(flatten(nodes)),
        Node::Alternate(nodes) => {
            let mut flat = Vec::with_capacity(nodes.len());
            for node in without_subsumed(nodes.into_iter().map(normalise)) {
                match node {
                    Node::Alternate(inner) => flat.extend(inner),
                    node => flat.push(node),
                }
            }
            alternate(flat)
        }
        Node::Capture(node) => Node::Capture(Box::new(normalise(*node))),
        Node::Repeat { node, min, max, greedy, flags } => {
            Node::Repeat { node: Box::new(normalise(*node)), min, max, greedy, flags }
        }
        Node::Class(class) => {
            class.single().map_or(Node::Class(class), |byte| Node::Literal { byte, folded: false })
        }
        other => other,
    }
}

/// The parts of a sequence, those of sequences in it included. An empty part tells texts apart that RE2 does
/// not join: `a(?:b.)` has two texts, `a(?:b)` has one.
fn flatten(nodes: Vec<Node>) -> Vec<Node> {
    let mut flat: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut is_apart = false;
    for node in nodes {
        let inner = match normalise(node) {
            Node::Concat(inner) => inner,
            node => {
                if std::mem::take(&mut is_apart) {
                    flat.push(Node::Empty);
                }
                flat.push(node);
                continue;
            }
        };
        let is_text = is_one_text(&inner);
        if !flat.is_empty() && (is_apart || !is_text) {
            flat.push(Node::Empty);
        }
        flat.extend(inner);
        is_apart = !is_text;
    }
    flat
}

fn is_one_text(nodes: &[Node]) -> bool {
    let fold = |node: &Node| match node {
        Node::Literal { folded, .. } => Some(*folded),
        _ => None,
    };
    let first = nodes.first().and_then(fold);
    first.is_some() && nodes.iter().all(|node| fold(node) == first)
}

/// An expression whose repetitions are `*`, `+`, `?` and counted ones that nothing simplifies.
pub(crate) fn simplify(node: Node) -> Node {
    match node {
        Node::Concat(nodes) => Node::Concat(coalesce(nodes.into_iter().map(simplify).collect())),
        Node::Alternate(nodes) => Node::Alternate(nodes.into_iter().map(simplify).collect()),
        Node::Capture(node) => Node::Capture(Box::new(simplify(*node))),
        Node::Repeat { node, min, max, greedy, flags } => repeat(simplify(*node), min, max, (greedy, flags)),
        other => other,
    }
}

fn concat(mut nodes: Vec<Node>) -> Node {
    nodes.retain(|node| *node != Node::Empty);
    match nodes.len() {
        0 => Node::Empty,
        1 => nodes.pop().unwrap_or(Node::Empty),
        _ => Node::Concat(nodes),
    }
}

fn repeat(node: Node, min: u32, max: Option<u32>, (greedy, flags): (bool, Flags)) -> Node {
    if node == Node::Empty {
        return node;
    }
    let (min, max) = if is_place(&node) { (min.min(1), max.map(|max| max.min(1))) } else { (min, max) };
    match (min, max) {
        (_, Some(0)) => Node::Empty,
        (1, Some(1)) => node,
        (0 | 1, None) | (0, Some(1)) => operator(node, min, max, (greedy, flags)),
        _ => Node::Repeat { node: Box::new(node), min, max, greedy, flags },
    }
}

/// `*`, `+` or `?`. One of them on another, with the same flags, is one of them.
pub(crate) fn operator(node: Node, min: u32, max: Option<u32>, (greedy, flags): (bool, Flags)) -> Node {
    match node {
        Node::Repeat { node, min: inner_min, max: inner_max, greedy: inner_greedy, flags: inner_flags }
            if matches!((inner_min, inner_max), (0 | 1, None) | (0, Some(1)))
                && (inner_greedy, inner_flags) == (greedy, flags) =>
        {
            let (min, max) = if (min, max) == (inner_min, inner_max) { (min, max) } else { (0, None) };
            Node::Repeat { node, min, max, greedy, flags }
        }
        node => Node::Repeat { node: Box::new(node), min, max, greedy, flags },
    }
}

fn is_place(node: &Node) -> bool {
    match node {
        Node::Assertion(_) => true,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().all(is_place),
        _ => false,
    }
}

// --- Neighbouring repetitions ---

/// `a*a` is `a+`, and `a{2}a?` is `a{2,3}`.
fn coalesce(nodes: Vec<Node>) -> Vec<Node> {
    let mut joined: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        match joined.pop() {
            None => joined.push(node),
            Some(before) => match join(&before, &node) {
                Some(both) => joined.push(both),
                None => joined.extend([before, node]),
            },
        }
    }
    joined
}

fn join(before: &Node, node: &Node) -> Option<Node> {
    let Node::Repeat { node: single, min, max, greedy, flags } = before else { return None };
    if !matches!(**single, Node::Literal { .. } | Node::Class(_) | Node::AnyChar | Node::AnyByte) {
        return None;
    }
    let (more_min, more_max) = match node {
        Node::Repeat { node: other, min, max, greedy: same, .. } if other == single && same == greedy => {
            (*min, *max)
        }
        other if *other == **single => (1, Some(1)),
        _ => return None,
    };
    let max = max.zip(more_max).map(|(max, more)| max.saturating_add(more));
    Some(repeat((**single).clone(), min.saturating_add(more_min), max, (*greedy, *flags)))
}

// --- Alternatives ---

/// Beside an alternative that takes any character, one that takes a certain one is left out.
fn without_subsumed(nodes: impl Iterator<Item = Node>) -> Vec<Node> {
    let is_char = |node: &Node| matches!(node, Node::Literal { .. } | Node::Class(_) | Node::AnyChar);
    let mut kept: Vec<Node> = Vec::new();
    for node in nodes {
        match kept.last_mut() {
            Some(Node::AnyChar) if is_char(&node) => {}
            Some(before) if node == Node::AnyChar && is_char(before) => *before = node,
            _ => kept.push(node),
        }
    }
    kept
}

fn alternate(nodes: Vec<Node>) -> Node {
    let mut nodes = merge_single_bytes(factor(factor(nodes, leading_text), leading_piece));
    match nodes.len() {
        1 => nodes.pop().unwrap_or(Node::Empty),
        _ => Node::Alternate(nodes),
    }
}

/// How many nodes at the beginning of one alternative another has as well.
type Common = fn(&[Node], &[Node]) -> usize;

/// The nodes of an alternative, one after the other.
fn parts(node: &Node) -> &[Node] {
    match node {
        Node::Concat(nodes) => nodes,
        Node::Empty => &[],
        other => std::slice::from_ref(other),
    }
}

fn leading_text(one: &[Node], other: &[Node]) -> usize {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b && matches!(a, Node::Literal { .. }));
    same.count()
}

fn leading_piece(one: &[Node], other: &[Node]) -> usize {
    let is_simple = |node: &Node| match node {
        Node::Class(_) | Node::AnyChar | Node::AnyByte | Node::Assertion(_) => true,
        Node::Repeat { node, min, max, .. } => {
            Some(*min) == *max
                && matches!(**node, Node::Literal { .. } | Node::Class(_) | Node::AnyChar | Node::AnyByte)
        }
        _ => false,
    };
    match (one.first(), other.first()) {
        (Some(a), Some(b)) if a == b && is_simple(a) => 1,
        _ => 0,
    }
}

/// Takes common beginnings out of neighbouring alternatives.
fn factor(nodes: Vec<Node>, common: Common) -> Vec<Node> {
    let mut factored = Vec::with_capacity(nodes.len());
    let mut nodes = nodes.into_iter().peekable();
    while let Some(first) = nodes.next() {
        let mut shared = parts(&first).len();
        let mut run = vec![first];
        while let Some(next) = nodes.peek() {
            let head = run.first().map(parts).unwrap_or_default();
            let length = common(head.get(..shared).unwrap_or_default(), parts(next));
            if length == 0 {
                break;
            }
            shared = length;
            run.extend(nodes.next());
        }
        if run.len() == 1 {
            factored.append(&mut run);
            continue;
        }
        let prefix = run.first().map(|first| parts(first).get(..shared).unwrap_or_default().to_vec());
        let rests = run.iter().map(|node| concat(parts(node).get(shared..).unwrap_or_default().to_vec()));
        let rest = alternate(rests.collect());
        let mut whole = prefix.unwrap_or_default();
        match rest {
            Node::Concat(nodes) => whole.extend(nodes),
            node => whole.push(node),
        }
        factored.push(concat(whole));
    }
    factored
}

/// Neighbouring alternatives of one byte each are a class.
fn merge_single_bytes(nodes: Vec<Node>) -> Vec<Node> {
    let class_of = |node: &Node| match node {
        Node::Literal { byte, folded } => {
            let class = Class::of(*byte);
            Some(if *folded { class.folded() } else { class })
        }
        Node::Class(class) => Some(*class),
        _ => None,
    };
    let mut merged: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let both = merged.last().and_then(class_of).zip(class_of(&node));
        match both {
            Some((before, class)) => {
                merged.pop();
                merged.push(Node::Class(before.with(class)));
            }
            None => merged.push(node),
        }
    }
    merged
}

// --- The beginning ---

/// How deep RE2 looks for an anchor.
const ANCHOR_DEPTH: usize = 4;

/// Whether an expression begins at the text's start only; gives it without that.
pub(crate) fn without_text_start(node: Node, depth: usize) -> (Node, bool) {
    match node {
        Node::Assertion(Assertion::TextStart) if depth < ANCHOR_DEPTH => (Node::Empty, true),
        Node::Concat(mut nodes) if depth < ANCHOR_DEPTH && !nodes.is_empty() => {
            let (first, found) = without_text_start(nodes.remove(0), depth + 1);
            nodes.insert(0, first);
            (Node::Concat(nodes), found)
        }
        Node::Capture(node) if depth < ANCHOR_DEPTH => {
            let (node, found) = without_text_start(*node, depth + 1);
            (Node::Capture(Box::new(node)), found)
        }
        // Written out, its first copy stands in a sequence, or in a sequence in one.
        Node::Repeat { node, min, max, greedy, flags } if min > 0 && (min, max) != (1, None) => {
            let is_nested = min > 1 && max.is_some_and(|max| max > min);
            let (first, found) = without_text_start((*node).clone(), depth + if is_nested { 2 } else { 1 });
            if !found {
                return (Node::Repeat { node, min, max, greedy, flags }, false);
            }
            let rest = Node::Repeat { node, min: min - 1, max: max.map(|max| max - 1), greedy, flags };
            (Node::Concat(vec![first, rest]), true)
        }
        other => (other, false),
    }
}

/// The same for the end.
pub(crate) fn without_text_end(node: Node, depth: usize) -> Node {
    match node {
        Node::Assertion(Assertion::TextEnd | Assertion::Dollar) if depth < ANCHOR_DEPTH => Node::Empty,
        Node::Concat(mut nodes) if depth < ANCHOR_DEPTH => {
            if let Some(last) = nodes.pop() {
                nodes.push(without_text_end(last, depth + 1));
            }
            Node::Concat(nodes)
        }
        Node::Capture(node) if depth < ANCHOR_DEPTH => {
            Node::Capture(Box::new(without_text_end(*node, depth + 1)))
        }
        Node::Repeat { node, min, max, greedy, flags } if min > 1 && Some(min) == max => {
            let last = without_text_end((*node).clone(), depth + 1);
            let rest = Node::Repeat { node, min: min - 1, max: Some(min - 1), greedy, flags };
            Node::Concat(vec![rest, last])
        }
        other => other,
    }
}

/// Takes out a text behind the start, which RE2 compares without its program.
pub(crate) fn without_required_prefix(node: Node) -> Node {
    let Node::Concat(nodes) = &node else { return node };
    let anchors = nodes.iter().take_while(|node| **node == Node::Assertion(Assertion::TextStart)).count();
    let Some(Node::Literal { folded, .. }) = nodes.get(anchors) else { return node };
    if anchors == 0 {
        return node;
    }
    let is_text = |node: &&Node| matches!(node, Node::Literal { folded: same, .. } if same == folded);
    let text = nodes.iter().skip(anchors).take_while(is_text).count();
    concat(nodes.iter().skip(anchors + text).cloned().collect())
}
