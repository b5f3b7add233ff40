// A field's numbers between the places that they were measured at.
import type { Field } from '../contract'

/** The field between its cells' centres, bilinear; x and y in 0 … 1 from the first row (b0). */
export function sample({ width, height, values }: Field, x: number, y: number): number {
  const along = (share: number, n: number) => Math.min(n - 1, Math.max(0, share * n - 0.5))
  const [at, up] = [along(x, width), along(y, height)]
  const [i, j] = [Math.floor(at), Math.floor(up)]
  const [i1, j1] = [Math.min(width - 1, i + 1), Math.min(height - 1, j + 1)]
  const [fx, fy] = [at - i, up - j]
  const low = (1 - fx) * values[j * width + i]! + fx * values[j * width + i1]!
  return (1 - fy) * low + fy * ((1 - fx) * values[j1 * width + i]! + fx * values[j1 * width + i1]!)
}
