//! Walks a parsed TOML document and keeps every mistake on the way.
//!
//! serde stops at the first error, an installer on a roof wants all of them: so a wrong value is noted and answered with `None`, and the
//! walk goes on. Whether the config is good is asked once, at the end: no problems noted.

use super::problem::{Problem, mask, quote};
use super::suggest;
use super::syntax;
use super::values::{Parsed, Wrong};
use crate::domain::units::Decimal;
use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error};

/// The keys that a table may have.
pub(super) struct Shape {
    /// Dotted path with `[]` for lists: `mqtt.subscriptions[]`. Empty for the root.
    pub path: &'static str,
    pub keys: &'static [&'static str],
    /// Keys that people bring along from other programs, and what to write here instead.
    pub hints: &'static [(&'static str, &'static str)],
}

impl Shape {
    /// As it stands between the brackets of a table's header.
    fn header(&self) -> String {
        self.path.replace("[]", "")
    }
}

/// The text of a config file and the problems found in it so far.
pub(super) struct Doc<'d> {
    text: &'d str,
    /// Where what was added from elsewhere begins.
    begins: usize,
    line_starts: Vec<usize>,
    notes: RefCell<Vec<Note>>,
}

/// A problem that was found, and how far to trust it.
struct Note {
    problem: Problem,
    /// It says that something is absent: after a syntax error it may merely have been unreadable.
    absence: bool,
}

impl<'d> Doc<'d> {
    pub fn new(text: &'d str) -> Doc<'d> {
        Doc::with_added(text, text.len())
    }

    /// From `begins` on it is no part of the file.
    pub fn with_added(text: &'d str, begins: usize) -> Doc<'d> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Doc { text, begins, line_starts, notes: RefCell::default() }
    }

    pub fn root(&'d self, table: &'d Spanned<DeTable<'d>>, shape: &'static Shape) -> Table<'d> {
        Table::open(self, String::new(), 0..0, table.get_ref(), shape)
    }

    fn note(&self, span: &Range<usize>, key: &str, wrong: Wrong, absence: bool) {
        let problem = problem_at(self.text, &self.line_starts, span.start, key, wrong);
        self.notes.borrow_mut().push(Note { problem, absence });
    }

    /// All problems in the order of the text. After syntax errors, what only follows from them is left out.
    pub fn finish(self, syntax: &[Error]) -> Vec<Problem> {
        let mut out: Vec<Problem> = syntax.iter().map(|e| self.syntax_problem(e)).collect();
        // The parser may complain about one slip several times; the first complaint of a line is the one that helps.
        out.sort_by_key(|p| (p.line, p.column));
        out.dedup_by_key(|p| p.line);
        let broken: Vec<usize> = out.iter().map(|p| p.line).collect();
        let told = self.notes.into_inner().into_iter().filter(|n| broken.is_empty() || !(n.absence || broken.contains(&n.problem.line)));
        out.extend(told.map(|n| n.problem));
        out.sort_by_key(|p| (p.line, p.column));
        out
    }

    fn syntax_problem(&self, e: &Error) -> Problem {
        let start = e.span().map_or(0, |s| s.start);
        let mut p = problem_at(self.text, &self.line_starts, start, "syntax", syntax::words(e));
        if let Some(right) = self.text.lines().nth(p.line - 1).and_then(syntax::full_width) {
            p.right = right;
        }
        p
    }
}

fn problem_at(text: &str, line_starts: &[usize], at: usize, key: &str, wrong: Wrong) -> Problem {
    let at = at.min(text.len());
    let line = line_starts.partition_point(|s| *s <= at).max(1);
    let start = line_starts.get(line - 1).copied().unwrap_or(0);
    let column = text.get(start..at).map_or(1, |s| s.chars().count() + 1);
    let quote = quote(text[start..].lines().next().unwrap_or(""), column);
    Problem { line, column, key: key.to_owned(), what: wrong.what, right: wrong.right, quote }
}

/// A table of the document, its unknown keys already complained about.
#[derive(Clone)]
pub(super) struct Table<'d> {
    doc: &'d Doc<'d>,
    path: String,
    span: Range<usize>,
    map: &'d DeTable<'d>,
    shape: &'static Shape,
}

