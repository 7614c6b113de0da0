// The frame: which view is shown follows from the address, `#/view/what?how`.
import { h } from "./lib/dom.js";
import { observatory } from "./lib/observatory.js";
import "./lib/problem.js";
import "./break/banner.js";
import "./break/view.js";
import "./journey/view.js";
import "./map/view.js";
import "./shop/view.js";
import "./tour/view.js";

const VIEWS = { shop: "Shop", journey: "Journey", map: "Map", break: "Break it", tour: "Tour" };

const main = document.getElementById("view");
const links = new Map();
let shown = null;

function address() {
  const [path, how = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, what = ""] = path.split("/");
  return { name, what: safely(what), how: new URLSearchParams(how) };
}

function safely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function show() {
  const { name, what, how } = address();
  const view = Object.hasOwn(VIEWS, name) ? name : "shop";
  document.title = `${VIEWS[view]} · Agora`;
  for (const [of, link] of links) link.ariaCurrent = of === view ? "page" : null;
  const element = `agora-${view}`;
  const isSame = shown?.localName === element;
  // A view that knows how goes on where it is.
  if (isSame) return shown.go?.(what, how);
  const isFirst = shown === null;
  shown = h(element);
  shown.what = what;
  shown.how = how;
  main.replaceChildren(shown);
  scrollTo(0, 0);
  // The keyboard goes along; at the start the browser knows better.
  if (!isFirst) main.focus({ preventScroll: true });
}

document.getElementById("views").append(
  ...Object.entries(VIEWS).map(([name, title]) => {
    links.set(name, h("a", { href: `#/${name}` }, title));
    return h("li", {}, links.get(name));
  }),
);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
show();
observatory.look();
