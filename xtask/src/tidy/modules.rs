//! The modules of a crate as its files declare them, and what each names of the others.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use super::finding::{Finding, Kind};
use super::sources::Sources;
use crate::paths;

mod named;
mod uses;

pub(crate) use named::{Named, named_files};
pub(crate) use uses::{Import, Use, is_test};

/// Files with their syntax.
pub(crate) type Parsed<'a> = BTreeMap<&'a str, syn::File>;

/// Parses all files of Rust.
pub(crate) fn parse<'a>(sources: &'a Sources, findings: &mut Vec<Finding>) -> Parsed<'a> {
    let mut parsed = Parsed::new();
    for (file, text) in sources.with_ending(".rs") {
        match syn::parse_file(text) {
            Ok(syntax) => {
                parsed.insert(file, syntax);
            }
            Err(error) => {
                let message = format!("it is no Rust: {error}");
                findings.push(Finding::new(file, error.span().start().line, Kind::Unreadable, message));
            }
        }
    }
    parsed
}

/// A crate of cargo's: a library, a program, a test.
#[derive(Debug)]
pub(crate) struct Crate {
    /// The first is the root.
    pub(crate) modules: Vec<Module>,
    /// Files that the modules are in, tests too.
    pub(crate) files: BTreeSet<String>,
}

/// A module, in a file of its own or within another's.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) parent: Option<usize>,
    /// Modules that it declares, by name.
    pub(crate) children: BTreeMap<String, usize>,
    /// Names of what else it defines.
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Paths in its code.
    pub(crate) uses: Vec<Use>,
}

impl Crate {
    /// The modules that can be reached from the file at the root of the crate.
    pub(crate) fn of(root: &str, sources: &Sources, parsed: &Parsed<'_>) -> Crate {
        let mut found = Crate {
            modules: Vec::new(),
            files: BTreeSet::new(),
        };
        let place = Place {
            file: root.to_owned(),
            folder: paths::folder(root).to_owned(),
            is_in_file: false,
        };
        found.add_file(&place, None, sources, parsed);
        found
    }

    /// The modules that a module is in, from the nearest to the root.
    pub(crate) fn above(&self, module: usize) -> impl Iterator<Item = usize> {
        let parent = |module: &usize| self.modules.get(*module)?.parent;
        std::iter::successors(parent(&module), parent)
    }

    /// Whether the module of a file is in that of another, at whatever depth.
    pub(crate) fn is_below(&self, file: &str, above: &str) -> bool {
        let is_above = |module: usize| self.modules.get(module).is_some_and(|module| module.file == above);
        let module = self.modules.iter().position(|module| module.file == file);
        file != above && module.is_some_and(|module| self.above(module).any(is_above))
    }

    fn add_file(
        &mut self,
        place: &Place,
        parent: Option<usize>,
        sources: &Sources,
        parsed: &Parsed<'_>,
    ) -> Option<usize> {
        // A file may be named twice, by `#[path]`; what it names in turn is looked at once.
        if !self.files.insert(place.file.clone()) {
            return None;
        }
        let syntax = parsed.get(place.file.as_str())?;
        Some(self.add(place, parent, &syntax.items, sources, parsed))
    }

    fn add(
        &mut self,
        place: &Place,
        parent: Option<usize>,
        items: &[syn::Item],
        sources: &Sources,
        parsed: &Parsed<'_>,
    ) -> usize {
        let index = self.modules.len();
        let mut module = Module {
            file: place.file.clone(),
            parent,
            items: items.iter().filter_map(name_of).collect(),
            ..Module::default()
        };
        let mut scan = uses::Scan::default();
        items.iter().for_each(|item| scan.visit_item(item));
        (module.imports, module.uses) = (scan.imports, scan.uses);
        self.modules.push(module);
        for item in items {
            let syn::Item::Mod(declared) = item else {
                continue;
            };
            let name = uses::plain(&declared.ident);
            let child = if let Some((_, items)) = &declared.content {
                // The tests in a file are no module that anybody else may know.
                let place = place.within(&name);
                if is_test(&declared.attrs) {
                    self.add_declared(&place, items, sources, parsed);
                    continue;
                }
                Some(self.add(&place, Some(index), items, sources, parsed))
            } else if is_test(&declared.attrs) {
                let place = place.declared(declared, sources);
                self.add_test_file(&place, sources, parsed);
                continue;
            } else {
                self.add_file(&place.declared(declared, sources), Some(index), sources, parsed)
            };
            if let Some(child) = child
                && let Some(module) = self.modules.get_mut(index)
            {
                module.children.insert(name, child);
            }
        }
        index
    }

    /// Notes the file of a module that is compiled for tests only, and of those below it; their code does not count.
    fn add_test_file(&mut self, place: &Place, sources: &Sources, parsed: &Parsed<'_>) {
        if self.files.insert(place.file.clone())
            && let Some(syntax) = parsed.get(place.file.as_str())
        {
            self.add_declared(place, &syntax.items, sources, parsed);
        }
    }

    fn add_declared(&mut self, place: &Place, items: &[syn::Item], sources: &Sources, parsed: &Parsed<'_>) {
        for item in items {
            match item {
                syn::Item::Mod(declared) if declared.content.is_none() => {
                    self.add_test_file(&place.declared(declared, sources), sources, parsed);
                }
                syn::Item::Mod(declared) => {
                    let items = declared.content.as_ref().map_or(&[][..], |(_, items)| items);
                    self.add_declared(&place.within(&uses::plain(&declared.ident)), items, sources, parsed);
                }
                _ => {}
            }
        }
    }
}

/// A module's file, and where the files of modules are that it declares.
struct Place {
    file: String,
    folder: String,
    /// Whether it is a module within a file.
    is_in_file: bool,
}

impl Place {
    fn within(&self, name: &str) -> Place {
        Place {
            file: self.file.clone(),
            folder: paths::join(&self.folder, name).unwrap_or_default(),
            is_in_file: true,
        }
    }

    /// The file of a module that is declared here, whether it is there or not.
    fn declared(&self, declared: &syn::ItemMod, sources: &Sources) -> Place {
        let name = uses::plain(&declared.ident);
        if let Some(path) = named_path(&declared.attrs) {
            // Beside the file, whatever directory the file's other modules are in.
            let from = if self.is_in_file {
                &self.folder
            } else {
                paths::folder(&self.file)
            };
            let file = paths::join(from, &path).unwrap_or(path);
            let folder = paths::folder(&file).to_owned();
            return Place {
                file,
                folder,
                is_in_file: false,
            };
        }
        let folder = paths::join(&self.folder, &name).unwrap_or_default();
        let beside = format!("{folder}.rs");
        let file = if sources.is_there(&beside) {
            beside
        } else {
            format!("{folder}/mod.rs")
        };
        Place {
            file,
            folder,
            is_in_file: false,
        }
    }
}

/// What `#[path = "…"]` says, or a `cfg_attr` with it.
fn named_path(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        syn::Meta::List(list) if list.path.is_ident("cfg_attr") => named::of_conditional(list.tokens.clone()),
        _ => None,
    })
}

/// The name that an item defines, but for modules and imports.
fn name_of(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(uses::plain(ident))
}
