//! Where a kind of device publishes: a topic whose variable levels have names.

use std::fmt;

/// The variable that names the device.
pub const DEVICE: &str = "device";

/// A topic like `{base=waterius}/{device}`: a level is a fixed text or a variable, which may say what usually stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    levels: Box<[Level]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Fixed(Box<str>),
    Variable { name: Box<str>, usual: Option<Box<str>> },
}

/// What stands for the variables of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(Vec<(Box<str>, String)>);

impl Bound {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| **n == *name).map(|(_, v)| v.as_str())
    }

    /// What stands for `{device}`.
    pub fn device(&self) -> Option<&str> {
        self.get(DEVICE)
    }

    /// The same of any device.
    pub fn of_any_device(mut self) -> Bound {
        self.0.retain(|(n, _)| **n != *DEVICE);
        self
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// This level is neither a text without braces nor one variable.
    Level { level: String },
    /// A variable's name is not made of a-z, 0-9 and `_`.
    Name { name: String },
    /// A variable stands there twice.
    Twice { name: String },
    /// `+` and `#` belong to filters.
    Wildcard,
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut levels: Vec<Level> = vec![];
        for level in text.split('/') {
            if level.contains(['+', '#']) {
                return Err(TemplateError::Wildcard);
            }
            let inner = level.strip_prefix('{').and_then(|l| l.strip_suffix('}'));
            let Some(inner) = inner else {
                if level.contains(['{', '}']) {
                    return Err(TemplateError::Level { level: level.to_owned() });
                }
                levels.push(Level::Fixed(level.into()));
                continue;
            };
            let (name, usual) = match inner.split_once('=') {
                Some((name, usual)) => (name, Some(usual)),
                None => (inner, None),
            };
            if usual.is_some_and(|u| u.is_empty() || u.contains(['{', '}'])) {
                return Err(TemplateError::Level { level: level.to_owned() });
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                return Err(TemplateError::Name { name: name.to_owned() });
            }
            if levels.iter().any(|l| matches!(l, Level::Variable { name: other, .. } if **other == *name)) {
                return Err(TemplateError::Twice { name: name.to_owned() });
            }
            levels.push(Level::Variable { name: name.into(), usual: usual.map(Into::into) });
        }
        Ok(Template { text: text.into(), levels: levels.into() })
    }

    /// Any topic names a device.
    pub fn device() -> Template {
        let levels = [Level::Variable { name: DEVICE.into(), usual: None }];
        Template { text: "{device}".into(), levels: levels.into() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many levels it has.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    pub fn has_device(&self) -> bool {
        self.levels.iter().any(|l| matches!(l, Level::Variable { name, .. } if **name == *DEVICE))
    }

    /// How many levels are what the template says: a fixed text, or what usually stands for a variable.
    pub fn as_written(&self, bound: &Bound) -> usize {
        let written = |l: &&Level| match l {
            Level::Fixed(_) => true,
            Level::Variable { name, usual } => usual.is_some() && bound.get(name) == usual.as_deref(),
        };
        self.levels.iter().filter(written).count()
    }

    /// True if one level at least is what the template says, and no variable stands for something unusual.
    pub fn is_usual(&self, bound: &Bound) -> bool {
        let unusual = |l: &Level| match l {
            Level::Fixed(_) => false,
            Level::Variable { name, usual } => usual.is_some() && bound.get(name) != usual.as_deref(),
        };
        self.as_written(bound) > 0 && !self.levels.iter().any(unusual)
    }

    /// The filter that hears every device, with `+` for it: each other variable stands as in `bound`, or as usual. The error is the name of
    /// the variable that neither says.
    pub fn filter(&self, bound: &Bound) -> Result<String, &str> {
        let mut out = String::new();
        for (i, level) in self.levels.iter().enumerate() {
            if i > 0 {
                out.push('/');
            }
            match level {
                Level::Fixed(text) => out.push_str(text),
                Level::Variable { name, usual } => match (bound.get(name), usual) {
                    (Some(value), _) => out.push_str(value),
                    (None, _) if **name == *DEVICE => out.push('+'),
                    (None, Some(usual)) => out.push_str(usual),
                    (None, None) => return Err(name),
                },
            }
        }
        Ok(out)
    }

    /// What stands for the variables in `topic`, which may be a filter with `+`. Only `{device}` may span several levels. None if it does
    /// not fit.
    pub fn bind(&self, topic: &str) -> Option<Bound> {
        let there: Vec<&str> = topic.split('/').collect();
        let spare = there.len().checked_sub(self.levels.len())?;
        if spare > 0 && !self.has_device() {
            return None;
        }
        let (mut bound, mut at) = (Bound::default(), 0);
        for level in &self.levels {
            let name = match level {
                Level::Fixed(text) => {
                    if **text != **there.get(at)? {
                        return None;
                    }
                    at += 1;
                    continue;
                }
                Level::Variable { name, .. } => name,
            };
            let end = at + 1 + if **name == *DEVICE { spare } else { 0 };
            let value = there.get(at..end)?.join("/");
            // A device may be any, not any part of one.
            if value.contains('+') && (value != "+" || **name != *DEVICE) {
                return None;
            }
            bound.0.push((name.clone(), value));
            at = end;
        }
        Some(bound)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Level { level } => write!(f, "the level {level:?} is neither a fixed text nor one variable"),
            TemplateError::Name { name } => write!(f, "the variable {name:?} has no name of a-z, 0-9 and _"),
            TemplateError::Twice { name } => write!(f, "the variable {{{name}}} stands there twice"),
            TemplateError::Wildcard => f.write_str("+ and # stand for levels of a filter; here a level that varies has a name"),
        }
    }
}

