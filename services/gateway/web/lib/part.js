// A custom element whose work ends when it leaves the document: `this.signal` is aborted then.
export class Part extends HTMLElement {
  #work = new AbortController();

  get signal() {
    return this.#work.signal;
  }

  connectedCallback() {
    if (this.#work.signal.aborted) this.#work = new AbortController();
    this.start();
  }

  disconnectedCallback() {
    this.#work.abort();
  }

  start() {}

  // Listens to another object for as long as this element is in the document.
  on(target, type, listener) {
    target.addEventListener(type, listener, { signal: this.signal });
  }
}
