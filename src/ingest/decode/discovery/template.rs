//! The part of Home Assistant's `value_template` that only says where a value stands.
//!
//! A template is a program (Jinja), and none is run here. Followed are one `{{ … }}` with `value`, or `value_json` and the steps behind
//! it, and the filters that leave a good value as it is. What computes is refused: a reading is what the meter said.

use super::super::shown;
use std::fmt;

/// The most steps of a place: what a [`Pointer`](crate::domain::device::Pointer) can have.
const DEPTH_LIMIT: usize = 32;

/// Why a template cannot be followed. `found` is what stands there, made short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It is not one `{{ … }}` and nothing else.
    Form { found: String },
    /// It begins with neither `value` nor `value_json`.
    Source { found: String },
    /// What follows is neither a step nor a filter.
    Step { found: String },
    /// A filter that changes the value, or makes one up where there is none.
    Filter { found: String },
    /// It has more steps than `limit`.
    TooDeep { limit: usize },
}

/// The place that `template` names, as a JSON pointer; `""` is the whole payload.
pub(super) fn place(template: &str) -> Result<String, TemplateError> {
    let whole = template.trim();
    let inside = whole.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).ok_or_else(|| TemplateError::Form { found: shown(whole) })?;
    let mut rest = Rest(inside.trim());
    let start = rest.0;
    let mut place = String::new();
    match rest.name() {
        Some("value") => {}
        Some("value_json") => steps(&mut rest, &mut place)?,
        _ => return Err(TemplateError::Source { found: shown(start) }),
    }
    while rest.takes('|') {
        filter(&mut rest)?;
    }
    if rest.0.is_empty() { Ok(place) } else { Err(TemplateError::Step { found: shown(rest.0) }) }
}

fn steps(rest: &mut Rest<'_>, place: &mut String) -> Result<(), TemplateError> {
    for _ in 0..=DEPTH_LIMIT {
        let before = rest.0;
        let name = if rest.takes('.') {
            rest.name()
        } else if rest.takes('[') {
            rest.quoted().or_else(|| rest.index()).filter(|_| rest.takes(']'))
        } else {
            return Ok(());
        };
        let name = name.ok_or_else(|| TemplateError::Step { found: shown(before) })?;
        place.push('/');
        // In this order, or the "~" of "~1" would be escaped again.
        place.push_str(&name.replace('~', "~0").replace('/', "~1"));
    }
    Err(TemplateError::TooDeep { limit: DEPTH_LIMIT })
}

/// One filter, if it is harmless. The number in `float(0)` is what Home Assistant takes where there is none; here such a message is
/// refused, which is better than a meter that stands at 0. `int` cuts the fraction off there; here it is kept.
fn filter(rest: &mut Rest<'_>) -> Result<(), TemplateError> {
    let before = rest.0;
    let harmless = match rest.name() {
        Some("float" | "int") => !rest.takes('(') || (rest.number() && rest.takes(')')),
        Some("is_defined") => true,
        _ => false,
    };
    if harmless { Ok(()) } else { Err(TemplateError::Filter { found: shown(before) }) }
}

