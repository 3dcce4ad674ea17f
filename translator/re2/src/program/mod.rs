//! The size of the compiled program: its instructions are laid out as RE2's compiler does it, and counted
//! as its last step leaves them, in lists without jumps.

mod flatten;

use std::collections::{BTreeMap, BTreeSet};

use crate::parse::{Flags, Node};
use crate::simplify::{operator, simplify, without_required_prefix, without_text_end, without_text_start};

/// One instruction. Numbers of instructions are their places; 0 is the one that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fail,
    Match,
    /// Takes any byte.
    Any(usize),
    /// Takes one byte, or looks at a place.
    One(usize),
    /// Notes where a group begins or ends.
    Note(usize),
    Nothing(usize),
    Either(usize, usize),
    /// The same, of which one ends in a match and the other takes any byte and comes back.
    EitherMatch(usize, usize),
}

/// A place in the program that is still to be told what comes next: an instruction, and its first or second way.
type Hole = (usize, bool);

/// A part of the program.
#[derive(Clone, Debug)]
struct Fragment {
    begin: usize,
    holes: Vec<Hole>,
    nullable: bool,
}

/// The program became larger than anyone asks for.
struct TooLarge;

struct Compiler {
    steps: Vec<Step>,
    limit: usize,
}

/// The number of instructions; one more than `limit` stands for all numbers that are far beyond it.
pub(crate) fn size(node: Node, limit: usize) -> usize {
    // Jumps are counted while the program is laid out, and are gone in the end.
    let mut compiler =
        Compiler { steps: vec![Step::Fail], limit: limit.saturating_mul(8).saturating_add(1000) };
    compiler.program_size(node).unwrap_or(limit.saturating_add(1))
}

impl Compiler {
    fn program_size(&mut self, node: Node) -> Result<usize, TooLarge> {
        // After a prefix that is taken out, the rest is tried everywhere.
        let node = simplify(without_required_prefix(node));
        let (node, is_anchored) = without_text_start(node, 0);
        let node = without_text_end(node, 0);
        let Some(body) = self.compile(&node)? else { return Ok(1) };
        let end = self.add(Step::Match)?;
        let last = Fragment { begin: end, holes: Vec::new(), nullable: false };
        let whole = self.concat(body, last);
        let start = whole.begin;
        let mut unanchored = start;
        if !is_anchored {
            let any = self.add(Step::Any(0))?;
            let any = Fragment { begin: any, holes: vec![(any, false)], nullable: false };
            let skip = self.star(any, false)?;
            unanchored = self.concat(skip, whole).begin;
        }
        self.optimise(start);
        Ok(self.flattened(unanchored, start))
    }

