// Single keys that act on the whole page; arrows belong to the map, P, S, / and ? to their panels.
import type { Background, Stop } from './contract'
import type { ViewerCore } from './core'

const GROUNDS: Record<string, Background> = { h: 'holes', d: 'density', g: 'tiles' }

/** Whether keys typed here are text or belong to a control. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName))
}

export function handleKey(core: ViewerCore, event: KeyboardEvent): void {
  if (event.defaultPrevented || document.querySelector('dialog[open]')) return
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z' && !event.shiftKey) {
    const typing = event.target instanceof HTMLInputElement && /^(text|search|number)$/.test(event.target.type)
    if (!typing) core.undo(), event.preventDefault()
    return
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  if (event.key === 'Escape') return void core.select(null)
  if (core.state.keys && act(core, event.key.toLowerCase())) event.preventDefault()
}

function act(core: ViewerCore, key: string): boolean {
  const { state } = core
  const ground = GROUNDS[key]
  if (ground) core.change({ background: state.background === ground ? 'none' : ground })
  else if (key === 'c' && core.session.models.length > 1) core.change({ compare: !state.compare })
  else if (key === 'l') core.change({ clouds: state.clouds > 0 ? 0 : 1 })
  else if (key === 't' && core.session.data.image) core.change({ thumbs: !state.thumbs })
  else if (key === 'o') core.change({ dots: state.dots > 0 ? 0 : 1 })
  else if (key === 'r') core.lead(state.active, state.models[state.active]!.cursor.map(() => 0), true)
  else if (key === '[' || key === ']') void core.select(next(core, key === ']' ? 1 : -1))
  else if (key === 'a' || key === 'b') core.change({ path: withEnd(state.path, stopHere(core), key) })
  else return false
  return true
}

/** The next image in the session's order, or the previous one; of a page of one class the next on its map. */
function next(core: ViewerCore, by: number): number {
  const shown = core.points[core.state.active]?.row
  if (core.session.classes && shown?.length) return nextOf(Array.from(shown), core.state.selected, by)
  const rows = core.session.data.rows
  return ((core.state.selected ?? (by > 0 ? -1 : 0)) + by + rows) % rows
}

export function nextOf(rows: number[], selected: number | null, by: number): number {
  const order = rows.sort((a, b) => a - b)
  const before = order.filter((row) => row < (selected ?? (by > 0 ? -1 : 0))).length
  const on = selected !== null && order[before] === selected
  const at = by > 0 ? before + Number(on) : before - 1
  return order[(at + order.length) % order.length]!
}

export function stopHere(core: ViewerCore): Stop {
  const { selected, models, active } = core.state
  const z = models[active]!.cursor
  const mu = core.encoded[active]?.mu
  const onImage = mu !== undefined && mu.every((value, i) => Math.abs(value - z[i]!) < 1e-6)
  return { z, row: onImage ? selected : null, name: onImage && selected !== null ? core.names.known(selected) : 'a place' }
}

function withEnd(path: Stop[], stop: Stop, end: 'a' | 'b'): Stop[] {
  if (end === 'a') return [stop, ...path.slice(1)]
  return path.length ? [...path.slice(0, Math.max(1, path.length - 1)), stop] : [stop]
}
