// Whether these goods are those that are shown, each at its place.
export const isSame = (shown, goods) => shown.length === goods.length && goods.every((good, n) => good.id === shown[n]);
