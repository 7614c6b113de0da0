// As much of a browser as elements need to be made and to do their work. What they look like is for tests with a real one.

export const made = [];
const defined = new Map();

class Element extends EventTarget {
  attributes = new Map();
  children = [];
  dataset = {};
  classList = { add() {}, remove() {}, toggle() {} };

  setAttribute(name, value) {
    this.attributes.set(name, value);
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
  }

  contains() {
    return false;
  }
}

const make = (tag) => {
  const element = new (defined.get(tag) ?? Element)();
  element.tag = tag;
  made.push(element);
  return element;
};

globalThis.HTMLElement = Element;
globalThis.customElements = { define: (name, of) => defined.set(name, of) };
globalThis.document = Object.assign(new Element(), { hidden: false, createElement: make, createElementNS: (_, tag) => make(tag), activeElement: null });

const values = new Map();
globalThis.sessionStorage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };

// Puts a new element into the document.
export function enter(name) {
  const element = make(name);
  element.connectedCallback();
  return element;
}

// Lets everything happen that waits for nothing.
export const settle = async () => {
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

export const json = (document, status = 200) =>
  new Response(JSON.stringify(document), { status, headers: { "content-type": "application/json" } });

// An answer that does not come.
export const never = () => new Promise(() => {});
