// Which orders are shown once the list was read again.

// The newest, `max` at most: those that were read, and before them what was placed meanwhile. An order that the shop accepted after
// it had looked is not in its answer. `before` has the ids that were shown when the list was asked for.
export function newest(read, shown, before, max) {
  const known = new Set(read.map(({ id }) => id));
  const placed = shown.filter(({ id }) => !before.has(id) && !known.has(id));
  return [...placed, ...read].slice(0, max);
}
