//! Functions that are too long: from the line of their `fn` to that of the closing brace.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::finding::{Finding, Kind};

/// Lines of a function.
const LINES_MAX: usize = 70;

pub(crate) fn check(file: &str, syntax: &syn::File) -> Vec<Finding> {
    let mut functions = Functions {
        file,
        findings: Vec::new(),
    };
    functions.visit_file(syntax);
    functions.findings
}

struct Functions<'a> {
    file: &'a str,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &str, from: Span, to: Span) {
        let (first, last) = (from.start().line, to.end().line);
        let lines = last + 1 - first;
        if lines > LINES_MAX {
            let message = format!("`{name}` has {lines} lines, divide it into functions of at most {LINES_MAX}");
            let finding = Finding::new(self.file, first, Kind::FunctionLength, message);
            self.findings.push(finding);
        }
    }

    /// Functions in a macro's arguments (of `proptest!`, or of a macro's definition) are not parsed: `fn`, a name,
    /// and the next braces beside them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut function: Option<(Span, String)> = None;
        let mut is_named = true;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if ident == "fn" => {
                    function = Some((ident.span(), String::new()));
                    is_named = false;
                }
                TokenTree::Ident(ident) => {
                    if let (Some((_, name)), false) = (&mut function, is_named) {
                        *name = ident.to_string();
                    }
                    is_named = true;
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Brace
                        && let Some((from, name)) = function.take()
                    {
                        self.measure(&name, from, group.span_close());
                    }
                    self.tokens(group.stream());
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => function = None,
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl Visit<'_> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        let close = item.block.brace_token.span.close();
        self.measure(&item.sig.ident.to_string(), item.sig.fn_token.span(), close);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        let close = item.block.brace_token.span.close();
        self.measure(&item.sig.ident.to_string(), item.sig.fn_token.span(), close);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if let Some(block) = &item.default {
            let close = block.brace_token.span.close();
            self.measure(&item.sig.ident.to_string(), item.sig.fn_token.span(), close);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let syntax = syn::parse_file(text).expect("Rust");
        check("a.rs", &syntax).iter().map(ToString::to_string).collect()
    }

    /// A function of this many lines.
    fn function(lines: usize) -> String {
        format!("fn long(\n    a: u8,\n) {{\n{}}}\n", "    work();\n".repeat(lines - 4))
    }

    #[test]
    fn a_long_function_is_found_wherever_it_stands() {
        let long = function(71);
        let expected = |line| {
            [format!(
                "a.rs:{line}: `long` has 71 lines, divide it into functions of at most 70"
            )]
        };
        // Comments and attributes before it are not of it.
        assert_eq!(found(&format!("/// Why.\n#[inline]\npub {long}")), expected(3));
        assert_eq!(found(&format!("struct A;\nimpl A {{\n{long}}}\n")), expected(3));
        assert_eq!(found(&format!("trait A {{\n{long}}}\n")), expected(2));
        assert_eq!(found(&format!("mod a {{\n{long}}}\n")), expected(2));
        assert_eq!(found(&format!("proptest! {{\n#[test]\n{long}}}\n")), expected(3));
        assert_eq!(
            found(&format!("macro_rules! a {{ () => {{\n{long}}} }}\n")),
            expected(2)
        );
    }

    #[test]
    fn what_just_fits_is_clean() {
        let fits = function(70);
        assert_eq!(found(&format!("/// Why.\n{fits}")), [""; 0]);
        assert_eq!(found(&format!("proptest! {{\n{fits}{fits}}}\n")), [""; 0]);
        let declared = format!("trait A {{\nfn short();\n{}}}\n", "const B: u8 = 0;\n".repeat(100));
        assert_eq!(found(&declared), [""; 0]);
    }
}
