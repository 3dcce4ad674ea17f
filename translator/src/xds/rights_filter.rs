//! The filter that refuses requests whose sender may not send them (403), `envoy.filters.http.rbac`.
//!
//! It stands in every listener, lets everything pass, and is disabled but for the routes that configure it.

use ir::{CelExpr, ClaimValue, Rights, RightsRule, Sender, TokenDemand, issued_by_key};
use proto::cel::constant::ConstantKind;
use proto::cel::expr::{Call, CreateList, ExprKind, Ident, Select};
use proto::cel::{Constant, Expr};
use proto::http_rbac::{Rbac, RbacPerRoute};
use proto::matcher::list_matcher::MatchPattern as ListPattern;
use proto::matcher::metadata_matcher::PathSegment;
use proto::matcher::metadata_matcher::path_segment::Segment;
use proto::matcher::string_matcher::MatchPattern as StringPattern;
use proto::matcher::value_matcher::MatchPattern as ValuePattern;
use proto::matcher::{ListMatcher, MetadataMatcher, PathMatcher, ValueMatcher, path_matcher};
use proto::pack;
use proto::rbac::rbac::Action;
use proto::rbac::{Permission, Policy, Principal, Rbac as Rules, SourcedMetadata, permission, principal};
use proto::wkt::Any;

use super::matcher::{exact, header_matcher, pattern_matcher, regex};
use super::token_filter::METADATA_NAMESPACE;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.rights";

/// The configuration of a listener, by which every request passes.
pub(super) fn nothing_refused() -> Any {
    pack(&Rbac::default())
}

/// A route's configuration; the route demands these tokens.
pub(super) fn rights(ir: &Rights, tokens: Option<&TokenDemand>) -> Any {
    let action = if ir.denies { Action::Deny } else { Action::Allow };
    let providers: &[String] = match tokens {
        Some(TokenDemand::Set { providers, .. }) => providers,
        Some(TokenDemand::Nothing) | None => &[],
    };
    let policies = ir.rules.iter().map(|(name, rule)| (name.clone(), build_policy(rule, providers)));
    let rules = Rules { action: action.into(), policies: policies.collect(), ..Rules::default() };
    pack(&RbacPerRoute { rbac: Some(Rbac { rules: Some(rules), ..Rbac::default() }) })
}

fn build_policy(ir: &RightsRule, providers: &[String]) -> Policy {
    let mut ids = 0;
    Policy {
        permissions: vec![permission(all_permissions(ir))],
        principals: vec![principal(any_sender(&ir.senders, providers))],
        condition: ir.condition.as_ref().map(|condition| build_expression(condition, &mut ids)),
        ..Policy::default()
    }
}

fn permission(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

fn principal(identifier: principal::Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

fn all_permissions(ir: &RightsRule) -> permission::Rule {
    let path = ir.path_prefix.as_ref().map(|prefix| {
        let path = pattern_matcher(StringPattern::Prefix(prefix.clone()));
        permission::Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(path)) })
    });
    let methods = ir.methods.iter();
    let methods: Vec<_> = methods
        .map(|method| permission(permission::Rule::Header(header_matcher(":method", exact(method)))))
        .collect();
    let methods =
        (!methods.is_empty()).then_some(permission::Rule::OrRules(permission::Set { rules: methods }));
    let rules: Vec<_> = path.into_iter().chain(methods).map(permission).collect();
    match rules.is_empty() {
        true => permission::Rule::Any(true),
        false => permission::Rule::AndRules(permission::Set { rules }),
    }
}

fn any_sender(senders: &[Sender], providers: &[String]) -> principal::Identifier {
    let all =
        |sender| principal(principal::Identifier::AndIds(principal::Set { ids: marks(sender, providers) }));
    match senders {
        [] => principal::Identifier::Any(true),
        senders => principal::Identifier::OrIds(principal::Set { ids: senders.iter().map(all).collect() }),
    }
}

