//! What the names in a crate mean: to which file an import or path leads.

use std::collections::BTreeMap;

use crate::tidy::modules::{Crate, Module};

/// Imports that are followed for one name; more there are only in circles of them.
const STEPS_MAX: u32 = 16;

/// The arrows from a file to a file.
pub(super) type Arrows = BTreeMap<(String, String), Seen>;

/// Where an arrow is seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: usize,
    /// The path that makes it.
    pub(super) path: String,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Meaning {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

/// The arrows between the files of a crate.
pub(super) fn arrows_of(modules: &Crate) -> Arrows {
    let names = Names {
        modules: &modules.modules,
    };
    let mut arrows = BTreeMap::new();
    for (index, module) in modules.modules.iter().enumerate() {
        let mut add = |to: usize, path: &[String], line: usize| {
            let to = modules.modules.get(to).filter(|to| to.file != module.file);
            if let Some(to) = to {
                let seen = Seen {
                    line,
                    path: path.join("::"),
                };
                arrows.entry((module.file.clone(), to.file.clone())).or_insert(seen);
            }
        };
        for import in &module.imports {
            let to = match names.path(index, &import.path, STEPS_MAX) {
                Some(Meaning::Item(to)) => to,
                // All names of a module, rather than the module's own.
                Some(Meaning::Module(to)) if import.name.is_none() => to,
                _ => continue,
            };
            if !(import.is_public && modules.above(to).any(|above| above == index)) {
                add(to, &import.path, import.line);
            }
        }
        for found in &module.uses {
            if let Some(Meaning::Item(to)) = names.path(index, &found.path, STEPS_MAX) {
                add(to, &found.path, found.line);
            }
        }
    }
    arrows
}

struct Names<'a> {
    modules: &'a [Module],
}

impl Names<'_> {
    /// What a path in a module leads to; nothing if it is of another crate.
    fn path(&self, from: usize, path: &[String], steps: u32) -> Option<Meaning> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut meaning = match first.as_str() {
            "crate" => Meaning::Module(0),
            "self" => Meaning::Module(from),
            "super" => Meaning::Module(self.modules.get(from)?.parent?),
            name => self.name(from, name, steps)?,
        };
        while let (Meaning::Module(module), Some((name, more))) = (meaning, rest.split_first()) {
            meaning = if name == "super" {
                Meaning::Module(self.modules.get(module)?.parent?)
            } else {
                // What is not found a macro has defined.
                self.name(module, name, steps).unwrap_or(Meaning::Item(module))
            };
            rest = more;
        }
        Some(meaning)
    }

    /// What a name means in a module.
    fn name(&self, module: usize, name: &str, steps: u32) -> Option<Meaning> {
        let here = self.modules.get(module)?;
        if let Some(child) = here.children.get(name) {
            return Some(Meaning::Module(*child));
        }
        if here.items.contains(name) {
            return Some(Meaning::Item(module));
        }
        let named = here
            .imports
            .iter()
            .filter(|import| import.name.as_deref() == Some(name));
        // An import of `a::a` is no meaning of its own first word.
        let named = named.filter(|import| import.path.first().is_none_or(|first| first != name));
        if let Some(meaning) = named.filter_map(|import| self.path(module, &import.path, steps)).next() {
            return Some(meaning);
        }
        let mut all = here.imports.iter().filter(|import| import.name.is_none());
        all.find_map(|import| match self.path(module, &import.path, steps)? {
            Meaning::Module(other) if other != module => self.name(other, name, steps.checked_sub(1)?),
            // The variants of an enum have no file of their own.
            _ => None,
        })
    }
}
