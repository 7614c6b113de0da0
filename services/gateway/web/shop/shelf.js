// Whether the goods of a list are those that are shown, each at its place. A pure function.
export const isSame = (shown, goods) => shown.length === goods.length && goods.every((good, n) => good.id === shown[n]);