/// What a sender is known by. All providers leave claims under the same key, where those of the last verified token stay. So
/// whose they are is known only if no other provider has left anything.
fn marks(sender: &Sender, providers: &[String]) -> Vec<Principal> {
    let claims = sender.claims.iter().map(|claim| metadata(&claim.path, claim_pattern(&claim.value)));
    let Some(provider) = &sender.provider else { return claims.map(principal).collect() };
    let issued_by =
        |provider: &String| metadata(&[issued_by_key(provider)], ValuePattern::PresentMatch(true));
    let others = providers.iter().filter(|other| *other != provider);
    let no_other = others.map(|other| principal::Identifier::NotId(Box::new(principal(issued_by(other)))));
    claims.chain([issued_by(provider)]).chain(no_other).map(principal).collect()
}

fn claim_pattern(ir: &ClaimValue) -> ValuePattern {
    let text = |text: &str| ValuePattern::StringMatch(exact(text));
    match ir {
        ClaimValue::Text(value) => text(value),
        ClaimValue::Bool(value) => ValuePattern::BoolMatch(*value),
        ClaimValue::ListContains(value) => ValuePattern::ListMatch(Box::new(ListMatcher {
            match_pattern: Some(ListPattern::OneOf(Box::new(value_matcher(text(value))))),
        })),
        ClaimValue::Regex(pattern) => {
            ValuePattern::StringMatch(pattern_matcher(StringPattern::SafeRegex(regex(pattern.clone()))))
        }
    }
}

/// A value that tokens have left in the metadata of their filter.
fn metadata(path: &[String], pattern: ValuePattern) -> principal::Identifier {
    let segment = |key: &String| PathSegment { segment: Some(Segment::Key(key.clone())) };
    let matcher = MetadataMatcher {
        filter: METADATA_NAMESPACE.to_owned(),
        path: path.iter().map(segment).collect(),
        value: Some(value_matcher(pattern)),
        ..MetadataMatcher::default()
    };
    principal::Identifier::SourcedMetadata(SourcedMetadata {
        metadata_matcher: Some(matcher),
        ..SourcedMetadata::default()
    })
}

fn value_matcher(pattern: ValuePattern) -> ValueMatcher {
    ValueMatcher { match_pattern: Some(pattern) }
}

/// `ids` counts the nodes of the tree.
fn build_expression(ir: &CelExpr, ids: &mut i64) -> Expr {
    *ids += 1;
    let id = *ids;
    let constant = |kind| ExprKind::ConstExpr(Constant { constant_kind: Some(kind) });
    let kind = match ir {
        CelExpr::Ident(name) => ExprKind::IdentExpr(Ident { name: name.clone() }),
        CelExpr::Null => constant(ConstantKind::NullValue(0)),
        CelExpr::Bool(value) => constant(ConstantKind::BoolValue(*value)),
        CelExpr::Int(value) => constant(ConstantKind::Int64Value(*value)),
        CelExpr::Uint(value) => constant(ConstantKind::Uint64Value(*value)),
        CelExpr::Double(bits) => constant(ConstantKind::DoubleValue(f64::from_bits(*bits))),
        CelExpr::Text(value) => constant(ConstantKind::StringValue(value.clone())),
        CelExpr::Bytes(value) => constant(ConstantKind::BytesValue(value.clone())),
        CelExpr::Select { of, field, has } => ExprKind::SelectExpr(Box::new(Select {
            operand: Some(Box::new(build_expression(of, ids))),
            field: field.clone(),
            test_only: *has,
        })),
        CelExpr::Call { of, function, arguments } => ExprKind::CallExpr(Box::new(Call {
            target: of.as_ref().map(|of| Box::new(build_expression(of, ids))),
            function: function.clone(),
            args: build_all(arguments, ids),
        })),
        CelExpr::List(list) => {
            ExprKind::ListExpr(CreateList { elements: build_all(list, ids), ..CreateList::default() })
        }
    };
    Expr { id, expr_kind: Some(kind) }
}

fn build_all(list: &[CelExpr], ids: &mut i64) -> Vec<Expr> {
    list.iter().map(|one| build_expression(one, ids)).collect()
}