impl<'d> Table<'d> {
    fn open(doc: &'d Doc<'d>, path: String, span: Range<usize>, map: &'d DeTable<'d>, shape: &'static Shape) -> Table<'d> {
        let table = Table { doc, path, span, map, shape };
        for key in map.keys().filter(|k| !shape.keys.contains(&k.get_ref().as_ref())) {
            table.unknown(key);
        }
        table
    }

    fn unknown(&self, key: &Spanned<DeString<'d>>) {
        let name = key.get_ref();
        let hint = self.shape.hints.iter().find(|(k, _)| k == name).map(|(_, hint)| (*hint).to_owned());
        let right = hint.unwrap_or_else(|| suggest::advice(name, self.shape.keys));
        let path = self.key(name);
        self.doc.note(&key.span(), &path, Wrong::new(format!("unknown key `{name}`"), right), false);
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Line of the file where the table begins.
    pub fn line(&self) -> usize {
        self.doc.line_starts.partition_point(|s| *s <= self.span.start)
    }

    /// It is no part of the file.
    pub fn is_added(&self) -> bool {
        self.span.start >= self.doc.begins
    }

    /// The value of `key`, if the file has it.
    pub fn get(&self, key: &'static str) -> Option<Field<'d>> {
        debug_assert!(self.shape.keys.contains(&key), "{key} is missing in the shape of {}", self.shape.path);
        let value = self.map.get(key)?;
        Some(Field { doc: self.doc, key: self.key(key), span: value.span(), value: value.get_ref() })
    }

    /// The value of `key`; its absence is a problem of the table. `right` says what to write.
    pub fn need(&self, key: &'static str, right: &str) -> Option<Field<'d>> {
        let field = self.get(key);
        // A misspelt key was complained about already; it is not missing as well.
        if field.is_none() && !self.is_misspelt(key) {
            self.absent(key, format!("`{key}` is missing"), right);
        }
        field
    }

    fn is_misspelt(&self, key: &str) -> bool {
        let unknown = self.map.keys().map(|k| k.get_ref().as_ref()).filter(|k| !self.shape.keys.contains(k));
        unknown.into_iter().any(|k| suggest::nearest(k, self.shape.keys.iter().copied()) == Some(key))
    }

    /// Notes at the table's own line that something about `key` is not there.
    pub fn absent(&self, key: &str, what: impl Into<String>, right: impl Into<String>) {
        self.doc.note(&self.span, &self.key(key), Wrong::new(what, right), true);
    }

    /// The table at `key`.
    pub fn table(&self, key: &'static str, shape: &'static Shape) -> Option<Table<'d>> {
        let field = self.get(key)?;
        match field.value {
            DeValue::Table(map) => Some(Table::open(self.doc, field.key, field.span, map, shape)),
            _ => {
                let right = format!("a table: `[{}]`, or {{ … }} on one line", shape.header());
                field.wrong_type(&right)
            }
        }
    }

    /// The tables of the list at `key`; none where the file has no such list.
    pub fn tables(&self, key: &'static str, shape: &'static Shape) -> Vec<Table<'d>> {
        let Some(field) = self.get(key) else { return Vec::new() };
        let right = format!("a list of tables: `[[{}]]` above each, or {key} = [ {{ … }}, {{ … }} ]", shape.header());
        let DeValue::Array(items) = field.value else {
            field.wrong_type::<()>(&right);
            return Vec::new();
        };
        let entry = |(i, item): (usize, &'d Spanned<DeValue<'d>>)| {
            let path = format!("{}[{i}]", field.key);
            match item.get_ref() {
                DeValue::Table(map) => Some(Table::open(self.doc, path, item.span(), map, shape)),
                value => Field { doc: self.doc, key: path, span: item.span(), value }.wrong_type(&right),
            }
        };
        items.iter().enumerate().filter_map(entry).collect()
    }
}

/// A value of the document.
#[derive(Clone)]
pub(super) struct Field<'d> {
    doc: &'d Doc<'d>,
    pub key: String,
    span: Range<usize>,
    value: &'d DeValue<'d>,
}

impl<'d> Field<'d> {
    /// Notes that this value is wrong. Returns None for the caller to pass on.
    pub fn wrong<T>(&self, what: impl Into<String>, right: impl Into<String>) -> Option<T> {
        self.doc.note(&self.span, &self.key, Wrong::new(what, right), false);
        None
    }

    /// Notes that this value names something that is not there.
    pub fn dangling<T>(&self, what: impl Into<String>, right: impl Into<String>) -> Option<T> {
        self.doc.note(&self.span, &self.key, Wrong::new(what, right), true);
        None
    }

    fn wrong_type<T>(&self, right: &str) -> Option<T> {
        let article = if matches!(self.value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
        let kind = match self.value {
            DeValue::Array(_) => "array",
            DeValue::Datetime(_) => "date",
            v => v.type_str(),
        };
        match self.value {
            DeValue::Table(_) | DeValue::Array(_) => self.wrong(format!("{article} {kind} stands here"), right),
            _ => self.wrong(format!("{article} {kind} stands here: {}", self.literal()), right),
        }
    }

    /// The value as it is written in the file, secrets masked.
    fn literal(&self) -> String {
        let written = self.doc.text.get(self.span.clone()).unwrap_or("?");
        mask(&format!("{} = {written}", self.key)).rsplit_once("= ").map_or_else(String::new, |(_, v)| v.to_owned())
    }

    /// The entries of this table, whose keys are free.
    pub fn entries(&self, right: &str) -> Option<Vec<(&'d str, Field<'d>)>> {
        let DeValue::Table(map) = self.value else { return self.wrong_type(right) };
        let field = |key: &'d str, value: &'d Spanned<DeValue<'d>>| {
            (key, Field { doc: self.doc, key: format!("{}.{key}", self.key), span: value.span(), value: value.get_ref() })
        };
        Some(map.iter().map(|(k, v)| field(k.get_ref().as_ref(), v)).collect())
    }

