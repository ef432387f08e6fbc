//! Terraform and CDK deploy the template of a release, and ask for the same: names, types, defaults, and what each may
//! be. Both files are read here by what they say, not by how they were made.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::template::{Template, file, text_of};

const TERRAFORM: &str = "infra/terraform/variables.tf";
const CDK: &str = "infra/cdk/parameters.ts";
/// What only a release asks for.
const PLACE: [&str; 2] = ["CodeBucket", "CodePrefix"];
/// Fields of a parameter that both say.
const SAID: [&str; 5] = ["Default", "AllowedPattern", "AllowedValues", "MinValue", "MaxValue"];

/// What a parameter has to be, by the template.
fn wanted(template: &Template) -> BTreeMap<String, Value> {
    let parameters = template.at("/Parameters").as_object().expect("parameters");
    let said = |of: &Value| {
        let fields = SAID.iter().filter(|field| !of[**field].is_null());
        Value::Object(fields.map(|field| ((*field).to_owned(), of[*field].clone())).collect())
    };
    parameters.iter().map(|(name, of)| (name.clone(), said(of))).collect()
}

/// `CodeBucket` of `code_bucket`.
fn name_of(variable: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    variable.split('_').map(capital).collect()
}

/// The variables of Terraform, as the template would say them.
fn terraform(text: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for block in text.split("\nvariable \"").skip(1) {
        let (variable, block) = block.split_once("\" {\n").expect("a variable has a name");
        let block = block.split("\n}\n").next().expect("and an end");
        let mut of = json!({});
        let mut kind = "";
        for line in block.lines() {
            let Some((field, value)) = line
                .split_once(" = ")
                .map(|(field, value)| (field.trim(), value.trim()))
            else {
                continue;
            };
            let literal = |text: &str| -> Value {
                let text = text.replace("$${", "${").replace("%%{", "%{");
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{variable}: {text}: {error}"))
            };
            match field {
                "type" => kind = value,
                "default" => {
                    of["Default"] = match (kind, literal(value)) {
                        ("list(string)", Value::Array(parts)) if parts.is_empty() => json!(""),
                        (_, value) => value,
                    };
                }
                "condition" => match value {
                    _ if value.starts_with("can(regex(") => {
                        let pattern = value
                            .strip_prefix("can(regex(")
                            .and_then(|rest| rest.rsplit_once(", var."));
                        of["AllowedPattern"] = literal(pattern.expect("a pattern").0);
                    }
                    _ if value.starts_with("contains(") => {
                        let values = value
                            .strip_prefix("contains(")
                            .and_then(|rest| rest.rsplit_once(", var."));
                        of["AllowedValues"] = literal(values.expect("values").0);
                    }
                    _ => {
                        let (_, bound) = value.split_once("= ").expect("a bound");
                        let field = if value.contains(">=") { "MinValue" } else { "MaxValue" };
                        of[field] = literal(bound);
                    }
                },
                _ => {}
            }
        }
        found.insert(name_of(variable), of);
    }
    found
}

/// The parameters of CDK, as the template would say them.
fn cdk(text: &str) -> BTreeMap<String, Value> {
    let table = text.split_once("export const CONSTRAINTS").expect("a table").1;
    let rows = table.lines().skip(1).take_while(|line| *line != "};");
    rows.map(|row| {
        let (name, of) = row.trim().split_once(": ").expect("a name and what it has to be");
        let of = serde_json::from_str(of.trim_end_matches(',')).unwrap_or_else(|error| panic!("{row}: {error}"));
        (name.to_owned(), of)
    })
    .collect()
}

/// What does not fit, one sentence each.
fn misfits(said: &BTreeMap<String, Value>, wanted: &BTreeMap<String, Value>) -> Vec<String> {
    let mut misfits = Vec::new();
    for (name, of) in wanted {
        match said.get(name) {
            None => misfits.push(format!("{name} is not asked for")),
            Some(found) if found != of => misfits.push(format!("{name} has to be {found}, not {of}")),
            Some(_) => {}
        }
    }
    let unknown = said
        .keys()
        .filter(|name| !wanted.contains_key(*name) && !PLACE.contains(&name.as_str()));
    misfits.extend(unknown.map(|name| format!("{name} is none of the template")));
    misfits.extend(
        PLACE
            .iter()
            .filter(|name| !said.contains_key(**name))
            .map(|name| format!("{name} is missing")),
    );
    misfits
}

#[test]
fn terraform_and_cdk_ask_for_what_the_template_asks_for() {
    let wanted = wanted(&Template::real());
    assert!(wanted.len() > 50, "{}", wanted.len());
    assert_eq!(misfits(&terraform(&text_of(TERRAFORM)), &wanted), Vec::<String>::new());
    assert_eq!(misfits(&cdk(&text_of(CDK)), &wanted), Vec::<String>::new());
    // Each variable is handed on under its own name.
    let text = text_of(TERRAFORM);
    let given = text.split_once("parameters = {\n").expect("a table").1;
    let mut handed: Vec<String> = Vec::new();
    for line in given.lines().take_while(|line| line.contains('=')) {
        let (name, value) = line.split_once('=').expect("both");
        let variable = value
            .split("var.")
            .nth(1)
            .and_then(|rest| rest.split(')').next())
            .expect("a variable");
        assert_eq!(name.trim(), name_of(variable), "{line}");
        handed.push(name.trim().to_owned());
    }
    assert_eq!(handed.len(), wanted.len() + PLACE.len());
    // And optional is what has a default.
    let interface = text_of(CDK);
    for (name, of) in &wanted {
        let optional = interface.contains(&format!("  readonly {name}?: "));
        assert_eq!(optional, !of["Default"].is_null(), "{name}");
        assert!(
            optional || interface.contains(&format!("  readonly {name}: ")),
            "{name}"
        );
    }
}

#[test]
fn what_terraform_or_cdk_would_ask_for_otherwise_is_found() {
    let wanted = wanted(&Template::real());
    for (from, to, finding) in [
        ("variable \"lanes\"", "variable \"lane\"", "Lanes is not asked for"),
        (
            "variable \"lanes\"",
            "variable \"lane\"",
            "Lane is none of the template",
        ),
        ("  default     = 4\n", "  default     = 8\n", "Lanes has to be"),
        (
            "  default     = \"NONE\"\n",
            "  default     = \"GOVERNANCE\"\n",
            "ObjectLockMode has to be",
        ),
        ("var.lanes <= 20", "var.lanes <= 200", "Lanes has to be"),
        ("[\"arm64\", \"x86_64\"]", "[\"arm64\"]", "Architecture has to be"),
        ("[0-9]{12}:secret:.+$", "[0-9]{12}:.+$", "ConnectionSecretArn has to be"),
        (
            "variable \"code_bucket\"",
            "variable \"bucket\"",
            "CodeBucket is missing",
        ),
    ] {
        let text = text_of(TERRAFORM);
        assert!(text.contains(from), "{TERRAFORM} has no {from:?}: correct this test");
        let found = misfits(&terraform(&text.replacen(from, to, 1)), &wanted);
        assert!(found.iter().any(|one| one.contains(finding)), "{from:?}: {found:?}");
    }
    let text = text_of(CDK).replacen("\"MaxValue\": 20}", "\"MaxValue\": 200}", 1);
    assert!(misfits(&cdk(&text), &wanted)[0].starts_with("Lanes has to be"));
}

#[test]
fn both_files_are_what_their_script_makes_of_the_template() {
    let script = file("infra/releasing/bindings.py");
    let ran = Command::new("python3")
        .arg(script)
        .arg("check")
        .output()
        .expect("python3 is there, as for the rig");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