impl std::error::Error for TemplateError {}

/// True if `s` is a filter that a broker takes: `+` stands for a level, `#` for all that follow.
pub fn is_filter(s: &str) -> bool {
    let levels: Vec<&str> = s.split('/').collect();
    let good = |(i, l): (usize, &&str)| matches!(*l, "+" | "#") && (*l == "+" || i + 1 == levels.len()) || !l.contains(['+', '#', '\0']);
    !s.is_empty() && levels.iter().enumerate().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(s: &str) -> Template {
        Template::parse(s).unwrap()
    }

    fn bound(template: &str, topic: &str) -> Option<Vec<(String, String)>> {
        t(template).bind(topic).map(|b| b.0.into_iter().map(|(n, v)| (n.into(), v)).collect())
    }

    fn pairs(p: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(p.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
    }

    #[test]
    fn a_topic_tells_what_stands_for_each_variable() {
        assert_eq!(bound("{base=waterius}/{device}", "waterius/123"), pairs(&[("base", "waterius"), ("device", "123")]));
        assert_eq!(bound("tele/{device}/SENSOR", "tele/tasmota_1/SENSOR"), pairs(&[("device", "tasmota_1")]));
        assert_eq!(bound("tele/{device}/SENSOR", "tele/tasmota_1/STATE"), None);
        assert_eq!(bound("tele/{device}/SENSOR", "tele/SENSOR"), None);
        assert_eq!(bound("{main}/{device}/json", "cellar/+/json"), pairs(&[("main", "cellar"), ("device", "+")]));
        assert_eq!(bound("{main}/{device}/json", "+/main/json"), None, "only the device may vary");
    }

    #[test]
    fn a_device_may_span_several_levels() {
        let z2m = "{base=zigbee2mqtt}/{device}";
        assert_eq!(bound(z2m, "zigbee2mqtt/b15/101/leak"), pairs(&[("base", "zigbee2mqtt"), ("device", "b15/101/leak")]));
        let away = "{base=zigbee2mqtt}/{device}/availability";
        assert_eq!(bound(away, "z/b15/101/availability"), pairs(&[("base", "z"), ("device", "b15/101")]));
        assert_eq!(bound("{base}/x", "a/b/x"), None);
        assert_eq!(bound("{base}/{device}", "waterius/+/ch0"), None, "any device, not any part of one");
    }

    #[test]
    fn the_other_topics_of_a_device_follow_from_one() {
        let b = t("{base=zigbee2mqtt}/{device}").bind("z2/b15/leak").unwrap();
        assert_eq!(t("{base=zigbee2mqtt}/{device}/availability").filter(&b), Ok("z2/b15/leak/availability".into()));
        assert_eq!(t("{base=zigbee2mqtt}/{device}").filter(&Bound::default()), Ok("zigbee2mqtt/+".into()));
        assert_eq!(t("application/{application}/device/{device}/event/up").filter(&Bound::default()), Err("application"));
    }

    #[test]
    fn what_is_usual_in_a_topic_is_seen() {
        let of = |template: &str, topic: &str| {
            let (t, b) = (t(template), t(template).bind(topic).unwrap());
            (t.as_written(&b), t.is_usual(&b))
        };
        assert_eq!(of("{base=zigbee2mqtt}/{device}", "zigbee2mqtt/b15/leak"), (1, true));
        assert_eq!(of("{base=zigbee2mqtt}/{device}", "z2/leak"), (0, false));
        assert_eq!(of("{device}/sensor/{object=water_total}/state", "cellar/sensor/room/state"), (2, false));
        assert_eq!(of("application/{application}/device/{device}/event/up", "application/7/device/1/event/up"), (4, true));
        assert_eq!(of("{device}", "anything"), (0, false), "nothing is written there");
        let b = t("{base=zigbee2mqtt}/{device}").bind("z2/leak").unwrap().of_any_device();
        assert_eq!(t("{base=zigbee2mqtt}/{device}").filter(&b), Ok("z2/+".into()));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let e = |s| Template::parse(s).unwrap_err();
        assert_eq!(e("a/x{b}"), TemplateError::Level { level: "x{b}".into() });
        assert_eq!(e("a/{b=}"), TemplateError::Level { level: "{b=}".into() });
        assert_eq!(e("{Base}"), TemplateError::Name { name: "Base".into() });
        assert_eq!(e("{a}/{a}"), TemplateError::Twice { name: "a".into() });
        assert_eq!(e("a/+"), TemplateError::Wildcard);
    }
}
