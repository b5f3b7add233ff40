// What a map shows, as plain data that outlives any GPU context; a renderer uploads a part when its number has grown.
import type { Camera, Extent } from '../contract'

export interface Picture { image: HTMLCanvasElement; extent: Extent; smooth: boolean }

export interface Scene {
  n: number
  xy: Float32Array
  other: Float32Array | null // the second layout, while one morphs into the other
  cov: Uint16Array | null
  colours: Uint8Array // 4n
  ground: Picture | null
  veil: Picture | null // the server's density, in place of clouds that are too slow here
  version: { points: number; colours: number; ground: number; veil: number }
}

/** One frame: where the camera is and how things are drawn. */
export interface Frame {
  width: number
  height: number
  ratio: number
  camera: Camera
  otherCamera: Camera
  morph: number
  shown: number // of the points the first so many
  dot: number // a point's diameter in pixels
  opacity: number // of the points; 0: none are drawn
  diamond: boolean
  outline: [number, number, number]
  clouds: number // k σ; 0: none
  gain: number
  resting: boolean // the camera rests: clouds may be drawn anew
}

/** Who draws a scene. */
export interface Renderer {
  readonly kind: 'WebGL2' | 'Canvas2D'
  readonly canvas: HTMLCanvasElement
  /** False where clouds cannot be drawn, or only too slowly: the scene's veil is shown in their place. */
  readonly drawsClouds: boolean
  /** Whether clouds are still to be added up: drawing again goes on with them. */
  readonly unfinished: boolean
  readonly clouds: number // how many were added up, once no more come
  draw(scene: Scene, frame: Frame): void
  dispose(): void
}

export const emptyScene = (): Scene => ({
  n: 0, xy: new Float32Array(0), other: null, cov: null, colours: new Uint8Array(0), ground: null, veil: null,
  version: { points: 0, colours: 0, ground: 0, veil: 0 },
})

export function dotSize(n: number, zoom: number): number {
  const base = n <= 1500 ? 6.5 : n <= 6000 ? 5 : n <= 25000 ? 3.6 : n <= 120000 ? 2.6 : 1.8
  return Math.min(12, Math.max(1.2, base * Math.min(2.2, Math.max(0.8, zoom ** 0.4))))
}
