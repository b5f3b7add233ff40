// Pointers and the wheel, told as what a person means: move the cursor, click, pan, zoom, draw a lasso.
import type { Spot } from '../maths/camera'

export interface Means {
  drag(spot: Spot, settled: boolean): void
  click(spot: Spot): void
  pan(dx: number, dy: number): void
  zoom(spot: Spot, factor: number): void
  lasso(spots: Spot[], done: boolean): void
  lassoes(): boolean // whether a drag draws a lasso without Shift
  point(spot: Spot | null): void
  menu(spot: Spot): void
}
type Mode = 'undecided' | 'drag' | 'pan' | 'lasso' | 'two'
const FAR = 4 // pixels before a press is a drag

/** Where the map's own corner lies in the window: inside the border, which the element's box counts in. */
export function originOf(element: Element): Spot {
  const { left, top } = element.getBoundingClientRect()
  return { x: left + element.clientLeft, y: top + element.clientTop }
}

/** Listens on the element until the returned function is called. */
export function listen(element: HTMLElement, means: Means): () => void {
  const down = new Map<number, Spot>()
  let mode: Mode = 'undecided'
  let start: Spot = { x: 0, y: 0 }
  let last: Spot = start
  let lasso: Spot[] = []
  let space = false
  const spotOf = (event: MouseEvent): Spot => {
    const { x, y } = originOf(element)
    return { x: event.clientX - x, y: event.clientY - y }
  }

  function press(event: PointerEvent): void {
    if (event.button === 2) return
    element.setPointerCapture(event.pointerId)
    down.set(event.pointerId, spotOf(event))
    start = last = spotOf(event)
    if (down.size === 2) mode = 'two'
    else mode = space || event.button === 1 ? 'pan' : event.shiftKey || means.lassoes() ? 'lasso' : 'undecided'
    lasso = mode === 'lasso' ? [start] : []
  }

  function move(event: PointerEvent): void {
    const spot = spotOf(event)
    if (!down.has(event.pointerId)) return means.point(spot)
    means.point(null) // what was pointed at before the press lies where the hand no longer is
    if (mode === 'two') return twoFingers(event.pointerId, spot)
    if (mode === 'undecided' && Math.hypot(spot.x - start.x, spot.y - start.y) >= FAR) mode = 'drag'
    if (mode === 'drag') means.drag(spot, false)
    else if (mode === 'pan') means.pan(spot.x - last.x, spot.y - last.y)
    else if (mode === 'lasso') means.lasso(lasso = [...lasso, spot], false)
    last = spot
  }

  function twoFingers(id: number, spot: Spot): void {
    const [other] = [...down].filter(([key]) => key !== id).map(([, found]) => found)
    const before = down.get(id)!
    down.set(id, spot)
    if (!other) return
    means.pan((spot.x - before.x) / 2, (spot.y - before.y) / 2)
    const [was, is] = [Math.hypot(before.x - other.x, before.y - other.y), Math.hypot(spot.x - other.x, spot.y - other.y)]
    if (was > 0 && is > 0) means.zoom({ x: (spot.x + other.x) / 2, y: (spot.y + other.y) / 2 }, is / was)
  }

  function release(event: PointerEvent): void {
    if (!down.delete(event.pointerId)) return
    const spot = spotOf(event)
    if (mode === 'undecided') means.click(spot)
    else if (mode === 'drag') means.drag(spot, true)
    else if (mode === 'lasso') means.lasso(lasso, true)
    if (mode !== 'two' || down.size === 0) mode = 'undecided'
  }

  function cancel(event: PointerEvent): void {
    down.delete(event.pointerId)
    if (mode === 'lasso') means.lasso([], true)
    else if (mode === 'drag') means.drag(last, true)
    mode = 'undecided'
  }

  const wheel = (event: WheelEvent) => {
    event.preventDefault()
    const lines = event.deltaMode === 1 ? 16 : 1
    means.zoom(spotOf(event), Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)))
  }
  const menu = (event: MouseEvent) => {
    event.preventDefault()
    means.menu(spotOf(event))
  }
  const leave = () => down.size === 0 && means.point(null)
  const key = (event: KeyboardEvent) => {
    if (event.code !== 'Space') return
    space = event.type === 'keydown' && (document.activeElement === element || element.matches(':hover'))
    if (space && document.activeElement === element) event.preventDefault()
  }

  const on: [string, (event: never) => void][] = [
    ['pointerdown', press], ['pointermove', move], ['pointerup', release], ['pointercancel', cancel], ['pointerleave', leave],
    ['wheel', wheel], ['contextmenu', menu],
  ]
  for (const [name, listener] of on) element.addEventListener(name, listener as EventListener, { passive: false })
  for (const name of ['keydown', 'keyup']) addEventListener(name, key as EventListener)
  return () => {
    for (const [name, listener] of on) element.removeEventListener(name, listener as EventListener)
    for (const name of ['keydown', 'keyup']) removeEventListener(name, key as EventListener)
  }
}
