//! The group robot of 企业微信: its form, its limits, its answers.
//!
//! <https://developer.work.weixin.qq.com/document/path/91770>: `POST …/webhook/send?key=KEY`, 20 messages a minute, a text of at most 2048
//! bytes. Whether it was taken stands in the body: `errcode` 0.

use super::client::Answer;
use super::trouble::{Retry, Trouble};
use crate::domain::time::Ms;
use serde::{Deserialize, Serialize};

/// The most bytes of UTF-8 that a text may have.
pub const TEXT_BYTES: usize = 2_048;
const CUT: &str = "…";

/// Who is called by name in the group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mentions {
    pub mobiles: Vec<String>,
    pub all: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    msgtype: &'static str,
    text: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentioned_list: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentioned_mobile_list: &'a [String],
}

/// The body of one message. A text that is too long loses its end, between two characters.
pub fn body(text: &str, mentions: Option<&Mentions>) -> Vec<u8> {
    let content = &cut(text);
    let none = Mentions::default();
    let m = mentions.unwrap_or(&none);
    let mentioned_list: &[&str] = if m.all { &["@all"] } else { &[] };
    let message = Message { msgtype: "text", text: Content { content, mentioned_list, mentioned_mobile_list: &m.mobiles } };
    // Texts and lists of texts always have a form in JSON.
    serde_json::to_vec(&message).unwrap_or_default()
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(TEXT_BYTES - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// Too much in the last minute.
const TOO_OFTEN: i64 = 45_009;
/// The key is not known, or the robot was taken out of its group.
const KEY: [i64; 3] = [93_000, 93_008, 40_014];
/// The message itself is refused: form, length or content. Another may pass.
const MESSAGE: [i64; 6] = [40_008, 40_058, 44_004, 45_002, 40_035, 41_048];

#[derive(Deserialize)]
struct Verdict {
    errcode: i64,
}

/// Whether the robot took the message.
pub fn verdict(answer: &Answer) -> Result<(), (Trouble, Retry)> {
    if let Some(bad) = super::trouble::of_status(answer) {
        return Err(bad);
    }
    match serde_json::from_slice::<Verdict>(&answer.body) {
        Ok(Verdict { errcode: 0 }) => Ok(()),
        Ok(Verdict { errcode: TOO_OFTEN }) => Err((Trouble::Rate, Retry::After(Ms::minutes(1)))),
        Ok(Verdict { errcode }) if KEY.contains(&errcode) => Err((Trouble::Key(errcode), Retry::Slowly)),
        Ok(Verdict { errcode }) if MESSAGE.contains(&errcode) => Err((Trouble::Errcode(errcode), Retry::Others)),
        Ok(Verdict { errcode }) => Err((Trouble::Errcode(errcode), Retry::Soon)),
        Err(_) => Err((Trouble::Answer, Retry::Soon)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_documented_one() {
        let all = Mentions { mobiles: vec!["13800001111".into()], all: true };
        let body = |m| String::from_utf8(body("漏水\n\"急\"", m)).unwrap();
        assert_eq!(body(None), r#"{"msgtype":"text","text":{"content":"漏水\n\"急\""}}"#);
        assert_eq!(
            body(Some(&all)),
            r#"{"msgtype":"text","text":{"content":"漏水\n\"急\"","mentioned_list":["@all"],"mentioned_mobile_list":["13800001111"]}}"#
        );
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for n in 0..4 {
            let text = cut(&format!("{}{}", "x".repeat(n), "漏".repeat(1_000)));
            assert!(text.len() <= TEXT_BYTES && text.len() > TEXT_BYTES - 6, "{}", text.len());
            assert!(text.ends_with("漏…"));
        }
        let exact = "x".repeat(TEXT_BYTES);
        assert_eq!(cut(&exact), exact);
    }

    #[test]
    fn only_errcode_0_is_yes() {
        let answer = |status, body: &str| Answer { status, retry_after: None, body: body.into() };
        assert_eq!(verdict(&answer(200, r#"{"errcode":0,"errmsg":"ok"}"#)), Ok(()));
        let why = |status, body| verdict(&answer(status, body)).unwrap_err();
        assert_eq!(why(200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#), (Trouble::Key(93_000), Retry::Slowly));
        assert_eq!(why(200, r#"{"errcode":45009}"#), (Trouble::Rate, Retry::After(Ms::minutes(1))));
        assert_eq!(why(200, r#"{"errcode":-1}"#), (Trouble::Errcode(-1), Retry::Soon));
        assert_eq!(why(200, r#"{"errcode":40058}"#), (Trouble::Errcode(40_058), Retry::Others));
        assert_eq!(why(200, "<html>"), (Trouble::Answer, Retry::Soon));
        assert_eq!(why(200, ""), (Trouble::Answer, Retry::Soon));
        assert_eq!(why(503, ""), (Trouble::Status(503), Retry::Soon));
        assert_eq!(why(404, ""), (Trouble::Status(404), Retry::Slowly));
        assert_eq!(why(302, ""), (Trouble::Redirect(302), Retry::Slowly));
    }
}
