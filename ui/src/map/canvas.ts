// The map without WebGL2: a random sample of the points as squares. The points' order is random, so its first ones are a sample.
import { css } from './colours'
import { toScreen, type Spot } from '../maths/camera'
import type { Frame, Picture, Renderer, Scene } from './scene'

export const MOST = 20000

export class CanvasRenderer implements Renderer {
  readonly kind = 'Canvas2D'
  readonly drawsClouds = false
  readonly unfinished = false
  readonly clouds = 0
  readonly #context: CanvasRenderingContext2D

  constructor(readonly canvas: HTMLCanvasElement) { this.#context = canvas.getContext('2d')! }

  draw(scene: Scene, frame: Frame): void {
    const { width, height, ratio } = frame
    this.canvas.width = Math.round(width * ratio)
    this.canvas.height = Math.round(height * ratio)
    this.#context.scale(ratio, ratio)
    this.#picture(scene.ground, frame, 1)
    if (frame.clouds > 0) this.#picture(scene.veil, frame, 1)
    this.#points(scene, frame)
  }

  dispose(): void {}

  #picture(picture: Picture | null, frame: Frame, alpha: number): void {
    if (!picture || (frame.morph > 0 && frame.morph < 1)) return
    const { a0, a1, b0, b1 } = picture.extent
    const [from, to] = [toScreen(frame.camera, frame, a0, b1), toScreen(frame.camera, frame, a1, b0)]
    this.#context.imageSmoothingEnabled = picture.smooth
    this.#context.globalAlpha = alpha
    this.#context.drawImage(picture.image, from.x, from.y, to.x - from.x, to.y - from.y)
    this.#context.globalAlpha = 1
  }

  #points(scene: Scene, frame: Frame): void {
    if (!frame.opacity) return
    const size = frame.dot
    this.#context.globalAlpha = frame.opacity
    let last = -1
    for (let i = 0; i < Math.min(scene.n, frame.shown, MOST); i++) {
      const { x, y } = spotOf(scene, frame, i)
      if (!scene.colours[4 * i + 3] || x < -size || y < -size || x > frame.width + size || y > frame.height + size) continue
      const [r, g, b, a] = scene.colours.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number]
      const key = ((r * 256 + g) * 256 + b) * 256 + a
      if (key !== last) this.#context.fillStyle = css([r, g, b], a / 255)
      last = key
      this.#context.fillRect(x - size / 2, y - size / 2, size, size)
    }
    this.#context.globalAlpha = 1
  }
}

export function spotOf(scene: Scene, frame: Pick<Frame, 'camera' | 'otherCamera' | 'morph' | 'width' | 'height'>, i: number): Spot {
  const own = toScreen(frame.camera, frame, scene.xy[2 * i]!, scene.xy[2 * i + 1]!)
  if (!scene.other || frame.morph <= 0) return own
  const other = toScreen(frame.otherCamera, frame, scene.other[2 * i]!, scene.other[2 * i + 1]!)
  return { x: own.x + frame.morph * (other.x - own.x), y: own.y + frame.morph * (other.y - own.y) }
}
