//! What of an answer the SDK does not tell: that it is none of S3's, and what stands in its body alone.

use aws_sdk_s3::config::http::HttpResponse;
use serde_json::Value;

/// What a body says that may be longer than a sentence is cut there.
const LONGEST: usize = 300;

/// Whether an answer is a page, or has an `ETag` that S3 has never had, and nothing that only S3 has: that of a gateway
/// that asks for a login, or of a server that was not meant.
pub(super) fn is_of_no_store(answer: &HttpResponse) -> bool {
    let headers = answer.headers();
    let begins = |name: &str, with: &str| {
        let value = headers.get(name).and_then(|value| value.get(..with.len()));
        value.is_some_and(|value| value.eq_ignore_ascii_case(with))
    };
    let of_stores = |name: &str| name.starts_with("x-amz-") || name.starts_with("x-goog-");
    (begins("content-type", "text/html") || begins("etag", "W/")) && !headers.iter().any(|(name, _)| of_stores(name))
}

/// What the body of a refusal says besides what the SDK reads there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InBody {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) request: Option<String>,
}

impl InBody {
    /// Of XML, the request's id; of JSON, as gateways and some stores write it, all.
    pub(super) fn of(body: &[u8], status: u16) -> Self {
        let text = std::str::from_utf8(body).unwrap_or_default().trim_start();
        match serde_json::from_str::<Value>(text) {
            Ok(outer) if outer.is_object() => Self::of_json(&outer, status),
            _ => Self {
                request: between(text, "<RequestId>", "</RequestId>"),
                ..Self::default()
            },
        }
    }

    /// Whether nothing can be told from a refusal's body.
    pub(super) fn is_silent(answer: &HttpResponse) -> bool {
        let body = answer.body().bytes().unwrap_or_default();
        let page = !body.is_empty() && is_of_no_store(answer);
        !page && Self::of(body, answer.status().as_u16()).message.is_none()
    }

    fn of_json(outer: &Value, status: u16) -> Self {
        let inner = ["error", "Error"].iter().find_map(|name| outer.get(name));
        let first = |names: &[&str]| {
            let found = names.iter().find_map(|name| {
                let found = inner.and_then(|inner| inner.get(name)).or_else(|| outer.get(name));
                found.and_then(Value::as_str)
            });
            found.map(shortened)
        };
        let request = first(&["RequestId", "requestId", "request_id"]);
        let code = first(&["Code", "code", "errorCode", "__type", "error", "status"]);
        let message = first(&["Message", "message", "error_description", "detail", "msg"]);
        // What another protocol calls a thing that is not there is no word of S3 for it.
        let is_of_s3 = |code: &String| {
            let is_word = code.starts_with(char::is_uppercase) && code.chars().all(char::is_alphanumeric);
            is_word && (![404, 409, 412].contains(&status) || code.starts_with("NoSuch"))
        };
        match (code.filter(|code| !code.is_empty()), message) {
            (Some(code), message) if is_of_s3(&code) => Self {
                code: Some(code),
                message,
                request,
            },
            (Some(code), Some(message)) => Self {
                code: None,
                message: Some(format!("{code}: {message}")),
                request,
            },
            (code, message) => Self {
                code: None,
                message: message.or(code),
                request,
            },
        }
    }
}

fn between(text: &str, begin: &str, end: &str) -> Option<String> {
    let (_, behind) = text.split_once(begin)?;
    let (within, _) = behind.split_once(end)?;
    Some(shortened(within.trim()))
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id was lost where no header has it, and of JSON it was said that there is no reason.
    #[test]
    fn what_stands_in_a_body_alone_is_found() {
        let of = |body: &str, status| InBody::of(body.as_bytes(), status);
        let xml = "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><RequestId> 7F2 </RequestId></Error>";
        assert_eq!(of(xml, 503).request.as_deref(), Some("7F2"));
        let told = |code: Option<&str>, message: Option<&str>, request: Option<&str>| InBody {
            code: code.map(str::to_owned),
            message: message.map(str::to_owned),
            request: request.map(str::to_owned),
        };
        for (body, status, expected) in [
            (
                r#"{"Code": "AccessDenied", "Message": "no", "RequestId": "7F2"}"#,
                403,
                told(Some("AccessDenied"), Some("no"), Some("7F2")),
            ),
            (
                r#"{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}"#,
                403,
                told(None, Some("PERMISSION_DENIED: no"), None),
            ),
            (
                r#"{"error": "invalid_token", "error_description": "expired"}"#,
                401,
                told(None, Some("invalid_token: expired"), None),
            ),
            (r#"{"message": "no route"}"#, 404, told(None, Some("no route"), None)),
            (
                r#"{"code": "ResourceNotFound"}"#,
                404,
                told(None, Some("ResourceNotFound"), None),
            ),
            (r#"{"code": "NoSuchKey"}"#, 404, told(Some("NoSuchKey"), None, None)),
            ("[1]", 500, InBody::default()),
            ("", 500, InBody::default()),
        ] {
            assert_eq!(of(body, status), expected, "{body}");
        }
    }
}
