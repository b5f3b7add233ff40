// Standard normal draws from a seed: the same seed gives the same tiles after a reload, in every browser.

/** mulberry32: uniform numbers in [0, 1) from 32 bits of state. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Box and Muller: pairs of independent N(0, 1). */
export function normals(seed: number, count: number): Float32Array {
  const next = uniform(seed)
  const drawn = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - next())) // 1 − u is never 0
    const angle = 2 * Math.PI * next()
    drawn[i] = radius * Math.cos(angle)
    if (i + 1 < count) drawn[i + 1] = radius * Math.sin(angle)
  }
  return drawn
}

/** n codes mean + temperature·std·ε; N(0, temperature²·I) where no mean and std are given. */
export function drawCodes(seed: number, n: number, d: number, temperature: number, mean?: number[], std?: number[]): Float32Array[] {
  const noise = normals(seed, n * d)
  return Array.from({ length: n }, (_, i) =>
    noise.slice(i * d, (i + 1) * d).map((value, j) => (mean?.[j] ?? 0) + temperature * (std?.[j] ?? 1) * value),
  )
}
