//! The cells of a row that hold text, so that every reader of CSV gets back what was written, and no spreadsheet takes a name for a formula.
//!
//! RFC 4180: a cell is quoted where it holds a comma, a quote or a line end. A text that a spreadsheet would calculate (it begins with = + - @,
//! their full-width forms, a tab or a line end) gets an apostrophe in front. So does a text that begins with an apostrophe: then the way
//! back is one rule, "drop a leading apostrophe". Numbers never come this way.

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Programs, and people with care: a text stands as it is unless it could be a formula.
    Any,
    /// A spreadsheet that guesses the type of each cell: a text that it would turn into a number or a date is marked as well.
    Spreadsheet,
}

/// Appends a text.
pub fn text(out: &mut Vec<u8>, text: &str, reader: Reader) {
    let quoted = text.contains([',', '"', '\r', '\n']);
    write(out, text, reader, quoted);
}

/// Appends a text whose digits are no number (a meter's serial): always quoted, which is as much as CSV can say about a type.
pub fn label(out: &mut Vec<u8>, text: &str, reader: Reader) {
    write(out, text, reader, !text.is_empty());
}

fn write(out: &mut Vec<u8>, text: &str, reader: Reader, quoted: bool) {
    if quoted {
        out.push(b'"');
    }
    if is_formula(text) || text.starts_with('\'') || (reader == Reader::Spreadsheet && is_guessed(text)) {
        out.push(b'\'');
    }
    for b in text.bytes() {
        if b == b'"' {
            out.push(b'"');
        }
        out.push(b);
    }
    if quoted {
        out.push(b'"');
    }
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// Whether a spreadsheet would show something else than this text: 00123 loses its zeros, 123456789012 becomes 1.23E+11, 15-2-1 and MAR1 dates.
fn is_guessed(text: &str) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let numeric = |c: char| c.is_ascii_digit() || " .,:/-+%eE年月日".contains(c);
    let month = text.get(..3).is_some_and(|head| MONTHS.iter().any(|m| m.eq_ignore_ascii_case(head)));
    text.chars().all(numeric) || month
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(s: &str) -> String {
        let mut out = vec![];
        text(&mut out, s, Reader::Any);
        String::from_utf8(out).unwrap()
    }

    fn sheet(s: &str) -> String {
        let mut out = vec![];
        text(&mut out, s, Reader::Spreadsheet);
        String::from_utf8(out).unwrap()
    }

    /// What a reader does: one rule.
    fn back(cell: &str) -> &str {
        cell.strip_prefix('\'').unwrap_or(cell)
    }

    #[test]
    fn quotes_only_where_they_must_be() {
        assert_eq!(cell("15号楼 总表"), "15号楼 总表");
        assert_eq!(cell(""), "");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("\"王\""), "\"\"\"王\"\"\"");
        assert_eq!(cell("a\nb"), "\"a\nb\"");
        let mut out = vec![];
        label(&mut out, "00123", Reader::Any);
        label(&mut out, "", Reader::Any);
        assert_eq!(out, b"\"00123\"");
    }

    #[test]
    fn what_could_be_calculated_is_marked() {
        for bad in ["=1+1", "+1", "-1层", "@SUM(A1)", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠x", "=cmd|' /C calc'!A0", "'x"] {
            let marked = cell(bad);
            assert!(marked.trim_start_matches('"').starts_with('\''), "{marked}");
        }
        assert_eq!(cell("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        assert_eq!(cell("a=b"), "a=b");
    }

    #[test]
    fn what_a_spreadsheet_would_guess_is_marked_for_it_alone() {
        for guessed in ["00123", "123456789012", "15-2-1", "3/1", "1E5", "MAR1", "sep01", "12.50", "10:30", "3月1日", "50%"] {
            assert_eq!(sheet(guessed), format!("'{guessed}"));
            assert_eq!(cell(guessed), guessed);
        }
        for plain in ["15号楼", "SN-0042", "h1-101", "Mary", "1单元", "社区", "A00123"] {
            assert_eq!(sheet(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_is_a_formula(texts in prop::collection::vec("\\PC*|[=+@'\",\\-\r\n\t1a号]{0,6}", 1..6), guess: bool) {
            let reader = if guess { Reader::Spreadsheet } else { Reader::Any };
            let mut out = vec![];
            for (i, t) in texts.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                if i % 2 == 0 { text(&mut out, t, reader) } else { label(&mut out, t, reader) }
            }
            // A row of one empty cell is an empty line, which readers skip; rows of exports have many cells.
            out.extend_from_slice(b",end\r\n");
            let mut csv = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
            let rows: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(rows[0].len(), texts.len() + 1);
            for (cell, wanted) in rows[0].iter().zip(&texts) {
                prop_assert!(!is_formula(cell));
                prop_assert_eq!(back(cell), wanted);
            }
        }
    }
}
