//! The tree of an expression, which Envoy's rights want in place of its text.

use cel::common::ast::{CallExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr};
use cel::parser::Parser;
use ir::CelExpr;

/// Reads an expression into its tree. It goes as deep as the text does: the text must have passed [`check`](super::check).
///
/// # Errors
/// It is none, with the place in the text; or it has a part that Envoy does not take.
pub(super) fn tree(text: &str) -> Result<CelExpr, String> {
    let parsed = Parser::new().parse(text).map_err(|errors| match errors.errors.first() {
        Some(error) if error.pos.0 > 0 => {
            format!("line {}, column {}: {}", error.pos.0, error.pos.1, error.msg)
        }
        Some(error) => error.msg.clone(),
        None => "is no expression".to_owned(),
    })?;
    convert(&parsed)
}

fn convert(expression: &IdedExpr) -> Result<CelExpr, String> {
    let all = |list: &[IdedExpr]| list.iter().map(convert).collect::<Result<Vec<_>, _>>();
    Ok(match &expression.expr {
        Expr::Ident(name) => CelExpr::Ident(name.clone()),
        Expr::Literal(value) => literal(value),
        Expr::Select(SelectExpr { operand, field, test }) => {
            CelExpr::Select { of: Box::new(convert(operand)?), field: field.clone(), has: *test }
        }
        Expr::Call(CallExpr { func_name, target, args }) => CelExpr::Call {
            of: target.as_deref().map(convert).transpose()?.map(Box::new),
            function: func_name.clone(),
            arguments: all(args)?,
        },
        Expr::List(ListExpr { elements, optional_indices }) if optional_indices.is_empty() => {
            CelExpr::List(all(elements)?)
        }
        Expr::List(_) | Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            return Err(
                "has a map, a message, a macro or an optional entry, which proxies do not take".to_owned()
            );
        }
    })
}

fn literal(value: &LiteralValue) -> CelExpr {
    match value {
        LiteralValue::Boolean(value) => CelExpr::Bool(*value.inner()),
        LiteralValue::Bytes(value) => CelExpr::Bytes(value.inner().to_vec()),
        LiteralValue::Double(value) => CelExpr::Double(value.inner().to_bits()),
        LiteralValue::Int(value) => CelExpr::Int(*value.inner()),
        LiteralValue::Null => CelExpr::Null,
        LiteralValue::String(value) => CelExpr::Text(value.inner().to_owned()),
        LiteralValue::UInt(value) => CelExpr::Uint(*value.inner()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_the_names_of_cels_own_trees() {
        let call = |of: Option<CelExpr>, function: &str, arguments: &[CelExpr]| CelExpr::Call {
            of: of.map(Box::new),
            function: function.to_owned(),
            arguments: arguments.to_vec(),
        };
        let ident = |name: &str| CelExpr::Ident(name.to_owned());
        let text = |text: &str| CelExpr::Text(text.to_owned());
        let select =
            |of, field: &str, has| CelExpr::Select { of: Box::new(of), field: field.to_owned(), has };
        for (written, expected) in [
            (
                "a.b['c'] == 'd'",
                call(
                    None,
                    "_==_",
                    &[call(None, "_[_]", &[select(ident("a"), "b", false), text("c")]), text("d")],
                ),
            ),
            ("has(a.b)", select(ident("a"), "b", true)),
            (
                "'x' in a || !b",
                call(
                    None,
                    "_||_",
                    &[call(None, "@in", &[text("x"), ident("a")]), call(None, "!_", &[ident("b")])],
                ),
            ),
            ("a.startsWith('b')", call(Some(ident("a")), "startsWith", &[text("b")])),
            ("a ? 1 : 2u", call(None, "_?_:_", &[ident("a"), CelExpr::Int(1), CelExpr::Uint(2)])),
            (
                "size([true, null])",
                call(None, "size", &[CelExpr::List(vec![CelExpr::Bool(true), CelExpr::Null])]),
            ),
        ] {
            assert_eq!(tree(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        let error = tree("request.path ==\n  && true").unwrap_err();
        assert!(error.starts_with("line 2, column "), "{error}");
        for bad in ["", "a ==", "{'a': 1}", "[1].exists(x, x > 1)", "a b"] {
            assert!(tree(bad).is_err(), "{bad}");
        }
    }
}
