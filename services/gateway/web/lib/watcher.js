// Who looks at the observatory where it is for administrators, not who shops: kept for this tab, as long as the token is
// good. The password is not kept.
const KEY = "agora.watcher";

let kept = JSON.parse(sessionStorage.getItem(KEY) || "null");

// The token to show, if there is one.
export const watcherToken = () => (kept && kept.ends > Date.now() ? kept.token : undefined);

export function watch({ access_token, expires_in }) {
  kept = { token: access_token, ends: Date.now() + expires_in * 1000 };
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}
