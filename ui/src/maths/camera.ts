// Map coordinates to pixels and back. One scale for both axes: a circle of latent space is a circle on the screen.
import type { Camera, Extent } from '../contract'

export interface Size { width: number; height: number }
export interface Spot { x: number; y: number }

export const toScreen = (camera: Camera, size: Size, a: number, b: number): Spot => ({
  x: size.width / 2 + (a - camera.a) * camera.scale, y: size.height / 2 - (b - camera.b) * camera.scale,
})
export const toMap = (camera: Camera, size: Size, { x, y }: Spot): { a: number; b: number } => ({
  a: camera.a + (x - size.width / 2) / camera.scale, b: camera.b - (y - size.height / 2) / camera.scale,
})

/** Zooms so that what lies under the spot stays there. */
export function zoomAt(camera: Camera, size: Size, spot: Spot, factor: number): Camera {
  const scale = Math.min(1e7, Math.max(1e-4, camera.scale * factor))
  const { a, b } = toMap(camera, size, spot)
  return { a: a - (spot.x - size.width / 2) / scale, b: b + (spot.y - size.height / 2) / scale, scale }
}

export const panBy = (camera: Camera, dx: number, dy: number): Camera => ({
  a: camera.a - dx / camera.scale, b: camera.b + dy / camera.scale, scale: camera.scale,
})

/** What is seen, and `margin` of it more on every side. */
export function seen(camera: Camera, { width, height }: Size, margin = 0): Extent {
  const [half, tall] = [(width / 2 / camera.scale) * (1 + 2 * margin), (height / 2 / camera.scale) * (1 + 2 * margin)]
  return { a0: camera.a - half, a1: camera.a + half, b0: camera.b - tall, b1: camera.b + tall }
}

export function fit({ a0, a1, b0, b1 }: Extent, { width, height }: Size): Camera {
  const [wide, tall] = [Math.max(a1 - a0, 1e-6), Math.max(b1 - b0, 1e-6)]
  return { a: (a0 + a1) / 2, b: (b0 + b1) / 2, scale: 0.9 * Math.min(width / wide, height / tall) }
}

/** The box of all but the outermost 0.2 % on each side, found from at most 20 000 points (their order is random). */
export function boundsOf(xy: Float32Array): Extent | null {
  const n = Math.min(xy.length / 2, 20000)
  if (!n) return null
  const range = (offset: number): [number, number] => {
    const sorted = Float32Array.from({ length: n }, (_, i) => xy[2 * i + offset]!).sort()
    return [sorted[Math.floor(0.002 * n)]!, sorted[Math.ceil(0.998 * n) - 1]!]
  }
  const [[a0, a1], [b0, b1]] = [range(0), range(1)]
  return { a0, a1, b0, b1 }
}

/** The largest of 1, 2, 5 · 10ᵏ that is at most `pixels` wide. */
export function roundLength(scale: number, pixels: number): number {
  const most = pixels / scale
  const power = 10 ** Math.floor(Math.log10(most))
  return power * (most >= 5 * power ? 5 : most >= 2 * power ? 2 : 1)
}
