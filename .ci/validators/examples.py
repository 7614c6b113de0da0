"""examples.py DOCUMENT: each answer of an OpenAPI document has an example, and each example fits its schema.

Checked by `jsonschema`, with the formats, so that neither our schemas nor our examples are judged by what made them.
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker

document = json.load(open(sys.argv[1]))
METHODS = ("get", "put", "post", "delete", "patch")
checked = 0


def resolved(value):
    """What a reference within the document leads to."""
    while "$ref" in value:
        part = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            part = part[step.replace("~1", "/").replace("~0", "~")]
        value = part
    return value


def examples(content):
    """The examples that are shown for a body; those of its type, if it has none of its own."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    schema = resolved(content["schema"])
    return [schema["example"]] if "example" in schema else []


def check(where, contents):
    global checked
    for kind, content in contents.items():
        shown = examples(content)
        assert shown, f"{where}: no example of {kind}"
        # References in the schema lead into the document.
        schema = {**content["schema"], "components": document["components"]}
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        for example in shown:
            for mistake in validator.iter_errors(example):
                sys.exit(f"{where}: the example of {kind} at {mistake.json_path}: {mistake.message}")
            checked += 1


for path, item in document["paths"].items():
    for method in METHODS:
        if method not in item:
            continue
        operation = item[method]
        if "requestBody" in operation:
            check(f"{method} {path}, body", operation["requestBody"]["content"])
        for status, answer in operation["responses"].items():
            check(f"{method} {path}, {status}", resolved(answer).get("content", {}))
assert checked, "a document without bodies"
print(f"{sys.argv[1]}: {checked} examples: OK")
