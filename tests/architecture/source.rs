//! Rust source as far as the rules need it: tokens without comments, and the paths that are named by them.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `::`
    Sep,
    Mark(char),
    /// A string, character or number, as it is written.
    Literal(String),
}

#[derive(Clone, Debug)]
pub struct At {
    pub token: Token,
    /// First and last line, 1-based.
    pub lines: (usize, usize),
}

impl At {
    pub fn word(&self) -> Option<&str> {
        if let Token::Word(w) = &self.token { Some(w) } else { None }
    }
    pub fn is(&self, what: &str) -> bool {
        match &self.token {
            Token::Word(w) => w == what,
            Token::Sep => what == "::",
            Token::Mark(c) => what.chars().eq([*c]),
            Token::Literal(_) => false,
        }
    }
}

/// Where `pattern`, tokens separated by blanks, begins in `tokens`: the first place, if any.
pub fn find(tokens: &[At], pattern: &str) -> Option<usize> {
    let wanted: Vec<&str> = pattern.split_whitespace().collect();
    tokens.windows(wanted.len()).position(|w| w.iter().zip(&wanted).all(|(t, p)| t.is(p)))
}

/// The tokens of a source text. Forgiving: it is only ever given what the compiler takes as well.
pub fn tokens(text: &str) -> Vec<At> {
    let c: Vec<char> = text.chars().collect();
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    while i < c.len() {
        let (start, first) = (i, line);
        let token = match c[i] {
            '/' if c.get(i + 1) == Some(&'/') => {
                i = end_of_line(&c, i);
                None
            }
            '/' if c.get(i + 1) == Some(&'*') => {
                i = end_of_block_comment(&c, i);
                None
            }
            '"' => {
                i = end_of_string(&c, i);
                Some(Token::Literal(c[start..i].iter().collect()))
            }
            '\'' => {
                i = end_of_char_or_lifetime(&c, i);
                Some(Token::Literal(c[start..i].iter().collect()))
            }
            ':' if c.get(i + 1) == Some(&':') => {
                i += 2;
                Some(Token::Sep)
            }
            x if x.is_ascii_digit() => {
                i = end_of_word(&c, i);
                Some(Token::Literal(c[start..i].iter().collect()))
            }
            x if x.is_alphabetic() || x == '_' => {
                i = end_of_word(&c, i);
                let word: String = c[start..i].iter().collect();
                let literal = prefixed_literal(&c, &word, &mut i);
                Some(if literal { Token::Literal(c[start..i].iter().collect()) } else { Token::Word(word) })
            }
            x => {
                i += 1;
                (!x.is_whitespace()).then_some(Token::Mark(x))
            }
        };
        line += c[start..i].iter().filter(|x| **x == '\n').count();
        out.extend(token.map(|token| At { token, lines: (first, line) }));
    }
    out
}

fn end_of_line(c: &[char], from: usize) -> usize {
    c[from..].iter().position(|x| *x == '\n').map_or(c.len(), |n| from + n)
}

fn end_of_word(c: &[char], from: usize) -> usize {
    c[from..].iter().position(|x| !(x.is_alphanumeric() || *x == '_')).map_or(c.len(), |n| from + n)
}

