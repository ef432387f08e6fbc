//! A CloudFormation template as JSON: short forms are made long, and intrinsic functions can be resolved as far as a
//! check needs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

pub struct Template {
    root: Value,
}

/// A file of the project.
pub fn file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)
}

/// The text of a file of the project.
pub fn text_of(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The functions without a connection string: one tells others, one makes full archives of chains.
pub const WITHOUT_DATABASE: [&str; 2] = ["NotifyFunction", "CompactFunction"];

impl Template {
    /// The template that is deployed.
    pub fn real() -> Self {
        Self::parse(&text_of("template.yaml"))
    }

    pub fn parse(text: &str) -> Self {
        Self { root: parse(text) }
    }

    /// A value by its path, `Null` where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.root.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub fn resource(&self, name: &str) -> &Value {
        self.at(&format!("/Resources/{name}"))
    }

    /// The resources of one type, with their names.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.resources().filter(move |(_, resource)| resource["Type"] == kind)
    }

    /// The functions that back up, restore and drill: all but those that know no database.
    pub fn workers(&self) -> impl Iterator<Item = (&str, &Value)> {
        let functions = self.of_type("AWS::Serverless::Function");
        functions.filter(|(name, _)| !WITHOUT_DATABASE.contains(name))
    }

    pub fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.root["Resources"].as_object().expect("a template has resources");
        resources.iter().map(|(name, resource)| (name.as_str(), resource))
    }

    /// The least and the most that a number can be: itself, or what its parameter allows.
    pub fn range(&self, value: &Value) -> Option<(u64, u64)> {
        if let Some(number) = value.as_u64() {
            return Some((number, number));
        }
        let parameter = self.at(&format!("/Parameters/{}", value["Ref"].as_str()?));
        let default = parameter["Default"].as_u64()?;
        let least = parameter["MinValue"].as_u64()?.min(default);
        let most = parameter["MaxValue"].as_u64()?.max(default);
        Some((least, most))
    }
}

/// YAML with the tags of CloudFormation as JSON with its long forms.
pub fn parse(text: &str) -> Value {
    long(serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("no YAML: {error}")))
}

fn long(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => match number.as_u64() {
            Some(number) => number.into(),
            None => json!(number.as_f64()),
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => items.into_iter().map(long).collect(),
        Yaml::Mapping(mapping) => {
            let pairs = mapping.into_iter().map(|(key, value)| {
                let key = key.as_str().expect("keys of a template are texts").to_owned();
                (key, long(value))
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            match (tag, long(tagged.value)) {
                ("Ref" | "Condition", value) => json!({ tag: value }),
                ("GetAtt", Value::String(path)) => {
                    json!({"Fn::GetAtt": path.split_once('.').map(|(of, name)| [of, name])})
                }
                (_, value) => json!({ format!("Fn::{tag}"): value }),
            }
        }
    }
}

/// All values that something can have by its conditions, without those that are left out.
pub fn branches(value: &Value) -> Vec<&Value> {
    match value.get("Fn::If") {
        Some(choice) => [&choice[1], &choice[2]].into_iter().flat_map(branches).collect(),
        None if value["Ref"] == "AWS::NoValue" => Vec::new(),
        None => vec![value],
    }
}

/// A list, or one thing that stands for a list of one; conditions are followed.
pub fn list(value: &Value) -> Vec<&Value> {
    branches(value)
        .into_iter()
        .flat_map(|branch| match branch {
            Value::Array(items) => items.iter().flat_map(branches).collect(),
            Value::Null => Vec::new(),
            one => vec![one],
        })
        .collect()
}

/// The texts that something can become, with references as `${…}`.
pub fn texts(value: &Value) -> Vec<String> {
    branches(value).into_iter().flat_map(text).collect()
}

fn text(value: &Value) -> Vec<String> {
    if let Some(name) = value["Ref"].as_str() {
        return vec![format!("${{{name}}}")];
    }
    if let Some([of, name]) = value["Fn::GetAtt"].as_array().map(Vec::as_slice) {
        return vec![format!(
            "${{{}.{}}}",
            of.as_str().unwrap_or("?"),
            name.as_str().unwrap_or("?")
        )];
    }
    match &value["Fn::Sub"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => {
            let mut found = vec![parts[0].as_str().unwrap_or_default().to_owned()];
            for (name, replacement) in parts[1].as_object().into_iter().flatten() {
                let replacements = texts(replacement);
                let replace = |text: &String, by: &String| text.replace(&format!("${{{name}}}"), by);
                found = found
                    .iter()
                    .flat_map(|text| replacements.iter().map(move |by| replace(text, by)))
                    .collect();
            }
            found
        }
        _ => match value.get("Fn::Join") {
            // One element stands for any number.
            Some(join) => vec![format!("joined{}", join[0].as_str().unwrap_or_default())],
            None => vec![value.as_str().map_or_else(|| value.to_string(), str::to_owned)],
        },
    }
}

/// Whether a pattern of IAM, with `*` and `?`, matches.
pub fn matches(pattern: &str, text: &str) -> bool {
    wildmatch::WildMatch::new(pattern).matches(text)
}
