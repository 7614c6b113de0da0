// The console. Text from outside is only ever written as text.
"use strict";

const EXAMPLE = `# What is for sale, and, with a token, what you ordered.
query Look($first: Int = 3) {
  products(first: $first) {
    edges { node { id name price { amount currency } available } }
    pageInfo { hasNextPage endCursor }
  }
  me {
    name
    orders(first: $first) {
      edges { node { id status items { quantity product { name } } } }
    }
  }
}
`;

const SCHEMA = `{ __schema { queryType { name } mutationType { name } subscriptionType { name } types {
  name kind description
  fields { name description args { name description defaultValue type { ...T } } type { ...T } }
  inputFields { name description type { ...T } } enumValues { name description }
} } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;

const at = (id) => document.getElementById(id);

const STREAM = "text/event-stream";
const ACCEPT = `application/graphql-response+json, application/json, ${STREAM}`;

// Sends a request, and returns the answer as it begins.
function ask(body, signal) {
  const headers = { "content-type": "application/json", accept: ACCEPT };
  const token = at("token").value.trim();
  if (token) headers.authorization = `Bearer ${token}`;
  return fetch("/graphql", { method: "POST", headers, body: JSON.stringify(body), signal });
}

// Reads the events of a subscription to their end; `each` gets what every `next` says.
async function follow(body, each) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n");
      const data = lines.find((line) => line.startsWith("data: "));
      if (data && lines.includes("event: next")) each(JSON.parse(data.slice("data: ".length)));
    }
  }
}

// The subscription that is shown, until the next request.
let watching = new AbortController();

// Shows a subscription, event by event.
async function show(body) {
  let count = 0;
  at("answer").textContent = "";
  at("status").textContent = "Watching. The next request ends it.";
  await follow(body, (next) => {
    count += 1;
    at("answer").append(`${JSON.stringify(next, null, 2)}\n`);
    at("status").textContent = `Watching, ${count} so far. The next request ends it.`;
  });
  at("status").textContent = `Ended after ${count}.`;
}

async function run(event) {
  event.preventDefault();
  const button = at("request").querySelector("button");
  if (button.getAttribute("aria-busy") === "true") return;
  let variables;
  try {
    variables = JSON.parse(at("variables").value.trim() || "{}");
  } catch (error) {
    at("status").textContent = `The variables are no JSON: ${error.message}`;
    return;
  }
  const query = at("query").value;
  // In the address, so that a query can be passed on; the token is not.
  const state = new URLSearchParams({ query, variables: at("variables").value });
  history.replaceState(null, "", `#${state}`);
  button.setAttribute("aria-busy", "true");
  at("status").textContent = "Asking…";
  watching.abort();
  watching = new AbortController();
  const { signal } = watching;
  const began = performance.now();
  try {
    const sent = await ask({ query, variables }, signal);
    if ((sent.headers.get("content-type") || "").startsWith(STREAM)) {
      button.setAttribute("aria-busy", "false");
      await show(sent.body);
      return;
    }
    const { status } = sent;
    const text = await sent.text();
    const took = Math.round(performance.now() - began);
    let shown = text;
    let errors = 0;
    try {
      const answer = JSON.parse(text);
      errors = answer.errors ? answer.errors.length : 0;
      shown = JSON.stringify(answer, null, 2);
    } catch { /* No JSON: shown as it is. */ }
    at("answer").textContent = shown;
    at("status").textContent = `Status ${status}, ${took} ms, ${errors} error${errors === 1 ? "" : "s"}.`;
  } catch (error) {
    if (signal.aborted) return;
    at("status").textContent = `The gateway cannot be reached: ${error.message}`;
  } finally {
    if (!signal.aborted) button.setAttribute("aria-busy", "false");
  }
}

// An element with text or other elements in it.
function make(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

// A type as the schema definition language writes it.
function typeName(type) {
  if (type.kind === "NON_NULL") return `${typeName(type.ofType)}!`;
  if (type.kind === "LIST") return `[${typeName(type.ofType)}]`;
  return type.name;
}

function described(line, description, inner = []) {
  const item = make("li", make("code", line));
  if (description) item.append(make("p", description));
  if (inner.length > 0) item.append(make("ul", ...inner));
  return item;
}

const argument = (it) =>
  described(`${it.name}: ${typeName(it.type)}${it.defaultValue === null || it.defaultValue === undefined ? "" : ` = ${it.defaultValue}`}`, it.description);
const field = (it) => described(`${it.name}: ${typeName(it.type)}`, it.description, (it.args || []).map(argument));

function typeTree(type, open) {
  const details = make("details", make("summary", type.name));
  details.open = open;
  if (type.description) details.append(make("p", type.description));
  const fields = (type.fields || type.inputFields || []).map(field);
  const values = (type.enumValues || []).map((it) => described(it.name, it.description));
  details.append(make("ul", ...fields, ...values));
  return details;
}

async function showSchema() {
  const status = at("schema-status");
  try {
    const answer = await (await ask({ query: SCHEMA })).json();
    if (!answer.data) throw new Error(answer.errors ? answer.errors[0].message : answer.detail);
    const schema = answer.data.__schema;
    const roots = [schema.queryType, schema.mutationType, schema.subscriptionType].filter(Boolean).map((it) => it.name);
    const rank = (it) => (roots.includes(it.name) ? roots.indexOf(it.name) : roots.length);
    const types = schema.types
      .filter((it) => !it.name.startsWith("__"))
      .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
    at("schema").replaceChildren(...types.map((it) => typeTree(it, rank(it) === 0)));
    status.textContent = `${types.length} types.`;
  } catch (error) {
    status.textContent = `The schema is not shown: ${error.message}.`;
  }
}

const state = new URLSearchParams(location.hash.slice(1));
at("query").value = state.get("query") || EXAMPLE;
at("variables").value = state.get("variables") || "{}";
at("request").addEventListener("submit", run);
at("request").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
});
showSchema();
