// What this tab keeps, as long as it may: a browser that keeps nothing is no reason to show nothing.
export function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

export function keep(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch { /* Known until the page is left. */ }
}
