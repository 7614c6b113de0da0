// The orders to show once the list was read again, `max` at most: those that were read, and before them what was placed
// meanwhile: what the shop accepted after it had looked is not in its answer. `before` has the ids shown when it was asked.
export function newest(read, shown, before, max) {
  const known = new Set(read.map(({ id }) => id));
  const placed = shown.filter(({ id }) => !before.has(id) && !known.has(id));
  return [...placed, ...read].slice(0, max);
}