/// Block comments nest.
fn end_of_block_comment(c: &[char], from: usize) -> usize {
    let (mut i, mut depth) = (from, 0);
    while i + 1 < c.len() {
        match (c[i], c[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    c.len()
}

fn end_of_string(c: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < c.len() && c[i] != '"' {
        i += if c[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(c.len())
}

/// `'x'` and `'\u{1F4A7}'` are characters, `'a` is a lifetime.
fn end_of_char_or_lifetime(c: &[char], quote: usize) -> usize {
    if c.get(quote + 1) == Some(&'\\') {
        return c[quote + 3..].iter().position(|x| *x == '\'').map_or(c.len(), |n| quote + 4 + n);
    }
    if c.get(quote + 2) == Some(&'\'') { quote + 3 } else { end_of_word(c, quote + 1) }
}

/// Moves past `b"…"`, `r"…"`, `br##"…"##` and the like: `word` is what stands before the quote. A raw name (`r#type`) is none of them.
fn prefixed_literal(c: &[char], word: &str, i: &mut usize) -> bool {
    if !matches!(word, "b" | "c" | "r" | "br" | "cr") {
        return false;
    }
    let hashes = c[*i..].iter().take_while(|x| **x == '#').count();
    match c.get(*i + hashes).copied().unwrap_or_default() {
        '"' if word.ends_with('r') => {
            let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = *i + hashes + 1;
            *i = c[body..].windows(close.len()).position(|w| w == close).map_or(c.len(), |n| body + n + close.len());
        }
        '"' if hashes == 0 => *i = end_of_string(c, *i),
        '\'' if word == "b" && hashes == 0 => *i = end_of_char_or_lifetime(c, *i),
        _ => return false,
    }
    true
}

/// A path of this crate that is named somewhere, from the crate's root on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
}

/// Every path of this crate that the tokens of `module` name: `crate::…`, `self::…`, `super::…` (also inside `mod x { … }`), groups taken
/// apart. `library` is the crate's name where it is named like a stranger (main.rs).
pub fn paths(tokens: &[At], module: &[String], library: Option<&str>) -> Vec<Named> {
    let (mut out, mut i, mut depth) = (Vec::new(), 0, 0usize);
    // Inline modules that are open here, with the depth at which each closes.
    let mut inline: Vec<(usize, String)> = Vec::new();
    while let Some(at) = tokens.get(i) {
        match &at.token {
            Token::Mark('{') => {
                depth += 1;
                if let [.., m, name] = &tokens[..i]
                    && m.is("mod")
                {
                    inline.extend(name.word().map(|w| (depth, w.to_owned())));
                }
            }
            Token::Mark('}') => {
                inline.retain(|(d, _)| *d < depth);
                depth = depth.saturating_sub(1);
            }
            Token::Word(w) if starts_a_path(tokens, i) => {
                let here = || module.iter().cloned().chain(inline.iter().map(|(_, m)| m.clone())).collect::<Vec<_>>();
                let base = match w.as_str() {
                    "crate" => Some(Vec::new()),
                    w if Some(w) == library => Some(Vec::new()),
                    "self" => Some(here()),
                    "super" => Some(parent(here())),
                    _ => None,
                };
                if let Some(base) = base {
                    i = tree(tokens, i + 2, base, &mut out);
                    continue;
                }
            }
            _ => {}
        }
        i += 1;
    }
    out
}

fn starts_a_path(tokens: &[At], i: usize) -> bool {
    tokens.get(i + 1).is_some_and(|t| t.is("::")) && (i == 0 || !tokens[i - 1].is("::"))
}

fn parent(mut module: Vec<String>) -> Vec<String> {
    module.pop();
    module
}

/// Follows one path or group from token `i` on; returns where it ends.
fn tree(tokens: &[At], mut i: usize, mut prefix: Vec<String>, out: &mut Vec<Named>) -> usize {
    let Some(at) = tokens.get(i) else { return i };
    let line = at.lines.0;
    match &at.token {
        Token::Word(w) => {
            match w.as_str() {
                "super" => prefix = parent(prefix),
                "self" => {}
                _ => prefix.push(w.clone()),
            }
            if tokens.get(i + 1).is_some_and(|t| t.is("::")) {
                return tree(tokens, i + 2, prefix, out);
            }
            out.push(Named { segments: prefix, line });
            i + 1
        }
        Token::Mark('*') => {
            prefix.push("*".into());
            out.push(Named { segments: prefix, line });
            i + 1
        }
        Token::Mark('{') => {
            i += 1;
            while let Some(at) = tokens.get(i) {
                if at.is("}") {
                    return i + 1;
                }
                let names = at.word().is_some() || at.is("{") || at.is("*");
                // `as name` renames what was just recorded.
                i = if at.is("as") {
                    i + 2
                } else if names {
                    tree(tokens, i, prefix.clone(), out)
                } else {
                    i + 1
                };
            }
            i
        }
        // `crate::a::b::<T>`
        _ => {
            out.push(Named { segments: prefix, line });
            i
        }
    }
}

/// The tokens before the unit tests.
pub fn before_tests(tokens: &[At]) -> &[At] {
    &tokens[..find(tokens, "# [ cfg ( test ) ]").unwrap_or(tokens.len())]
}

/// How many lines hold code: no blank lines, no comments.
pub fn code_lines(tokens: &[At]) -> usize {
    let mut lines: Vec<usize> = tokens.iter().flat_map(|t| t.lines.0..=t.lines.1).collect();
    lines.dedup();
    lines.len()
}
