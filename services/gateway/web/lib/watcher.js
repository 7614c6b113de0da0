// Who looks at the observatory where it is for administrators. The password is not kept.
import { keep, kept } from "./kept.js";

const KEY = "agora.watcher";

let watcher = kept(KEY);

// The token to show, if there is one.
export const watcherToken = () => (watcher?.ends > Date.now() ? watcher.token : undefined);

export function watch({ access_token, expires_in }) {
  watcher = { token: access_token, ends: Date.now() + expires_in * 1000 };
  keep(KEY, watcher);
}
