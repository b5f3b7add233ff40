// Neighbours of an image, and how often they are of its class.

export interface Near { row: number; label: number }

/** The k nearest of those found, without the image itself. */
export const without = (rows: readonly number[], labels: readonly number[], of: number, k: number): Near[] =>
  rows.map((row, i) => ({ row, label: labels[i]! })).filter(({ row }) => row !== of).slice(0, k)

/** The share of neighbours of this class. */
export const share = (near: readonly Near[], label: number): number => near.filter((one) => one.label === label).length / near.length

/** Σ p²: how often two random images are of one class. */
export function chance(labels: ArrayLike<number>): number {
  const counts = new Map<number, number>()
  for (let i = 0; i < labels.length; i++) counts.set(labels[i]!, (counts.get(labels[i]!) ?? 0) + 1)
  return [...counts.values()].reduce((sum, n) => sum + (n / labels.length) ** 2, 0)
}

/** How far places lie from a centre along each dimension: the root of the mean square. */
export const deviations = (places: readonly number[][], centre: readonly number[]): number[] =>
  centre.map((value, j) => Math.sqrt(places.reduce((sum, place) => sum + (place[j]! - value) ** 2, 0) / places.length))
