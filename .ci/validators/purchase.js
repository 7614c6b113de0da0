// purchase.js ENDPOINTS: the purchase of the README by clients of GraphQL that are not ours: each document is checked with the
// published schema by `graphql`, sent with `fetch`, and the order is watched with `graphql-ws`, the protocol's own client.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const PATIENCE_MS = 30_000;
const { gateway } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const schema = buildSchema(readFileSync('docs/interfaces/schema.graphql', 'utf8'));
setTimeout(() => { throw new Error('the purchase takes too long'); }, PATIENCE_MS).unref();

function known(query) {
  assert.deepEqual(validate(schema, parse(query)), [], query);
  return query;
}

// The data of an answer without errors.
async function ask(token, query, variables) {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' };
  if (token) headers.authorization = `Bearer ${token}`;
  const body = JSON.stringify({ query: known(query), variables });
  const answer = await fetch(`${gateway}/graphql`, { method: 'POST', headers, body });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

const who = { email: `${randomUUID()}@example.org`, password: 'correct horse battery' };
const { signUp, signIn } = await ask(undefined, `mutation($email: String!, $password: String!) {
  signUp(email: $email, name: "Foreign", password: $password) { id }
  signIn(email: $email, password: $password) { accessToken }
}`, who);
const token = signIn.accessToken;

const { products } = await ask(undefined, '{ products(first: 5) { edges { node { id name available } } } }');
const product = products.edges.map((edge) => edge.node).find((node) => node.available > 2);
const place = `mutation($product: ID!) {
  placeOrder(items: [{ productId: $product, quantity: 2 }], idempotencyKey: "foreign-1") { id userId status }
}`;
const { placeOrder: order } = await ask(token, place, { product: product.id });
assert.equal(order.userId, signUp.id);
assert.equal((await ask(token, place, { product: product.id })).placeOrder.id, order.id, 'one key, one order');

const sockets = createClient({
  url: `${gateway.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
});
const watch = known('subscription($id: ID!, $after: Long) { orderChanged(id: $id, after: $after) { sequence status } }');
const statuses = [];
let last = 0;
for await (const { data, errors } of sockets.iterate({ query: watch, variables: { id: order.id } })) {
  assert.equal(errors, undefined, JSON.stringify(errors));
  const { sequence, status } = data.orderChanged;
  assert.ok(sequence > last, `${sequence} after ${last}`);
  last = sequence;
  statuses.push(status);
  if (status === 'CONFIRMED') {
    await ask(token, 'mutation($id: ID!) { cancelOrder(id: $id) { status } }', { id: order.id });
  }
}
assert.deepEqual(statuses, ['PENDING', 'CONFIRMED', 'CANCELLED']);

// From where it was seen; and what is another's is refused.
const rest = [];
for await (const { data } of sockets.iterate({ query: watch, variables: { id: order.id, after: 1 } })) {
  rest.push(data.orderChanged.status);
}
assert.deepEqual(rest, statuses.slice(1));
for await (const { errors } of sockets.iterate({ query: watch, variables: { id: signUp.id } })) {
  assert.equal(errors[0].extensions.code, 'not-found');
}
await sockets.dispose();
console.log(`bought 2 of ${product.name} with GraphQL clients of others: ${statuses.join(', ')}`);
