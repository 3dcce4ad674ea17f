//! At which line of a file each field of a document stands.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::document::options;

/// The text of a document. It is read a second time, for the lines of its fields, when somebody asks for one: most
/// documents have nothing wrong with them.
pub(crate) struct Text {
    text: Box<str>,
    /// The line of the file, from 1, that it begins with.
    first_line: usize,
    outline: OnceLock<Node>,
}

/// A value with the lines of what is in it.
enum Node {
    Map(Vec<Member>),
    List(Vec<(u64, Node)>),
    Leaf,
}

struct Member {
    name: String,
    /// Of the name, from 1 within the text.
    line: u64,
    value: Node,
}

impl Text {
    pub(crate) fn new(text: &str, first_line: usize) -> Self {
        Self { text: text.into(), first_line, outline: OnceLock::new() }
    }

    /// The line of the file at which a field stands, or the one that would hold it; `None` if nothing of the path is
    /// there.
    pub(crate) fn line(&self, path: &str) -> Option<usize> {
        let read = || serde_saphyr::from_str_with_options(&self.text, options()).unwrap_or(Node::Leaf);
        let line = find(self.outline.get_or_init(read), path)?;
        Some(self.first_line + usize::try_from(line).unwrap_or(1).saturating_sub(1))
    }
}

/// The line of the last value on the way to `path` that is there.
fn find(mut node: &Node, mut path: &str) -> Option<u64> {
    let mut line = None;
    loop {
        path = path.strip_prefix('.').unwrap_or(path);
        let step = match node {
            Node::Leaf => None,
            Node::List(items) => item(items, path),
            Node::Map(members) => member(members, path),
        };
        let Some((at, next, rest)) = step else { return line };
        (line, node, path) = (Some(at), next, rest);
    }
}

/// The item that a path such as `[2].name` begins with.
fn item<'a, 'p>(items: &'a [(u64, Node)], path: &'p str) -> Option<(u64, &'a Node, &'p str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    let (line, node) = items.get(index.parse::<usize>().ok()?)?;
    Some((*line, node, rest))
}

/// The member that a path such as `spec.rules` begins with. A name may hold dots, such as that of an annotation, and is
/// then written as `annotations[example.com/x]`, too.
fn member<'a, 'p>(members: &'a [Member], path: &'p str) -> Option<(u64, &'a Node, &'p str)> {
    let in_brackets = path.strip_prefix('[').and_then(|path| path.split_once(']'));
    let rest_after = |name: &str| match in_brackets {
        Some((written, rest)) => (written == name).then_some(rest),
        None => path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
    };
    let found = members.iter().filter_map(|member| Some((member, rest_after(&member.name)?)));
    let (member, rest) = found.max_by_key(|(member, _)| member.name.len())?;
    Some((member.line, &member.value, rest))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Methods that take a value without anything in it.
macro_rules! leaves {
    ($( $method:ident($($ty:ty)?) ),+) => {
        $( fn $method<E>(self $(, _: $ty)?) -> Result<Node, E> {
            Ok(Node::Leaf)
        } )+
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    leaves!(
        visit_bool(bool),
        visit_i64(i64),
        visit_i128(i128),
        visit_u64(u64),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str),
        visit_none(),
        visit_unit()
    );

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Node>>()? {
            items.push((item.referenced.line(), item.value));
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<Spanned<String>>()? {
            let value = access.next_value()?;
            members.push(Member { name: name.value, line: name.referenced.line(), value });
        }
        Ok(Node::Map(members))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.first_line) == (&other.text, other.first_line)
    }
}

impl fmt::Debug for Text {
    /// Without the text, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("first_line", &self.first_line).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
kind: HTTPRoute
metadata:
  annotations: {a: b,
    example.com/x: y}
spec:
  hostnames: [a.test,
    b.test]
  rules:
  # The first.
  - name: one
    backendRefs:
    - name: echo
      port: 80
  - &two
    name: two
  - *two
";

    #[test]
    fn a_field_has_the_line_of_its_name_and_one_that_is_missing_that_of_its_parent() {
        let text = Text::new(DOCUMENT, 11);
        let rows = [
            ("kind", Some(11)),
            ("metadata.annotations[example.com/x]", Some(14)),
            ("metadata.annotations.example.com/x", Some(14)),
            ("spec.hostnames[1]", Some(17)),
            ("spec.rules[0]", Some(20)),
            ("spec.rules[0].backendRefs[0].port", Some(23)),
            ("spec.rules[0].backendRefs[0].group", Some(22)),
            ("spec.rules[1].name", Some(25)),
            ("spec.rules[7]", Some(18)),
            ("spec.parentRefs[0].name", Some(15)),
            ("nothing", None),
            ("", None),
        ];
        for (path, expected) in rows {
            assert_eq!(text.line(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_yaml_has_no_lines_and_is_not_shown() {
        let text = Text::new("key: [sk-canary", 1);
        assert_eq!(text.line("key"), None);
        assert!(!format!("{text:?}").contains("canary"));
    }
}
