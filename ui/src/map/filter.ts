// Which classes' points are shown. None named: all are.

/** `only` with this class hidden, or shown again; nothing where that shows all of them, or would show none. */
export function toggled(only: readonly number[], one: number, all: readonly number[]): number[] {
  const shown = only.length ? only : all
  const next = shown.includes(one) ? shown.filter((other) => other !== one) : [...shown, one]
  return all.every((other) => next.includes(other)) ? [] : next
}

/** How many points are shown. */
export function shownOf(label: Uint16Array, only: readonly number[]): number {
  const kept = new Set(only)
  return kept.size ? label.reduce((sum, one) => sum + Number(kept.has(one)), 0) : label.length
}
