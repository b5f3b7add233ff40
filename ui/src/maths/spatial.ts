// Spatial codes, channels × height × width in a row: one channel as a picture, and a patch of one code put into another.

export type Shape3 = readonly [number, number, number]

/** The shape of a spatial code; null of another. */
export function spatial(shape: readonly number[] | undefined): Shape3 | null {
  return shape?.length === 3 ? [shape[0]!, shape[1]!, shape[2]!] : null
}

/** One channel of a code, line by line. */
export function channelOf(z: ArrayLike<number>, [, height, width]: Shape3, channel: number): number[] {
  const size = height * width
  return Array.from({ length: size }, (_, i) => z[channel * size + i] ?? 0)
}

/** The code z with every channel of `brush` in the square of `side` places whose middle (of an even one: lower right of it) is (row, column). */
export function patched(z: ArrayLike<number>, brush: ArrayLike<number>, [channels, height, width]: Shape3, row: number, column: number, side: number): number[] {
  const found = Array.from(z)
  const [top, left] = [row - Math.floor(side / 2), column - Math.floor(side / 2)]
  for (let c = 0; c < channels; c++) {
    for (let i = Math.max(0, top); i < Math.min(height, top + side); i++) {
      for (let j = Math.max(0, left); j < Math.min(width, left + side); j++) {
        const at = (c * height + i) * width + j
        found[at] = brush[at]!
      }
    }
  }
  return found
}

/** As far as a channel's colours reach: three deviations of its numbers about 0, from the codes' means and deviations; of a code alone without them. */
export function reachOf(z: ArrayLike<number>, mean: readonly number[], std: readonly number[], shape: Shape3, channel: number): number {
  if (mean.length !== z.length || std.length !== z.length) return Math.max(1e-9, ...channelOf(z, shape, channel).map(Math.abs))
  const [m, s] = [channelOf(mean, shape, channel), channelOf(std, shape, channel)]
  return 3 * Math.sqrt(m.reduce((sum, value, i) => sum + value ** 2 + s[i]! ** 2, 0) / m.length) || 1
}
