"""Writes what Terraform and CDK know of the stack's parameters: infra/terraform/variables.tf, infra/cdk/parameters.ts.

Both deploy the template of a release as it is, so all that can differ is what they ask for: that is made from
template.yaml here, and compared with it by tests/it/infra/bindings.rs. `bindings.py` writes, `bindings.py check` says
whether it would change anything.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = "Made from template.yaml by infra/releasing/bindings.py: change it there."


def value(text):
    text = text.strip()
    if text.startswith("["):
        return [value(part) for part in text[1:-1].split(",")]
    if text[:1] in "'\"":
        return text[1:-1].replace("''", "'")
    return int(text) if re.fullmatch(r"\d+", text) else text


def parameters():
    """The parameters in their order: each field is one line of the template, or a list below it."""
    text = (ROOT / "template.yaml").read_text()
    section = text.split("\nParameters:\n")[1].split("\n\n")[0]
    found, name, field = {}, None, None
    for line in section.splitlines():
        if match := re.fullmatch(r"  (\w+):", line):
            name, found[match[1]] = match[1], {}
        elif match := re.fullmatch(r"    (\w+): ?(.*)", line):
            field = match[1]
            found[name][field] = (
                match[2] if field in ("Description", "ConstraintDescription") else value(match[2]) if match[2] else []
            )
        elif match := re.fullmatch(r"      - (.*)", line):
            found[name][field].append(value(match[1]))
        else:
            sys.exit(f"template.yaml: {line!r} is no line of a parameter that is understood")
    # A release asks for the place of its files, too.
    place = {
        "CodeBucket": {
            "Type": "String",
            "Description": "Name of the bucket, in this region, into which the files of the release were copied.",
        },
        "CodePrefix": {
            "Type": "String",
            "Description": "Folder of the files of the release in that bucket, with / at its end.",
            "AllowedPattern": "^([A-Za-z0-9._=-]+/)*$",
        },
    }
    return {**place, **found}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def quoted(text):
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def terraform(found):
    lines = [f"# {HEAD}", ""]
    for name, of in found.items():
        variable = snake(name)
        kind = {"Number": "number", "CommaDelimitedList": "list(string)"}.get(of["Type"], "string")
        lines += [
            f'variable "{variable}" {{',
            f"  type        = {kind}",
            f"  description = {quoted(of['Description'])}",
        ]
        if "Default" in of:
            default = of["Default"]
            if kind == "list(string)":
                default = [part for part in str(default).split(",") if part]
            shown = quoted(str(default)) if kind == "string" else json.dumps(default)
            lines.append(f"  default     = {shown}")
        checks = []
        if "AllowedPattern" in of:
            checks.append(
                (
                    f"can(regex({quoted(of['AllowedPattern'])}, var.{variable}))",
                    f"It has to match {of['AllowedPattern']}",
                )
            )
        if "AllowedValues" in of:
            values = of["AllowedValues"] if kind == "number" else [str(one) for one in of["AllowedValues"]]
            checks.append(
                (
                    f"contains({json.dumps(values)}, var.{variable})",
                    "It has to be one of " + ", ".join(map(str, values)),
                )
            )
        if "MinValue" in of:
            checks.append((f"var.{variable} >= {of['MinValue']}", f"It has to be {of['MinValue']} at least"))
        if "MaxValue" in of:
            checks.append((f"var.{variable} <= {of['MaxValue']}", f"It has to be {of['MaxValue']} at most"))
        for condition, message in checks:
            lines += [
                "",
                "  validation {",
                f"    condition     = {condition}",
                f"    error_message = {quoted(message + '.')}",
                "  }",
            ]
        lines += ["}", ""]
    lines += ["locals {", "  # What the template is given: the names are its own.", "  parameters = {"]
    width = max(map(len, found))
    for name, of in found.items():
        given = (
            f'join(",", var.{snake(name)})' if of["Type"] == "CommaDelimitedList" else f"tostring(var.{snake(name)})"
        )
        lines.append(f"    {name:<{width}} = {given}")
    lines += ["  }", "}", ""]
    return "\n".join(lines)


def cdk(found):
    lines = [
        f"// {HEAD}",
        "",
        "/** What the stack is asked for, by the names of its template. */",
        "export interface MongotarParameters {",
    ]
    for name, of in found.items():
        kind = {"Number": "number", "CommaDelimitedList": "string[]"}.get(of["Type"], "string")
        if "AllowedValues" in of:
            kind = " | ".join(json.dumps(one) if of["Type"] == "Number" else f'"{one}"' for one in of["AllowedValues"])
        optional = "?" if "Default" in of else ""
        default = f" Default: {json.dumps(of['Default'])}." if of.get("Default") not in (None, "") else ""
        lines += [
            f"  /** {of['Description'].replace('*/', '* /')}{default} */",
            f"  readonly {name}{optional}: {kind};",
        ]
    lines += [
        "}",
        "",
        "/** What each has to be like; the template says the same to CloudFormation. */",
        "export const CONSTRAINTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {",
    ]
    for name, of in found.items():
        kept = {
            field: of[field]
            for field in ("Default", "AllowedPattern", "AllowedValues", "MinValue", "MaxValue")
            if field in of
        }
        lines.append(f"  {name}: {json.dumps(kept, ensure_ascii=False)},")
    lines += ["};", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    found = parameters()
    files = {"infra/terraform/variables.tf": terraform(found), "infra/cdk/parameters.ts": cdk(found)}
    stale = [name for name, text in files.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    if sys.argv[1:] == ["check"]:
        if stale:
            sys.exit(f"{', '.join(stale)}: not what template.yaml says. Run infra/releasing/bindings.py.")
    else:
        for name in stale:
            (ROOT / name).write_text(files[name])