    /// The elements of this list, or the value itself where it is none.
    pub fn one_or_many(&self) -> Vec<Field<'d>> {
        let DeValue::Array(items) = self.value else { return vec![self.clone()] };
        let field = |(i, item): (usize, &'d Spanned<DeValue<'d>>)| Field {
            doc: self.doc,
            key: format!("{}[{i}]", self.key),
            span: item.span(),
            value: item.get_ref(),
        };
        items.iter().enumerate().map(field).collect()
    }

    /// A text of any kind, also an empty one, also with line breaks.
    pub fn raw(&self) -> Option<&'d str> {
        match self.value {
            DeValue::String(s) => Some(s.as_ref()),
            _ => self.wrong_type("a text in quotes"),
        }
    }

    pub fn is_empty_list(&self) -> bool {
        matches!(self.value, DeValue::Array(items) if items.is_empty())
    }

    pub fn is_false(&self) -> bool {
        matches!(self.value, DeValue::Boolean(false))
    }

    /// For messages that name another place of the file.
    pub fn line(&self) -> usize {
        self.doc.line_starts.partition_point(|s| *s <= self.span.start)
    }

    /// A text that is not empty and fits on one line.
    pub fn text(&self) -> Option<&'d str> {
        let DeValue::String(s) = self.value else { return self.wrong_type("a text in quotes") };
        if s.trim().is_empty() {
            return self.wrong("the text is empty", "a text, or leave the key out");
        }
        if s.chars().any(char::is_control) {
            return self.wrong("the text has a line break or another control character in it", "one line of plain text");
        }
        Some(s.as_ref())
    }

    /// A text that `f` understands.
    pub fn parsed<T>(&self, f: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        if !matches!(self.value, DeValue::String(_)) {
            // No empty text is right, so asking for one tells what is.
            let right = f("").err().map_or("a text in quotes".to_owned(), |w| w.right);
            return self.wrong_type(&right);
        }
        let text = self.text()?;
        f(text).map_or_else(|w| self.wrong(w.what, w.right), Some)
    }

    /// A date (written as such or in quotes) that `f` understands.
    pub fn date<T>(&self, f: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        match self.value {
            DeValue::Datetime(d) => f(&d.to_string()).map_or_else(|w| self.wrong(w.what, w.right), Some),
            DeValue::String(_) => self.parsed(f),
            _ => self.wrong_type("a date: 2010-01-01"),
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let DeValue::String(s) = self.value else { return self.wrong_type(&suggest::one_of(&names)) };
        match words.iter().find(|(w, _)| w == s) {
            Some((_, value)) => Some(*value),
            None => self.wrong(format!("{s:?} is none of the words that can stand here"), suggest::advice(s, &names)),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(b) => Some(*b),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A list of texts, each of which `f` understands.
    pub fn texts<T>(&self, f: impl Fn(&str) -> Parsed<T>) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.value else { return self.wrong_type("a list of texts: [\"…\", \"…\"]") };
        let entry = |(i, item): (usize, &'d Spanned<DeValue<'d>>)| {
            let field = Field { doc: self.doc, key: format!("{}[{i}]", self.key), span: item.span(), value: item.get_ref() };
            field.parsed(&f)
        };
        // Every wrong one is noted before the first ends it.
        let all: Vec<Option<T>> = items.iter().enumerate().map(entry).collect();
        all.into_iter().collect()
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(i) = self.value else { return self.wrong_type(&right) };
        match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(n) if range.contains(&n) => Some(n),
            _ => self.wrong(format!("{} is out of range", self.literal()), right),
        }
    }

    /// A decimal number, as a number or in quotes, exactly as it is written: it never passes through a float.
    pub fn decimal(&self, right: &str) -> Option<Decimal> {
        let written = match self.value {
            DeValue::Integer(i) if i.radix() == 10 => i.as_str(),
            DeValue::Float(x) => x.as_str(),
            DeValue::String(s) => s.as_ref(),
            _ => return self.wrong_type(right),
        };
        match super::values::decimal(written) {
            Ok(d) => Some(d),
            Err(w) => self.wrong(w.what, right),
        }
    }
}
