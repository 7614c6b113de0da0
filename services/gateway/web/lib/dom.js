// Elements made without HTML text: whatever comes from outside becomes a text node or the value of an attribute.

const SVG = "http://www.w3.org/2000/svg";

const isThere = (it) => (it ?? false) !== false;

const there = (children) => children.flat(3).filter(isThere);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (!isThere(value)) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...there(children));
  return element;
}

// An HTML element. `onclick` and its like are listeners.
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const put = (element, ...children) => element.replaceChildren(...there(children));

// Lets an event with a detail go up from an element.
export const tell = (from, type, detail) => from.dispatchEvent(new CustomEvent(type, { bubbles: true, detail }));

// Whoever draws anew calls what this returns: the keyboard is then where it was, by an attribute, or at `otherwise`.
export function keepFocus(within, name, otherwise) {
  const was = within.contains(document.activeElement) ? document.activeElement : null;
  const key = was?.getAttribute(name);
  return () => {
    if (!was || document.activeElement === was) return;
    const drawn = key && within.querySelector(`[${name}="${CSS.escape(key)}"]`);
    (was.isConnected ? was : drawn || otherwise)?.focus({ preventScroll: true });
  };
}

export const thead = (heads) => h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head))));

// A part that scrolls, also by keyboard.
export const pane = (tag, label) => h(tag, { class: "card scroll", role: "region", tabindex: 0, "aria-label": label });

// The tips of arrows, `url(#prefix-call)` and so on.
export const tips = (prefix) =>
  ["call", "message", "bad"].map((of) =>
    s("marker", { id: `${prefix}-${of}`, class: of, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
      s("path", { d: "M0 0 8 4 0 8z" })));

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
