//! What the code of one module names: imports, and paths.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::Visit;

/// A name that a `use` brings in; without one all names of what the path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) name: Option<String>,
    /// Whether others can name it here.
    pub(crate) is_public: bool,
    pub(crate) line: usize,
}

/// A path in the code, from its first word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// Looks through the items of a module, but not of modules within it and of what is compiled for tests only.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) imports: Vec<Import>,
    pub(super) uses: Vec<Use>,
}

/// A name without the `r#` before it.
pub(super) fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

/// Whether what has these attributes is compiled for tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => is_test_condition(list.tokens.clone()),
        _ => false,
    })
}

/// `test`, or `all(…)` with it.
fn is_test_condition(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(ident)] => ident == "test",
        [TokenTree::Ident(all), TokenTree::Group(group)] if all == "all" => group
            .stream()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Ident(ident) if ident == "test")),
        _ => false,
    }
}

impl Scan {
    fn add(&mut self, path: Vec<String>, line: usize) {
        self.uses.push(Use { path, line });
    }

    /// The names of a `use`.
    fn import(&mut self, before: &[String], tree: &syn::UseTree, is_public: bool) {
        let mut add = |path: Vec<String>, name: Option<String>, at: proc_macro2::Span| {
            self.imports.push(Import {
                path,
                name,
                is_public,
                line: at.start().line,
            });
        };
        match tree {
            syn::UseTree::Path(path) => {
                let before = [before, &[plain(&path.ident)]].concat();
                self.import(&before, &path.tree, is_public);
            }
            // `use a::{self}` brings in `a`.
            syn::UseTree::Name(name) if name.ident == "self" => {
                add(before.to_vec(), before.last().cloned(), name.ident.span());
            }
            syn::UseTree::Name(name) => {
                let path = [before, &[plain(&name.ident)]].concat();
                add(path, Some(plain(&name.ident)), name.ident.span());
            }
            syn::UseTree::Rename(rename) => {
                let is_itself = rename.ident == "self";
                let more = if is_itself { None } else { Some(plain(&rename.ident)) };
                let path = before.iter().cloned().chain(more).collect();
                add(path, Some(plain(&rename.rename)), rename.ident.span());
            }
            syn::UseTree::Glob(glob) => {
                let star = glob.star_token.spans[0];
                add(before.to_vec(), None, star);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(before, tree, is_public);
                }
            }
        }
    }

    /// Paths in what is not parsed: the arguments of macros and attributes.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    // `a.b` and `::a` name nothing of ours.
                    let before = at.checked_sub(2).and_then(|before| tokens.get(before));
                    let is_path =
                        !matches!(before, Some(TokenTree::Punct(p)) if matches!(p.as_char(), '.' | ':' | '\''));
                    let mut path = vec![plain(first)];
                    while let (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)), Some(TokenTree::Ident(next))) =
                        (tokens.get(at), tokens.get(at + 1), tokens.get(at + 2))
                        && a.as_char() == ':'
                        && b.as_char() == ':'
                    {
                        path.push(plain(next));
                        at += 3;
                    }
                    let is_called = matches!(tokens.get(at), Some(TokenTree::Group(_)));
                    if is_path && (path.len() > 1 || is_called || is_type(&path)) {
                        self.add(path, first.span().start().line);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// Whether a single name is that of a type or constant: others may be variables.
fn is_type(path: &[String]) -> bool {
    path.first().is_some_and(|name| name.starts_with(char::is_uppercase))
}

impl Visit<'_> for Scan {
    fn visit_item(&mut self, item: &syn::Item) {
        if !matches!(item, syn::Item::Mod(_)) && !is_test(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs[..],
            syn::ImplItem::Const(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            syn::visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if item.leading_colon.is_none() {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            self.import(&[], &item.tree, is_public);
        }
    }

    fn visit_expr_call(&mut self, call: &syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.add(vec![plain(name)], name.span().start().line);
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
        if let (None, Some(first)) = (path.leading_colon, path.segments.first())
            && (names.len() > 1 || is_type(&names))
        {
            let line = first.ident.span().start().line;
            self.add(names, line);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &syn::MetaList) {
        // Conditions look like calls.
        if !list.path.is_ident("cfg") {
            self.tokens(list.tokens.clone());
        }
    }

    // Who may see it is no use of it.
    fn visit_visibility(&mut self, _: &syn::Visibility) {}
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Scan {
        let syntax = syn::parse_file(text).expect("Rust");
        let mut scan = Scan::default();
        scan.visit_file(&syntax);
        scan
    }

    fn imports(text: &str) -> Vec<String> {
        let show = |import: &Import| {
            let path = import.path.join("::");
            let public = if import.is_public { "pub " } else { "" };
            format!("{public}{} = {path}", import.name.as_deref().unwrap_or("*"))
        };
        scan(text).imports.iter().map(show).collect()
    }

    fn uses(text: &str) -> Vec<String> {
        scan(text).uses.iter().map(|found| found.path.join("::")).collect()
    }

    #[test]
    fn all_forms_of_use() {
        let text = "pub(crate) use crate::a::{self, b as c, d::*, r#type}; use e as f; use ::std::g;";
        assert_eq!(
            imports(text),
            [
                "pub a = crate::a",
                "pub c = crate::a::b",
                "pub * = crate::a::d",
                "pub type = crate::a::type",
                "f = e"
            ]
        );
        assert_eq!(imports("fn a() { use super::b; }"), ["b = super::b"]);
    }

    #[test]
    fn paths_wherever_they_stand() {
        let text = "fn a(b: x::B) -> C { d(); self::e::f(x, y.z); assert!(g::h() == y.i::<J>(k) && l(m), \"{}\", N) }";
        assert_eq!(uses(text), ["x::B", "C", "d", "self::e::f", "g::h", "J", "l", "N"]);
        assert_eq!(uses("#[serde(with = \"s\", default = a::b())] struct T;"), ["a::b"]);
        assert_eq!(uses("pub(in crate::a) struct T(pub(super) ::std::u8);"), [""; 0]);
    }

    #[test]
    fn what_is_for_tests_or_in_another_module_is_left_out() {
        for text in [
            "#[cfg(test)] fn a() { b::c() }",
            "#[cfg(all(test, unix))] use a::b;",
            "#[test] fn a() { b::c() }",
            "mod a { fn b() { c::d() } }",
            "impl T { #[cfg(test)] fn a() { b::c() } }",
        ] {
            let found = scan(text);
            let of_t = found.uses.iter().filter(|found| found.path != ["T"]).count();
            assert_eq!((found.imports.len(), of_t), (0, 0), "{text}");
        }
        assert_eq!(uses("#[cfg(not(test))] fn a() { b::c() }"), ["b::c"]);
    }
}
