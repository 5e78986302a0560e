//! Files that code brings in by their name: `#[path = "…"]`, in a `cfg_attr` and in macros too, and `include!("…")`.
//!
//! What cannot be seen: a name that a macro puts together.

use proc_macro2::{TokenStream, TokenTree};

/// A file by its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// As it stands there.
    pub(crate) path: String,
    pub(crate) is_include: bool,
}

/// All files that code brings in by their name.
pub(crate) fn named_files(code: TokenStream) -> Vec<Named> {
    let mut found = Vec::new();
    collect(code, &mut found);
    found
}

fn collect(code: TokenStream, found: &mut Vec<Named>) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let before = tokens.get(..at).unwrap_or_default();
        match before {
            [.., TokenTree::Punct(mark)] if mark.as_char() == '#' => {
                let path = of_attribute(group.stream());
                found.extend(path.map(|path| Named {
                    line: group.span_open().start().line,
                    path,
                    is_include: false,
                }));
            }
            [.., TokenTree::Ident(name), TokenTree::Punct(mark)] if name == "include" && mark.as_char() == '!' => {
                let path = group.stream().into_iter().next().as_ref().and_then(text);
                found.extend(path.map(|path| Named {
                    line: name.span().start().line,
                    path,
                    is_include: true,
                }));
            }
            _ => {}
        }
        collect(group.stream(), found);
    }
}

/// What `path = "…"` says, or `cfg_attr(…)` with it.
fn of_attribute(attribute: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name), TokenTree::Punct(_), value] if name == "path" => text(value),
        [TokenTree::Ident(name), TokenTree::Group(list)] if name == "cfg_attr" => of_conditional(list.stream()),
        _ => None,
    }
}

/// The same of what stands in the brackets of `cfg_attr(…)`: a condition, then attributes.
pub(super) fn of_conditional(list: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = list.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let mut attributes = tokens.split(is_comma).skip(1);
    attributes.find_map(|attribute| of_attribute(attribute.iter().cloned().collect()))
}

/// The value of a string.
fn text(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    match syn::Lit::new(literal.clone()) {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_whatever_way_they_are_named() {
        for (text, is_include) in [
            ("#[path = \"a.rs\"] mod b;", false),
            ("#[cfg_attr(all(), path = \"a.rs\")] mod b;", false),
            (
                "#[cfg_attr(all(), allow(x), cfg_attr(y, path = \"a.rs\"))] mod b;",
                false,
            ),
            ("macro_rules! m { () => { #[path = r\"a.rs\"] mod b; } }", false),
            ("m! { #[cfg_attr(all(), path = \"a.rs\")] mod b; }", false),
            ("include!(\"a.rs\");", true),
            ("fn a() { std::include! { \"a.rs\" } }", true),
            ("macro_rules! m { () => { include!(\"a.rs\"); } }", true),
        ] {
            let named = Named {
                line: 1,
                path: "a.rs".to_owned(),
                is_include,
            };
            assert_eq!(named_files(text.parse().expect("Rust")), [named], "{text}");
        }
    }

    #[test]
    fn other_words_name_no_file() {
        for text in [
            "mod b;",
            "#[serde(path = \"a.rs\")] struct A;",
            "say!(\"{path}\", path = \"a.rs\");",
            "const A: &str = include_str!(\"a.rs\");",
            "include!(concat!(env!(\"OUT_DIR\"), \"/a.rs\"));",
            "// #[path = \"a.rs\"] mod b;",
        ] {
            assert_eq!(named_files(text.parse().expect("Rust")), [], "{text}");
        }
    }
}
