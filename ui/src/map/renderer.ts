// Who draws: WebGL2 where there is one, else Canvas2D with a sample of the points, and a line that says so.
import { CanvasRenderer, MOST } from './canvas'
import { GlRenderer } from './gl'
import type { Frame, Scene } from './scene'

export interface Renderer {
  readonly kind: 'WebGL2' | 'Canvas2D'
  readonly canvas: HTMLCanvasElement
  /** False where clouds cannot be drawn, or only too slowly: the scene's veil is shown in their place. */
  readonly drawsClouds: boolean
  readonly clouds: number // how many are drawn, at most
  draw(scene: Scene, frame: Frame): void
  dispose(): void
}

/** Which clouds are shown, where not all are. */
export function cloudNote({ drawsClouds, clouds }: Renderer, n: number): string {
  if (!drawsClouds) return 'So many clouds are too slow here: their density is shown instead.'
  return clouds < n ? `All clouds are too slow here: those of ${clouds.toLocaleString('en')} random points are shown.` : ''
}

export interface Made { renderer: Renderer; note: string }

/** A renderer with a canvas of its own in `host`; `again` is called when it has to be made anew: its context was lost. */
export function makeRenderer(host: HTMLElement, again: () => void): Made {
  const canvas = fresh(host)
  const gl = canvas.getContext('webgl2', { alpha: true, antialias: false, premultipliedAlpha: true, powerPreference: 'high-performance' })
  if (!gl) return fallback(fresh(host))
  try {
    const renderer = new GlRenderer(canvas, gl)
    canvas.addEventListener('webglcontextlost', () => renderer.disposed || setTimeout(again, 300))
    return { renderer, note: renderer.floatBlend ? '' : 'This GPU cannot add up clouds: the density is shown instead.' }
  } catch (error) {
    console.warn(error)
    return fallback(fresh(host))
  }
}

function fallback(canvas: HTMLCanvasElement): Made {
  return { renderer: new CanvasRenderer(canvas), note: `No WebGL2 here: the map shows at most ${MOST.toLocaleString('en')} points, and density in place of clouds.` }
}

function fresh(host: HTMLElement): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.dataset.testid = 'map-points'
  host.replaceChildren(canvas)
  return canvas
}
