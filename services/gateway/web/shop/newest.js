// Whether asking again brings the same refusal, whoever asks.
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 401 && status !== 429;

// Reads something to its end; after a failure again, once `pause(error)` is over. Throws what is refused for good.
export async function patiently(read, signal, pause) {
  while (!signal.aborted) {
    try {
      return await read();
    } catch (error) {
      if (signal.aborted || isFinal(error)) throw error;
      await pause(error);
    }
  }
}

// The orders to show once the list was read, `max` at most: those that were read, and before them what was placed meanwhile.
// `before` has the ids shown when it was asked.
export function newest(read, shown, before, max) {
  const known = new Set(read.map(({ id }) => id));
  const placed = shown.filter(({ id }) => !before.has(id) && !known.has(id));
  return [...placed, ...read].slice(0, max);
}
