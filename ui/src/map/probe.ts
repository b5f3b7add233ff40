// What a browser's test reads of a map (e2e.ts): places in the window, and what was drawn how often.
import type { Probe } from '../e2e'
import { toScreen, type Spot } from '../maths/camera'
import { originOf } from './gestures'
import type { Surface } from './surface'

export function probeOf(view: Surface): Probe {
  const client = (spot: Spot | null) => {
    const origin = originOf(view.element)
    return spot && { x: spot.x + origin.x, y: spot.y + origin.y }
  }
  return {
    get frames() { return view.frames },
    get strokes() { return view.strokes },
    get frameMs() { return view.frameMs },
    get kind() { return view.kind },
    pointAt: (row) => client(view.spotOfRow(row)),
    cursorAt: () => client(view.cursorSpot),
    toClient: (a, b) => client(toScreen(view.camera, view.size, a, b)),
  }
}
