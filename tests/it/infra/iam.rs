//! A model of how S3 and IAM decide about a request, as far as the template's roles go. It is a model, made from the
//! documentation ("Enforce conditional writes on Amazon S3 buckets", "Tagging and access control policies"): nothing here
//! has asked AWS.

use std::collections::BTreeMap;

use super::permissions::Statement;
use super::template::{list, matches, texts};
use crate::rig::Exchange;

/// What a request needs: an action on a key below the prefix, with what conditions may speak of.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    pub action: &'static str,
    pub key: String,
    pub context: BTreeMap<String, String>,
}

/// Whether a role is allowed something.
pub fn allows(statements: &[Statement], role: &str, need: &Need) -> bool {
    let resource = format!("arn:aws:s3:::archives/{}", need.key);
    let of_role = || statements.iter().filter(|statement| statement.owner == role);
    let applies = |statement: &&Statement| statement.covers(need.action, &resource) && holds(statement, &need.context);
    of_role().any(|statement| statement.allows && applies(&statement))
        && !of_role().any(|statement| !statement.allows && applies(&statement))
}

fn holds(statement: &Statement, context: &BTreeMap<String, String>) -> bool {
    let conditions = statement.raw["Condition"].as_object();
    conditions.into_iter().flatten().all(|(operator, keys)| {
        keys.as_object().into_iter().flatten().all(|(key, wanted)| {
            let found = context.get(key);
            let wanted: Vec<String> = list(wanted).into_iter().flat_map(texts).collect();
            let fits = |pattern: &String| {
                let pattern = pattern.replace("${Prefix}", "mongodb/");
                found.is_some_and(|found| matches(&pattern, found))
            };
            match operator.as_str() {
                "Null" => wanted == [found.is_none().to_string()],
                "Bool" | "StringEquals" | "StringLike" => wanted.iter().any(fits),
                other => panic!("the model knows no {other}"),
            }
        })
    })
}

/// What a request to a bucket needs, its keys counted from a folder that stands for the prefix. None of a look, since a
/// role that may not look goes without.
pub fn needs(seen: &Exchange, folder: &str) -> Vec<Need> {
    let path = urlencoding(&seen.path);
    let Some(key) = path.trim_start_matches('/').strip_prefix(folder) else {
        return Vec::new();
    };
    let key = format!("mongodb/{key}");
    let header = |name: &str| {
        seen.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let asks = |name: &str| seen.query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let mut context = BTreeMap::new();
    let creates = |is_object: bool| ("s3:ObjectCreationOperation".to_owned(), is_object.to_string());
    let action = match seen.method.as_str() {
        "PUT" if asks("tagging") => "s3:PutObjectTagging",
        "PUT" | "POST" => {
            context.extend([creates(!asks("partNumber") && !asks("uploads"))]);
            for condition in ["if-match", "if-none-match"] {
                context.extend(header(condition).map(|value| (format!("s3:{condition}"), value)));
            }
            "s3:PutObject"
        }
        "DELETE" if asks("uploadId") => "s3:AbortMultipartUpload",
        "DELETE" => "s3:DeleteObject",
        "GET" if asks("uploadId") => "s3:ListMultipartUploadParts",
        "GET" if seen.status.is_some_and(|status| status < 300) && !seen.query.contains("list-type") => "s3:GetObject",
        _ => return Vec::new(),
    };
    let mut needs = vec![Need {
        action,
        key: key.clone(),
        context,
    }];
    if let Some(tags) = header("x-amz-tagging") {
        let named = tags.split('&').filter_map(|pair| pair.split_once('='));
        let context = named.map(|(name, value)| (format!("s3:RequestObjectTag/{name}"), value.to_owned()));
        needs.push(Need {
            action: "s3:PutObjectTagging",
            key,
            context: context.collect(),
        });
    }
    needs
}

/// A path without its escapes, which names here need few of.
fn urlencoding(path: &str) -> String {
    path.replace("%2F", "/").replace("%3D", "=").replace("%2E", ".")
}
