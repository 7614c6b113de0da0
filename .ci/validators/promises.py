"""promises.py ENDPOINTS SECONDS [SEED]: schemathesis over each version of the public API, GraphQL, and the services behind it."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import uuid

endpoints = json.load(open(sys.argv[1]))
seconds, seed = int(sys.argv[2]), sys.argv[3:4]
gateway = endpoints["gateway"]


def post(path, body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(gateway + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))


who = {"email": f"{uuid.uuid4().hex}@example.org", "password": "correct horse battery"}
post("/api/users", who | {"name": "Schemathesis"})
token = post("/api/sessions", who)["access_token"]

# Each document with its door, and its part of the time.
documents = [
    ("docs/interfaces/openapi-gateway-v1.json", gateway, 0.3),
    ("docs/interfaces/openapi-gateway-v2.json", gateway, 0.3),
    ("docs/interfaces/schema.graphql", gateway + "/graphql", 0.15),
    ("docs/interfaces/openapi-orders.json", endpoints["orders"], 0.08),
    ("docs/interfaces/openapi-orders-v2.json", endpoints["orders"], 0.07),
    ("docs/interfaces/openapi-products.json", endpoints["products"], 0.05),
    ("docs/interfaces/openapi-products-v2.json", endpoints["products"], 0.05),
]
# GraphQL has one status for nearly all: what an error says is what counts.
GRAPHQL = ["--checks", "graphql_answers"]
HOOKS = {"SCHEMATHESIS_HOOKS": os.path.abspath(".ci/validators/graphql_checks.py")}
program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
failed = []
for document, door, share in documents:
    command = [
        program,
        "--config-file", os.path.abspath(".ci/schemathesis.toml"),
        "run", os.path.abspath(document),
        "--url", door,
        "--header", f"Authorization: Bearer {token}",
        "--max-time", str(max(10, int(seconds * share))),
        # With several threads, Python's `ast` fails now and then (SystemError: recursion depth mismatch).
        "--workers", "1",
        "--continue-on-failure",
        # Nothing of a run is kept for the next one: it would not be there on another machine.
        "--generation-database", "none",
        "--warnings", "off",
        "--no-color",
    ]
    if seed:
        command += ["--seed", seed[0]]
    is_graphql = document.endswith(".graphql")
    if is_graphql:
        command += GRAPHQL
    environment = os.environ | (HOOKS if is_graphql else {})
    print(f"=== {document}", flush=True)
    # It keeps what it found in the folder where it runs.
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(command, cwd=folder, env=environment).returncode:
            failed.append(document)
if failed:
    sys.exit(f"promises that are not kept: {', '.join(failed)}")
