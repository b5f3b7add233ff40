// What a hand on the map means: it moves the cursor, chooses a point, pans, zooms, draws a lasso, makes a path.
import { toMap, type Spot } from '../maths/camera'
import type { Means } from './gestures'
import { Trail } from './trail'
import type { Surface } from './surface'

export function handOf(view: Surface): Means {
  const trail = new Trail(view)
  return {
    drag: (spot, settled) => view.moveTo(spot, settled),
    click: (spot) => click(view, spot),
    pan: (dx, dy) => view.pan(dx, dy),
    zoom: (spot, factor) => view.zoom(factor, spot),
    lasso: (spots, done) => lasso(view, spots, done),
    point: (spot) => point(view, spot),
    lassoes: () => view.taking,
    menu: (spot) => trail.to(spot),
  }
}

function click(view: Surface, spot: Spot): void {
  view.element.focus({ preventScroll: true })
  const i = view.laid ? -1 : view.pick(spot)
  view.activate()
  if (i >= 0) void view.core.select(view.points!.row[i]!)
  else view.moveTo(spot, true)
}

function point(view: Surface, spot: Spot | null): void {
  const i = spot ? view.pick(spot) : -1
  const at = i >= 0 ? view.spotOf(i) : null
  if (!at && !view.marks.pointed) return
  view.marks.pointed = at
  view.tell({ pointed: at ? { spot: at, row: view.points!.row[i]!, label: view.points!.label[i]!, at: i } : null })
  view.ask()
}

function lasso(view: Surface, spots: Spot[], done: boolean): void {
  view.marks.lasso = done ? [] : spots
  view.ask()
  if (!done) return
  view.take(false)
  if (spots.length >= 3) choose(view, spots)
}

/** The images inside a line round them. */
export function choose(view: Surface, spots: Spot[]): void {
  if (!view.points) return
  const polygon = spots.map((spot): [number, number] => {
    if (view.between) return [spot.x, spot.y]
    const { a, b } = toMap(view.camera, view.size, spot)
    return [a, b]
  })
  view.activate()
  view.tell({ lasso: view.places!.inside(polygon, (i) => view.shows(i)).map((i) => view.points!.row[i]!) })
}