    fn add(&mut self, step: Step) -> Result<usize, TooLarge> {
        if self.steps.len() >= self.limit {
            return Err(TooLarge);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn step(&self, id: usize) -> Step {
        self.steps.get(id).copied().unwrap_or(Step::Fail)
    }

    fn fill(&mut self, holes: &[Hole], target: usize) {
        for (id, is_second) in holes {
            let Some(step) = self.steps.get_mut(*id) else { continue };
            match step {
                Step::Any(next) | Step::One(next) | Step::Note(next) | Step::Nothing(next) => *next = target,
                Step::Either(_, second) | Step::EitherMatch(_, second) if *is_second => *second = target,
                Step::Either(first, _) | Step::EitherMatch(first, _) => *first = target,
                Step::Fail | Step::Match => {}
            }
        }
    }

    // --- Parts; `None` is a part that never matches ---

    fn compile(&mut self, node: &Node) -> Result<Option<Fragment>, TooLarge> {
        Ok(match node {
            Node::Empty => Some(self.single(Step::Nothing(0), true)?),
            Node::Literal { .. } => Some(self.single(Step::One(0), false)?),
            Node::AnyChar | Node::AnyByte => Some(self.single(Step::Any(0), false)?),
            Node::Assertion(_) => Some(self.single(Step::One(0), true)?),
            Node::Class(class) => {
                let is_any = class.negated() == crate::class::Class::default();
                let mut whole: Option<Fragment> = None;
                for _ in 0..class.instructions() {
                    let one = self.single(if is_any { Step::Any(0) } else { Step::One(0) }, false)?;
                    whole = Some(match whole {
                        None => one,
                        Some(before) => self.either(before, one)?,
                    });
                }
                whole
            }
            Node::Capture(node) => {
                let (open, close) = (self.add(Step::Note(0))?, self.add(Step::Note(0))?);
                let Some(inner) = self.compile(node)? else { return Ok(None) };
                self.fill(&[(open, false)], inner.begin);
                self.fill(&inner.holes, close);
                Some(Fragment { begin: open, holes: vec![(close, false)], nullable: inner.nullable })
            }
            Node::Concat(nodes) => {
                let mut whole: Option<Fragment> = None;
                for node in nodes {
                    let Some(part) = self.compile(node)? else { return Ok(None) };
                    whole = Some(match whole {
                        None => part,
                        Some(before) => self.concat(before, part),
                    });
                }
                whole
            }
            Node::Alternate(nodes) => {
                let mut whole: Option<Fragment> = None;
                for node in nodes {
                    let Some(part) = self.compile(node)? else { continue };
                    whole = Some(match whole {
                        None => part,
                        Some(before) => self.either(before, part)?,
                    });
                }
                whole
            }
            Node::Repeat { node, min, max, greedy, flags } => {
                self.repeat(node, *min, *max, (*greedy, *flags))?
            }
        })
    }

    fn single(&mut self, step: Step, nullable: bool) -> Result<Fragment, TooLarge> {
        let id = self.add(step)?;
        Ok(Fragment { begin: id, holes: vec![(id, false)], nullable })
    }

    fn concat(&mut self, first: Fragment, second: Fragment) -> Fragment {
        let is_nothing = self.step(first.begin) == Step::Nothing(0) && first.holes == [(first.begin, false)];
        self.fill(&first.holes, second.begin);
        if is_nothing {
            return second;
        }
        Fragment { begin: first.begin, holes: second.holes, nullable: first.nullable && second.nullable }
    }

    fn either(&mut self, first: Fragment, second: Fragment) -> Result<Fragment, TooLarge> {
        let id = self.add(Step::Either(first.begin, second.begin))?;
        let holes = [first.holes, second.holes].concat();
        Ok(Fragment { begin: id, holes, nullable: first.nullable || second.nullable })
    }

    /// A choice between a part and what comes after it; the part is the first way if it is greedy.
    fn choice(&mut self, part: usize, greedy: bool) -> Result<(usize, Hole), TooLarge> {
        let id = self.add(if greedy { Step::Either(part, 0) } else { Step::Either(0, part) })?;
        Ok((id, (id, greedy)))
    }

    fn plus(&mut self, part: Fragment, greedy: bool) -> Result<Fragment, TooLarge> {
        let (id, hole) = self.choice(part.begin, greedy)?;
        self.fill(&part.holes, id);
        Ok(Fragment { begin: part.begin, holes: vec![hole], nullable: part.nullable })
    }

    fn star(&mut self, part: Fragment, greedy: bool) -> Result<Fragment, TooLarge> {
        if part.nullable {
            let plus = self.plus(part, greedy)?;
            return self.quest(plus, greedy);
        }
        let (id, hole) = self.choice(part.begin, greedy)?;
        self.fill(&part.holes, id);
        Ok(Fragment { begin: id, holes: vec![hole], nullable: true })
    }

    fn quest(&mut self, part: Fragment, greedy: bool) -> Result<Fragment, TooLarge> {
        let (id, hole) = self.choice(part.begin, greedy)?;
        let holes = [vec![hole], part.holes].concat();
        Ok(Fragment { begin: id, holes, nullable: true })
    }

    fn repeat(
        &mut self,
        node: &Node,
        min: u32,
        max: Option<u32>,
        (greedy, flags): (bool, Flags),
    ) -> Result<Option<Fragment>, TooLarge> {
        match (min, max) {
            (0, None) => {
                let part = self.compile(node)?;
                // RE2 makes a loop also of what never matches.
                let part = part.unwrap_or(Fragment { begin: 0, holes: Vec::new(), nullable: false });
                return self.star(part, greedy).map(Some);
            }
            (1, None) => {
                let Some(part) = self.compile(node)? else { return Ok(None) };
                return self.plus(part, greedy).map(Some);
            }
            (0, Some(1)) => {
                let Some(part) = self.compile(node)? else {
                    return self.single(Step::Nothing(0), true).map(Some);
                };
                return self.quest(part, greedy).map(Some);
            }
            _ => {}
        }
        let copies = if max.is_none() { min.saturating_sub(1) } else { min };
        let mut whole: Option<Fragment> = None;
        for _ in 0..copies {
            let Some(part) = self.compile(node)? else { return Ok(None) };
            whole = Some(match whole {
                None => part,
                Some(before) => self.concat(before, part),
            });
        }
        let tail = match max {
            None => {
                let Some(tail) = self.compile(&operator(node.clone(), 1, None, (greedy, flags)))? else {
                    return Ok(None);
                };
                Some(tail)
            }
            Some(max) => self.optional_copies(node, max.saturating_sub(min), (greedy, flags))?,
        };
        Ok(match (whole, tail) {
            (Some(whole), Some(tail)) => Some(self.concat(whole, tail)),
            (None, None) => Some(self.single(Step::Nothing(0), true)?),
            (whole, tail) => whole.or(tail),
        })
    }

    /// `(x(x(x)?)?)?`
    fn optional_copies(
        &mut self,
        node: &Node,
        count: u32,
        (greedy, flags): (bool, Flags),
    ) -> Result<Option<Fragment>, TooLarge> {
        if count == 0 {
            return Ok(None);
        }
        let mut suffix = self.compile(&operator(node.clone(), 0, Some(1), (greedy, flags)))?;
        for _ in 1..count {
            let Some(part) = self.compile(node)? else {
                return self.single(Step::Nothing(0), true).map(Some);
            };
            let part = match suffix {
                None => part,
                Some(suffix) => self.concat(part, suffix),
            };
            suffix = Some(self.quest(part, greedy)?);
        }
        Ok(suffix)
    }

    // --- Afterwards ---
}
