// A grid of buttons as one stop of the Tab key: arrows, Home and End move within it.

export function roving(grid: HTMLElement) {
  const buttons = () => [...grid.querySelectorAll<HTMLButtonElement>('button')]
  const mark = (at: number) => buttons().forEach((button, i) => (button.tabIndex = i === at ? 0 : -1))
  const columns = () => getComputedStyle(grid).gridTemplateColumns.split(' ').length
  const press = (event: KeyboardEvent) => {
    const all = buttons()
    const at = all.indexOf(event.target as HTMLButtonElement)
    const to = target(event.key, at, all.length, columns())
    if (at < 0 || to === null) return
    event.preventDefault()
    event.stopPropagation()
    mark(to)
    all[to]?.focus()
  }
  const focus = (event: FocusEvent) => mark(Math.max(0, buttons().indexOf(event.target as HTMLButtonElement)))
  mark(0)
  grid.addEventListener('keydown', press)
  grid.addEventListener('focusin', focus)
  return { destroy: () => (grid.removeEventListener('keydown', press), grid.removeEventListener('focusin', focus)) }
}

/** Where a key leads from `at` among `count` cells in rows of `columns`; null for keys that lead nowhere. */
export function target(key: string, at: number, count: number, columns: number): number | null {
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: count - 1 }[key]
  return to === undefined ? null : to < 0 || to >= count ? at : to
}

/** Where a key leads in a list whose field keeps the focus (Home and End stay the field's); null for other keys. */
export function step(key: string, at: number, count: number): number | null {
  const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -8, PageDown: 8 }[key]
  return by === undefined || count === 0 ? null : Math.max(0, Math.min(count - 1, at + by))
}
