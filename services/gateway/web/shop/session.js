// Who shops here: kept for this tab only, so that a reload changes nothing.
import { call, hex } from "../lib/api.js";
import { keep, kept } from "../lib/kept.js";

// Made by `agora up`, which prints it. It may only shop.
const DEMO = { email: "demo@agora.example", password: "shopping-for-olives" };
const KEY = "agora.session";

class Session extends EventTarget {
  #kept = kept(KEY);
  #signingIn = null;

  get user() {
    return this.#kept?.user ?? null;
  }

  // A token that is good for some time yet. Signs in where nobody is.
  async token() {
    if (this.#kept?.ends > Date.now()) return this.#kept.token;
    // Whoever asks meanwhile waits for the same.
    return (this.#signingIn ??= this.#signIn().finally(() => (this.#signingIn = null)));
  }

  async brief(expires_in) {
    await this.token();
    return (await call("/api/sessions", { body: { ...(this.#kept.credentials ?? DEMO), expires_in } })).data;
  }

  // The token is good no more: whoever calls next signs in again.
  expire() {
    if (this.#kept) this.#kept = { ...this.#kept, ends: 0 };
  }

  signOut() {
    this.#keep(null);
  }

  // A call as this customer. A token that is refused before its time (its key is gone) is renewed once.
  async call(path, options = {}) {
    try {
      return await call(path, { ...options, token: await this.token() });
    } catch (error) {
      // Who has signed out meanwhile is not signed in again.
      if (error.status !== 401 || !this.#kept) throw error;
      this.expire();
      return call(path, { ...options, token: await this.token() });
    }
  }

  cancel(id) {
    return this.call(`/api/orders/${id}/cancel`, { body: {} });
  }

  async #signIn() {
    const before = this.#kept;
    const credentials = before?.credentials ?? DEMO;
    let signedIn;
    try {
      signedIn = await this.#authenticate(credentials);
    } catch (error) {
      if (error.status !== 401) throw error;
      // No demo customer here, or a new database: somebody new.
      signedIn = await this.#authenticate(await this.#signUp());
    }
    if (this.#kept || !before) this.#keep(signedIn);
    return signedIn.token;
  }

  async #authenticate(credentials) {
    const { data } = await call("/api/sessions", { body: credentials });
    const token = data.access_token;
    const { data: user } = await call("/api/users/me", { token });
    // Those of the demo customer are known here. The token is renewed in the last tenth of its life.
    return { ...(credentials !== DEMO && { credentials }), token, user, ends: Date.now() + data.expires_in * 900 };
  }

  async #signUp() {
    const credentials = { email: `guest-${hex(6)}@agora.example`, password: hex(16) };
    await call("/api/users", { body: { ...credentials, name: "Guest" } });
    return credentials;
  }

  #keep(session) {
    const before = this.user?.id;
    this.#kept = session;
    keep(KEY, session);
    // A renewed token is no other customer.
    if (this.user?.id !== before) this.dispatchEvent(new Event("change"));
  }
}

export const session = new Session();
