// Validates an AsyncAPI document with the project's own parser: prints every diagnostic, fails if there is one.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const path = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(path, 'utf8'));
for (const { code, message, path: at } of diagnostics) {
  console.error(`${path}: ${code}: ${message} at /${at.join('/')}`);
}
if (document === undefined || diagnostics.length > 0) process.exit(1);
console.log(`${path}: AsyncAPI ${document.version()}, ${document.allMessages().length} messages: OK`);
