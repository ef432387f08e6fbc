//! Which requests shall fail, and how.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and an S3 error document; the server never sees it.
    Status(u16),
    /// It is answered with this error, as a vendor words it; the server never sees it.
    Refused(Refused),
    /// The connection is cut; the server never sees the request.
    CutBeforeForwarding,
    /// The server acts on the request, then the connection is cut: the client cannot know.
    CutAfterForwarding,
    /// The connection is cut after this many bytes of the answer's body.
    CutAnswerAfter(u64),
    /// The first bit of the answer's body is another.
    FlipAnswer,
    /// It is forwarded after this time.
    Delay(Duration),
    /// It is forwarded when the test releases it: `Proxy::release`.
    Hold,
}

/// What an S3 answers when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub code: &'static str,
    pub message: &'static str,
    /// Where the bucket is, as a header.
    pub region: Option<&'static str>,
}

/// A fault and the requests it strikes: `Rule::on("PUT", "partNumber=3").nth(2).then(Fault::Status(503))`.
#[derive(Clone, Debug)]
pub struct Rule {
    method: String,
    contains: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Rule {
    /// Strikes the first request with this method (`*` for any) whose `path?query` contains the text, with a 503.
    pub fn on(method: &str, contains: &str) -> Rule {
        Rule {
            method: method.to_owned(),
            contains: contains.to_owned(),
            skip: 0,
            times: 1,
            fault: Fault::Status(503),
        }
    }

    /// Begins at the nth matching request, counted from 1 and from now.
    pub fn nth(mut self, n: usize) -> Rule {
        self.skip = n.checked_sub(1).expect("requests are counted from 1");
        self
    }

    /// Strikes this many requests in a row. `usize::MAX` is for ever.
    pub fn times(mut self, times: usize) -> Rule {
        self.times = times;
        self
    }

    pub fn then(mut self, fault: Fault) -> Rule {
        self.fault = fault;
        self
    }
}

#[derive(Debug, Default)]
pub struct Rules(Mutex<Vec<Rule>>);

impl Rules {
    pub fn add(&self, rule: Rule) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault for this request, if any. Rules that match it but begin later count it.
    pub fn strike(&self, method: &str, path: &str, query: &str) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules
            .iter_mut()
            .filter(|rule| matches(&rule.method, &rule.contains, method, path, query))
        {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                return Some(rule.fault);
            }
        }
        None
    }
}

/// Whether a request has the method (`*` for any) and contains the text in its `path?query`.
pub fn matches(wanted: &str, contains: &str, method: &str, path: &str, query: &str) -> bool {
    (wanted == "*" || wanted == method) && format!("{path}?{query}").contains(contains)
}
