// The posteriors' clouds: half floats, Cholesky factors, ellipses, and how bright many of them together may be.
import type { Plane, Points } from '../contract'

export type Covariance = [aa: number, ab: number, bb: number]

export function halfToFloat(half: number): number {
  const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023]
  if (exponent === 0) return sign * fraction * 2 ** -24
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

export const covarianceAt = (points: Points, i: number): Covariance =>
  [0, 1, 2].map((c) => halfToFloat(points.cov[3 * i + c]!)) as Covariance

/** The lower factor [l11, l21, l22], L Lᵀ = Σ; zeros where Σ is not positive. */
export function cholesky([aa, ab, bb]: Covariance): [number, number, number] {
  const l11 = Math.sqrt(Math.max(aa, 0))
  const l21 = l11 > 0 ? ab / l11 : 0
  return [l11, l21, Math.sqrt(Math.max(bb - l21 * l21, 0))]
}

export interface Ellipse { major: number; minor: number; angle: number } // σ along the axes; angle from a towards b

export function ellipseOf([aa, ab, bb]: Covariance): Ellipse {
  const [middle, radius] = [(aa + bb) / 2, Math.hypot((aa - bb) / 2, ab)]
  return { major: Math.sqrt(Math.max(middle + radius, 0)), minor: Math.sqrt(Math.max(middle - radius, 0)), angle: 0.5 * Math.atan2(2 * ab, aa - bb) }
}

/** Uᵀ diag(σ²) U: the cloud of independent latents as the plane shows it. */
export function projected({ u, v }: Plane, sigma: number[]): Covariance {
  const sum = (x: number[], y: number[]) => sigma.reduce((total, s, i) => total + s * s * (x[i] ?? 0) * (y[i] ?? 0), 0)
  return [sum(u, u), sum(u, v), sum(v, v)]
}

export const hasClouds = (points: Points): boolean => points.cov.subarray(0, 300).some((half) => (half & 0x7fff) !== 0)

/** How many pixels of the screen one pixel of the clouds' sum may cover: half of what the smaller ones' lesser axis has, for
 *  `scale` pixels a unit; from 300 points (their order is random). */
export function grainOf(cov: Uint16Array, scale: number): number {
  const [minors, m] = [[] as number[], Math.min(cov.length / 3, 300)]
  for (let i = 0; i < m; i++) {
    const { minor } = ellipseOf([0, 1, 2].map((c) => halfToFloat(cov[3 * i + c]!)) as Covariance)
    if (minor > 0) minors.push(minor)
  }
  const small = minors.sort((a, b) => a - b)[Math.floor(minors.length / 4)] ?? 0
  return Math.min(12, Math.max(2, Math.floor((small * scale) / 2)))
}

const BRIGHT = 1.6
/** How many clouds typically lie on one another, by the gain. */
export const layersOf = (gain: number): number => BRIGHT / gain

/** 1 over how many clouds typically lie on one another, from 500 points (their order is random). */
export function gainOf(points: Points, k: number): number {
  const m = Math.min(points.n, 500)
  let layers = 0
  for (let i = 0; i < m; i++) {
    const [aa, ab, bb] = covarianceAt(points, i)
    const det = aa * bb - ab * ab
    if (!(det > 0)) continue
    for (let j = 0; j < m; j++) {
      const [x, y] = [points.xy[2 * j]! - points.xy[2 * i]!, points.xy[2 * j + 1]! - points.xy[2 * i + 1]!]
      layers += Math.exp((-0.5 * (bb * x * x - 2 * ab * x * y + aa * y * y)) / (det * k * k))
    }
  }
  return BRIGHT / Math.max(1, ((layers / Math.max(m, 1) - 1) * points.n) / m + 1)
}
