// Columns of curves out of the lines of metrics.jsonl: a training line has parts and weights, a validation line the figures at β = 1.

export const ACTIVE = 0.01 // of Var μ: less does not move with the image (Burda et al. 2016)

/** What only some objectives have: terms beside the usual two, players beside the model, weights that change. */
type Other = `${'part' | 'player' | 'weight'} ${string}`
const WORDS: Record<string, string> = { distortion: 'reconstruction', rate: 'KL' }

interface Named {
  step: number
  loss: number | null // Σ weight · part, nats an example
  distortion: number | null
  rate: number | null
  validDistortion: number | null
  validRate: number | null
  negativeElbo: number | null // at β = 1
  active: number | null // dimensions with Var μ above ACTIVE
}
export type Row = Named & Record<Other, number | null>
export type Column = Exclude<keyof Row, 'step'>

type Line = Record<string, unknown>

/** One row a step, in order; a line that was written again after an interruption replaces the earlier one. */
export function rows(lines: readonly Line[]): Row[] {
  const found = new Map<number, Row>()
  const moving = changing(lines)
  for (const line of lines) {
    const step = number(line.step)
    if (step === null) continue
    const row = found.get(step) ?? empty(step)
    found.set(step, { ...row, ...training(line), ...others(line, moving), ...validation(line) })
  }
  const none = Object.fromEntries([...found.values()].flatMap(namesOf).map((name) => [name, null])) as Record<Other, null>
  return [...found.values()].map((row) => ({ ...none, ...row })).sort((a, b) => a.step - b.step)
}

/** The columns that only some objectives have, in words. */
export function further(from: readonly Row[]): { column: Other; title: string }[] {
  return (from[0] ? namesOf(from[0]) : []).map((column) => ({ column, title: titled(column) }))
}

function namesOf(row: Row): Other[] {
  return Object.keys(row).filter((name): name is Other => name.includes(' '))
}

function titled(column: Other): string {
  const [kind, name] = [column.slice(0, column.indexOf(' ')), column.slice(column.indexOf(' ') + 1)]
  return kind === 'part' ? name : `${kind === 'player' ? 'loss' : 'weight'} of the ${WORDS[name] ?? name}`
}

/** The last value that a column has. */
export function last(from: readonly Row[], column: Column): number | null {
  return from.reduce<number | null>((value, row) => row[column] ?? value, null)
}

/** At most `most` rows, the first and the last among them: what a table shows. */
export function thinned<T>(from: readonly T[], most: number): T[] {
  if (from.length <= most) return [...from]
  return Array.from({ length: most }, (_, i) => from[Math.round((i * (from.length - 1)) / (most - 1))]!)
}

/** The snapshot nearest to a step. */
export function nearest(snapshots: readonly number[], step: number): number | null {
  return snapshots.reduce<number | null>((best, at) => (best === null || Math.abs(at - step) < Math.abs(best - step) ? at : best), null)
}

function empty(step: number): Row {
  return { step, loss: null, distortion: null, rate: null, validDistortion: null, validRate: null, negativeElbo: null, active: null }
}

function training(line: Line): Partial<Named> {
  const [parts, weights] = [record(line.train), record(line.weights)]
  if (!parts) return {}
  const names = Object.keys(parts)
  const terms = names.map((name) => (weights ? times(number(weights[name]), number(parts[name])) : null))
  const loss = terms.length && terms.every((term) => term !== null) ? terms.reduce((sum, term) => sum + (term ?? 0), 0) : null
  return { loss, distortion: number(parts.distortion), rate: number(parts.rate) }
}

function others(line: Line, moving: ReadonlySet<string>): Record<Other, number | null> {
  const named = (kind: 'part' | 'player' | 'weight', from: unknown, kept: (name: string) => boolean) =>
    Object.entries(record(from) ?? {}).filter(([name]) => kept(name)).map(([name, value]) => [`${kind} ${name}`, number(value)])
  return Object.fromEntries([
    ...named('part', line.train, (name) => !(name in WORDS)),
    ...named('player', line.players, () => true),
    ...named('weight', line.weights, (name) => moving.has(name)),
  ]) as Record<Other, number | null>
}

/** The terms whose weight is not the same in every line: a schedule's, or one that follows the loss. */
function changing(lines: readonly Line[]): Set<string> {
  const first = new Map<string, unknown>()
  const found = new Set<string>()
  for (const [name, value] of lines.flatMap((line) => Object.entries(record(line.weights) ?? {}))) {
    if (!first.has(name)) first.set(name, value)
    else if (first.get(name) !== value) found.add(name)
  }
  return found
}

function validation(line: Line): Partial<Named> {
  const found = record(line.validation)
  if (!found) return {}
  const spread = Array.isArray(found.std_mu) ? found.std_mu.map(number) : null
  return {
    validDistortion: number(found.distortion),
    validRate: number(found.rate),
    negativeElbo: times(-1, number(found.elbo)),
    active: spread && spread.filter((std) => std !== null && std * std > ACTIVE).length,
  }
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

function times(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a * b
}

function record(value: unknown): Line | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Line) : null
}
