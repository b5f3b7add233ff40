// Who draws: WebGL2 where there is one, else Canvas2D with a sample of the points, and a line that says so.
import { CanvasRenderer, MOST } from './canvas'
import { GlRenderer } from './gl'
import type { Renderer } from './scene'

const THICK = 16 // clouds on one another, from which on it cannot be seen that others are missing

/** What a person should know of n clouds, of which so many typically lie on one another: nothing where what is drawn looks as all would. */
export function cloudNote({ kind, drawsClouds, clouds }: Pick<Renderer, 'kind' | 'drawsClouds' | 'clouds'>, n: number, layers: number): string {
  if (kind === 'Canvas2D') return ''
  if (!drawsClouds) return 'The clouds would take long to draw here: their density is shown instead.'
  return clouds < n && (layers * clouds) / n < THICK ? `Clouds take long to draw here: those of ${clouds.toLocaleString('en')} points, drawn at random, are shown.` : ''
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
    return { renderer, note: '' }
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
