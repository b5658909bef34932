//! Why a message was not taken, as a code, and when to try again.

use super::client::Answer;
use crate::domain::time::Ms;
use crate::texts::{Text, say};

/// What went wrong. Holds nothing of the address, nor of what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection: the name is not known, nobody listens, the network is away.
    Unreachable,
    Timeout,
    /// The other side's certificate is not trusted, or it does not speak TLS.
    Certificate,
    Status(u16),
    /// Redirects are not followed: what was signed for one address is not carried to another.
    Redirect(u16),
    /// The answer is not in the robot's form.
    Answer,
    Errcode(i64),
    /// The robot does not know the key.
    Key(i64),
    Rate,
    /// This machine can make no connection at all.
    Client,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After the usual pauses.
    Soon,
    /// When the other side has said.
    After(Ms),
    /// Hourly: only a person can mend it.
    Slowly,
    /// This message hourly, the others go on: it was refused itself.
    Others,
}

impl Trouble {
    /// The stable name: API, log.
    pub fn code(self) -> &'static str {
        match self {
            Trouble::Unreachable => "unreachable",
            Trouble::Timeout => "timeout",
            Trouble::Certificate => "certificate",
            Trouble::Status(_) => "status",
            Trouble::Redirect(_) => "redirect",
            Trouble::Answer => "answer",
            Trouble::Errcode(_) => "errcode",
            Trouble::Key(_) => "key",
            Trouble::Rate => "rate",
            Trouble::Client => "client",
        }
    }

    /// HTTP status or the robot's own code.
    pub fn number(self) -> Option<i64> {
        match self {
            Trouble::Status(n) | Trouble::Redirect(n) => Some(i64::from(n)),
            Trouble::Errcode(n) | Trouble::Key(n) => Some(n),
            Trouble::Unreachable | Trouble::Timeout | Trouble::Certificate | Trouble::Answer | Trouble::Rate | Trouble::Client => None,
        }
    }

    pub fn text(self) -> Text {
        let n = ("n", self.number().unwrap_or_default().into());
        match self {
            Trouble::Unreachable => say("channel.unreachable", &[]),
            Trouble::Timeout => say("channel.timeout", &[]),
            Trouble::Certificate => say("channel.certificate", &[]),
            Trouble::Status(_) => say("channel.status", &[n]),
            Trouble::Redirect(_) => say("channel.redirect", &[n]),
            Trouble::Answer => say("channel.answer", &[]),
            Trouble::Errcode(_) => say("channel.errcode", &[n]),
            Trouble::Key(_) => say("channel.key", &[n]),
            Trouble::Rate => say("channel.rate", &[]),
            Trouble::Client => say("channel.client", &[]),
        }
    }
}

/// The longest that we let the other side send us away for.
const LONGEST_AFTER: Ms = Ms::hours(1);

/// What a status tells; None for 2xx.
pub fn of_status(answer: &Answer) -> Option<(Trouble, Retry)> {
    let trouble = Trouble::Status(answer.status);
    let asked = answer.retry_after.map(|d| Retry::After(d.clamp(Ms::seconds(1), LONGEST_AFTER)));
    Some(match answer.status {
        200..=299 => return None,
        300..=399 => (Trouble::Redirect(answer.status), Retry::Slowly),
        429 => (Trouble::Rate, asked.unwrap_or(Retry::After(Ms::minutes(1)))),
        408 | 500..=599 => (trouble, asked.unwrap_or(Retry::Soon)),
        400 | 413 | 415 | 422 => (trouble, Retry::Others),
        400..=499 => (trouble, Retry::Slowly),
        // Nothing that HTTP knows as a last answer.
        _ => (Trouble::Answer, Retry::Soon),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_when_to_come_again() {
        let of = |status, retry_after| of_status(&Answer { status, retry_after, body: vec![] });
        assert_eq!(of(204, None), None);
        assert_eq!(of(503, Some(Ms::seconds(7))), Some((Trouble::Status(503), Retry::After(Ms::seconds(7)))));
        assert_eq!(of(429, Some(Ms::days(7))), Some((Trouble::Rate, Retry::After(Ms::hours(1)))));
        assert_eq!(of(401, None), Some((Trouble::Status(401), Retry::Slowly)));
        assert_eq!(of(422, None), Some((Trouble::Status(422), Retry::Others)));
        assert_eq!(of(307, None), Some((Trouble::Redirect(307), Retry::Slowly)));
    }

    #[test]
    fn every_trouble_has_words() {
        for t in [
            Trouble::Unreachable,
            Trouble::Timeout,
            Trouble::Certificate,
            Trouble::Status(500),
            Trouble::Redirect(302),
            Trouble::Answer,
            Trouble::Errcode(7),
            Trouble::Key(93_000),
            Trouble::Rate,
            Trouble::Client,
        ] {
            assert!(!t.text().zh.is_ascii() && t.text().en.is_ascii(), "{t:?}");
            assert!(t.number().is_none_or(|n| t.text().zh.contains(&n.to_string())), "{t:?}");
        }
    }
}