/// What of the expression is still to be read. White space is of no meaning before anything in it.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    /// Passes `sign`, if it is what stands next.
    fn takes(&mut self, sign: char) -> bool {
        let behind = self.0.trim_start().strip_prefix(sign);
        self.0 = behind.map_or(self.0, str::trim_start);
        behind.is_some()
    }

    /// A name as Jinja has it: letters of any language, digits and `_`; no digit first.
    fn name(&mut self) -> Option<&'t str> {
        let name = self.run(|c| c.is_alphanumeric() || c == '_');
        name.filter(|n| !n.starts_with(char::is_numeric))
    }

    /// A text in quotes of either kind. One with a `\` is not taken: what it stands for would have to be known exactly.
    fn quoted(&mut self) -> Option<&'t str> {
        ['\'', '"'].into_iter().find_map(|quote| {
            let (text, behind) = self.0.strip_prefix(quote)?.split_once(quote)?;
            if text.contains('\\') {
                return None;
            }
            self.0 = behind.trim_start();
            Some(text)
        })
    }

    /// The index of an element, counted from the beginning.
    fn index(&mut self) -> Option<&'t str> {
        self.run(|c| c.is_ascii_digit()).filter(|n| *n == "0" || !n.starts_with('0'))
    }

    /// Passes a number; whether there was one.
    fn number(&mut self) -> bool {
        self.takes('-');
        self.run(|c| c.is_ascii_digit() || c == '.').is_some_and(|n| n.parse::<f64>().is_ok())
    }

    /// The characters at the head that are `of` one kind, if there are any.
    fn run(&mut self, of: impl Fn(char) -> bool) -> Option<&'t str> {
        let len = self.0.find(|c| !of(c)).unwrap_or(self.0.len());
        let (run, behind) = self.0.split_at_checked(len).filter(|(run, _)| !run.is_empty())?;
        self.0 = behind.trim_start();
        Some(run)
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Form { found } => {
                write!(f, "the template {found:?} is more than a place; right is one like {{{{ value_json.total }}}} and nothing around it")
            }
            TemplateError::Source { found } => {
                write!(f, "the template reads {found:?}; right is value for the whole payload, or value_json with a place behind it")
            }
            TemplateError::Step { found } => {
                write!(f, "the template goes on with {found:?}; right are steps like .total, ['total'] and [0], and filters like | float")
            }
            TemplateError::Filter { found } => {
                write!(f, "the template's filter {found:?} is not followed; right are float, float(0), int and is_defined, or none")
            }
            TemplateError::TooDeep { limit } => write!(f, "the template's place has more than {limit} steps"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Pointer;

    #[test]
    fn a_template_that_names_a_place_is_followed() {
        let cases = [
            ("{{ value }}", ""),
            ("{{value}}", ""),
            ("{{ value | float }}", ""),
            ("{{ value_json }}", ""),
            ("{{ value_json.total }}", "/total"),
            ("{{ value_json.tem | is_defined }}", "/tem"),
            ("{{value_json.a.b}}", "/a/b"),
            (" {{ value_json['a']['b'] }}\n", "/a/b"),
            ("{{ value_json[\"a\"][\"b\"] }}", "/a/b"),
            ("{{ value_json['ENERGY'].Total }}", "/ENERGY/Total"),
            ("{{ value_json.data[0]['v'] }}", "/data/0/v"),
            ("{{ value_json[10] }}", "/10"),
            ("{{ value_json . a [ 'b' ] | float }}", "/a/b"),
            ("{{ value_json.a|float|int }}", "/a"),
            ("{{ value_json.a | float(0) }}", "/a"),
            ("{{ value_json.a | float( -1.5 ) | is_defined }}", "/a"),
            ("{{ value_json.a | int(0) }}", "/a"),
            ("{{ value_json['a/b']['m~n']['~1'] }}", "/a~1b/m~0n/~01"),
            ("{{ value_json['input:2'].counts.total }}", "/input:2/counts/total"),
            ("{{ value_json[\"it's\"][' }} '] }}", "/it's/ }} "),
            ("{{ value_json.水表['读数'] }}", "/水表/读数"),
            ("{{ value_json[''] }}", "/"),
            ("{{ value_json.value_json.if }}", "/value_json/if"),
        ];
        for (template, want) in cases {
            assert_eq!(place(template), Ok(want.into()), "{template:?}");
            assert_eq!(Pointer::parse(want).map(|p| p.to_string()), Ok(want.into()), "{template:?}");
        }
    }

    #[test]
    fn a_template_that_is_no_single_expression_is_refused() {
        for template in
            ["", "value", "{{ value", "{ value }", "{% if value %}1{% endif %}", "{{ value }} m³", "x{{ value }}", "{{}", "}}{{"]
        {
            assert_eq!(place(template), Err(TemplateError::Form { found: template.into() }), "{template:?}");
        }
    }

    #[test]
    fn a_template_that_reads_something_else_is_refused() {
        for (template, found) in [
            ("{{ states('sensor.x') }}", "states('sensor.x')"),
            ("{{ values }}", "values"),
            ("{{ value_jso.a }}", "value_jso.a"),
            ("{{ -value }}", "-value"),
            ("{{ (value_json.a) }}", "(value_json.a)"),
            ("{{ 'value' }}", "'value'"),
            ("{{ 1value }}", "1value"),
            ("{{}}", ""),
            ("{{ {{ value }} }}", "{{ value }}"),
            ("{{- value -}}", "- value -"),
        ] {
            assert_eq!(place(template), Err(TemplateError::Source { found: found.into() }), "{template:?}");
        }
    }

    #[test]
    fn a_template_that_computes_is_refused() {
        for (template, found) in [
            ("{{ value_json.a * 1000 }}", "* 1000"),
            ("{{ value_json.a / 10 | round(2) }}", "/ 10 | round(2)"),
            ("{{ value_json.total-m3 }}", "-m3"),
            ("{{ value_json.a if value_json.a else 0 }}", "if value_json.a else 0"),
            ("{{ value_json.get('a') }}", "('a')"),
            ("{{ value_json.a ~ value_json.b }}", "~ value_json.b"),
            ("{{ value_json.a }}{{ value_json.b }}", "}}{{ value_json.b"),
            ("{{ value_json.a | float * 2 }}", "* 2"),
            ("{{ value.a }}", ".a"),
            ("{{ value[0] }}", "[0]"),
            ("{{ value_json. }}", "."),
            ("{{ value_json.0 }}", ".0"),
            ("{{ value_json[] }}", "[]"),
            ("{{ value_json[-1] }}", "[-1]"),
            ("{{ value_json[01] }}", "[01]"),
            ("{{ value_json[0:2] }}", "[0:2]"),
            ("{{ value_json[a] }}", "[a]"),
            ("{{ value_json['a }}", "['a"),
            ("{{ value_json['a\"] }}", "['a\"]"),
            ("{{ value_json['a' }}", "['a'"),
            ("{{ value_json['a' + 'b'] }}", "['a' + 'b']"),
        ] {
            assert_eq!(place(template), Err(TemplateError::Step { found: found.into() }), "{template:?}");
        }
        // An escape in a name; the message shows it escaped once more.
        assert!(matches!(place(r"{{ value_json['a\x41'] }}"), Err(TemplateError::Step { .. })));
    }

    #[test]
    fn a_filter_that_changes_the_value_is_refused() {
        for (template, found) in [
            ("{{ value_json.a | round(2) }}", "round(2)"),
            ("{{ value_json.a | float | round(2) }}", "round(2)"),
            ("{{ value_json.a | default(0) }}", "default(0)"),
            ("{{ value | multiply(10) | int }}", "multiply(10) | int"),
            ("{{ value_json.a | float(none) }}", "float(none)"),
            ("{{ value_json.a | float(0 }}", "float(0"),
            ("{{ value_json.a | float() }}", "float()"),
            ("{{ value_json.a | float(1.2.3) }}", "float(1.2.3)"),
            ("{{ value_json.a | }}", ""),
            ("{{ value_json.a || float }}", "| float"),
        ] {
            assert_eq!(place(template), Err(TemplateError::Filter { found: found.into() }), "{template:?}");
        }
    }

    #[test]
    fn a_place_is_as_deep_as_a_pointer_can_be() {
        let deep = |n| place(&format!("{{{{ value_json{} | float }}}}", ".a".repeat(n)));
        assert_eq!(deep(32), Ok("/a".repeat(32)));
        assert_eq!(deep(33), Err(TemplateError::TooDeep { limit: 32 }));
        assert!(Pointer::parse(&"/a".repeat(DEPTH_LIMIT)).is_ok() && Pointer::parse(&"/a".repeat(DEPTH_LIMIT + 1)).is_err());
    }

    #[test]
    fn a_refusal_names_what_stands_there_and_what_would_be_right() {
        for (template, want) in [
            ("{% x %}", r#"the template "{% x %}" is more than a place; right is one like {{ value_json.total }} and nothing around it"#),
            ("{{ x }}", r#"the template reads "x"; right is value for the whole payload, or value_json with a place behind it"#),
            (
                "{{ value_json.a * 2 }}",
                r#"the template goes on with "* 2"; right are steps like .total, ['total'] and [0], and filters like | float"#,
            ),
            (
                "{{ value | round(1) }}",
                r#"the template's filter "round(1)" is not followed; right are float, float(0), int and is_defined, or none"#,
            ),
        ] {
            assert_eq!(place(template).unwrap_err().to_string(), want);
        }
        let long = format!("{{{{ value_json.a {} }}}}", "+ 1".repeat(20_000));
        assert!(place(&long).unwrap_err().to_string().len() < 250);
    }
}
