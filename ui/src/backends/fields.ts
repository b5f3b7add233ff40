// The fields of a file, read at other places and sizes than they were measured at.
import type { Extent, Field } from '../contract'
import { sample } from '../maths/fields'

export interface Measured extends Field { extent: Extent }

/** Cells along the longer side as asked, square as the server's; beyond what was measured there is no number. */
export function resampled(from: Measured, extent: Extent, size: number): Field {
  const [across, up] = [extent.a1 - extent.a0, extent.b1 - extent.b0]
  const longest = Math.max(across, up)
  const [width, height] = [across, up].map((side) => Math.max(1, Math.round((size * side) / longest))) as [number, number]
  const values = new Float32Array(width * height)
  for (let j = 0; j < height; j++)
    for (let i = 0; i < width; i++)
      values[j * width + i] = valueAt(from, extent.a0 + ((i + 0.5) / width) * across, extent.b0 + ((j + 0.5) / height) * up)
  return { width, height, low: from.low, high: from.high, threshold: from.threshold, values }
}

export function valueAt(from: Measured, a: number, b: number): number {
  const [x, y] = [(a - from.extent.a0) / (from.extent.a1 - from.extent.a0), (b - from.extent.b0) / (from.extent.b1 - from.extent.b0)]
  return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? sample(from, x, y) : NaN
}
