//! Reads a TOML table field by field, and answers every mistake with its place and the alternatives.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use host::suggest;

/// The file being read.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Document<'_> {
    /// A mistake at `span`.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.file, self.text, span, message)
    }

    /// A path as the file means it: relative ones start at the file's directory.
    pub(super) fn relative(&self, path: &Found<String>) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path.get_ref())
    }
}

/// A table whose keys were checked against those that are known.
pub(super) struct Fields<'a> {
    document: Document<'a>,
    table: &'a DeTable<'a>,
    /// The table as the file calls it: `[[kernel]]`.
    name: &'static str,
    span: Range<usize>,
}

/// A value and where it stands.
pub(super) type Found<T> = Spanned<T>;

impl<'a> Fields<'a> {
    /// Takes a table, and refuses keys that are not in `known`.
    pub(super) fn new(
        document: Document<'a>,
        name: &'static str,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        known: &[&str],
    ) -> Result<Self, Diagnostic> {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if !known.contains(&word) {
                let error = document.error(key.span(), format!("unknown key `{word}` in {name}"));
                return Err(error.help(suggest::hint(word, "keys", known)));
            }
        }
        Ok(Fields {
            document,
            table,
            name,
            span,
        })
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Where a key stands (the table itself if the key is absent).
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        self.table
            .get_key_value(key)
            .map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<Found<String>>, Diagnostic> {
        self.value(key).map(|value| self.as_string(key, value)).transpose()
    }

    pub(super) fn required(&self, key: &str, example: &str) -> Result<Found<String>, Diagnostic> {
        self.string(key)?.ok_or_else(|| {
            let error = self
                .document
                .error(self.span.clone(), format!("missing key `{key}` in {}", self.name));
            error.help(format!("add a line like `{key} = {example}`"))
        })
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, Diagnostic> {
        self.value(key)
            .map(|value| {
                value
                    .get_ref()
                    .as_bool()
                    .ok_or_else(|| self.wrong_type(key, value, "true or false"))
            })
            .transpose()
    }

    /// A string, or a list of them.
    pub(super) fn strings(&self, key: &str) -> Result<Option<Vec<Found<String>>>, Diagnostic> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let Some(list) = value.get_ref().as_array() else {
            return Ok(Some(vec![self.as_string(key, value)?]));
        };
        if list.is_empty() {
            return Err(self.document.error(value.span(), format!("`{key}` is an empty list")));
        }
        list.iter()
            .map(|item| self.as_string(key, item))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The tables of `[[…key]]`.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<(&'a DeTable<'a>, Range<usize>)>, Diagnostic> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let wanted = format!("a list of tables; write its header as [[{key}]]");
        let list = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong_type(key, value, &wanted))?;
        list.iter()
            .map(|item| {
                let table = item
                    .get_ref()
                    .as_table()
                    .ok_or_else(|| self.wrong_type(key, item, &wanted))?;
                Ok((table, item.span()))
            })
            .collect()
    }

    fn as_string(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Found<String>, Diagnostic> {
        let text = value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type(key, value, "a string in quotes"))?;
        if text.trim().is_empty() {
            return Err(self.document.error(value.span(), format!("`{key}` is empty")));
        }
        Ok(Spanned::new(value.span(), text.to_owned()))
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Diagnostic {
        let found = value.get_ref().type_str();
        self.document
            .error(value.span(), format!("`{key}` is of type {found}"))
            .help(format!("expected {wanted}"))
    }
}
