//! What RE2 makes of a program before it counts its instructions.

use super::*;

impl Compiler {
    /// Passes over what does nothing, and finds choices between a match and a loop over everything.
    pub(super) fn optimise(&mut self, start: usize) {
        let after = |steps: &[Step], mut id: usize| {
            while let Some(Step::Nothing(next)) = steps.get(id)
                && *next != 0
            {
                id = *next;
            }
            id
        };
        let mut seen = BTreeSet::new();
        let mut queue = vec![start];
        while let Some(id) = queue.pop() {
            if id == 0 || !seen.insert(id) {
                continue;
            }
            let step = match self.step(id) {
                Step::Any(next) => Step::Any(after(&self.steps, next)),
                Step::One(next) => Step::One(after(&self.steps, next)),
                Step::Note(next) => Step::Note(after(&self.steps, next)),
                Step::Nothing(next) => Step::Nothing(after(&self.steps, next)),
                Step::Either(first, second) => {
                    Step::Either(after(&self.steps, first), after(&self.steps, second))
                }
                other => other,
            };
            if let Some(place) = self.steps.get_mut(id) {
                *place = step;
            }
            queue.extend(successors(step));
        }
        for id in seen {
            let Step::Either(first, second) = self.step(id) else { continue };
            let loops = |part: usize| self.step(part) == Step::Any(id);
            let is_loop = (loops(first) && self.is_match(second)) || (self.is_match(first) && loops(second));
            if is_loop && let Some(place) = self.steps.get_mut(id) {
                *place = Step::EitherMatch(first, second);
            }
        }
    }

    fn is_match(&self, mut id: usize) -> bool {
        for _ in 0..self.steps.len() {
            match self.step(id) {
                Step::Match => return true,
                Step::Note(next) | Step::Nothing(next) => id = next,
                _ => return false,
            }
        }
        false
    }

    /// The length of all lists: each begins at a root and holds what is reached from it without taking a
    /// byte, up to other roots.
    pub(super) fn flattened(&self, unanchored: usize, start: usize) -> usize {
        let mut roots: Vec<usize> = Vec::new();
        let mut is_root = BTreeSet::new();
        for root in [0, unanchored, start] {
            if is_root.insert(root) {
                roots.push(root);
            }
        }
        let mut before: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut reachable = BTreeSet::new();
        let mut stack = vec![unanchored];
        while let Some(id) = stack.pop() {
            if !reachable.insert(id) {
                continue;
            }
            match self.step(id) {
                Step::Either(first, second) | Step::EitherMatch(first, second) => {
                    for next in [first, second] {
                        before.entry(next).or_default().push(id);
                    }
                    stack.extend([second, first]);
                }
                Step::Any(next) | Step::One(next) | Step::Note(next) => {
                    if is_root.insert(next) {
                        roots.push(next);
                    }
                    stack.push(next);
                }
                Step::Nothing(next) => stack.push(next),
                Step::Match | Step::Fail => {}
            }
        }
        self.add_dominators(&mut is_root, &before, unanchored, start);
        is_root.iter().map(|root| self.list(*root, &is_root).1).sum()
    }

    /// What is reached from several lists becomes a list of its own.
    fn add_dominators(
        &self,
        roots: &mut BTreeSet<usize>,
        before: &BTreeMap<usize, Vec<usize>>,
        unanchored: usize,
        start: usize,
    ) {
        let sorted: Vec<usize> = roots.iter().copied().filter(|root| *root != 0).collect();
        for root in sorted.into_iter().rev().filter(|root| *root != unanchored && *root != start) {
            let (reached, _) = self.list(root, roots);
            for id in &reached {
                let entered_otherwise =
                    before.get(id).is_some_and(|before| before.iter().any(|id| !reached.contains(id)));
                if entered_otherwise {
                    roots.insert(*id);
                }
            }
        }
    }

    /// What a list reaches, and how long it is.
    fn list(&self, root: usize, roots: &BTreeSet<usize>) -> (BTreeSet<usize>, usize) {
        let mut reached = BTreeSet::new();
        let mut length = 0;
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            if !reached.insert(id) {
                continue;
            }
            if id != root && roots.contains(&id) {
                length += 1;
                continue;
            }
            match self.step(id) {
                Step::Either(first, second) => stack.extend([second, first]),
                Step::EitherMatch(first, second) => {
                    length += 1;
                    stack.extend([second, first]);
                }
                Step::Nothing(next) => stack.push(next),
                Step::Any(_) | Step::One(_) | Step::Note(_) | Step::Match | Step::Fail => length += 1,
            }
        }
        (reached, length)
    }
}

fn successors(step: Step) -> Vec<usize> {
    match step {
        Step::Fail | Step::Match => Vec::new(),
        Step::Any(next) | Step::One(next) | Step::Note(next) | Step::Nothing(next) => vec![next],
        Step::Either(first, second) | Step::EitherMatch(first, second) => vec![first, second],
    }
}
