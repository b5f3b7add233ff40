// The page's bell: who listens is called at once, except for `state`, which rings at most ten times a second.
import type { ModelIndex } from './contract'

export type Event = 'state' | 'tile' | 'points' | 'located' | 'connection' | 'cursor'
export type Listener = (model: ModelIndex | null) => void

/** Calls `work` now, or `every` milliseconds after the last time: bursts end with one call that sees the newest. */
export function throttled(work: () => void, every: number): () => void {
  let last = -Infinity
  let timer: ReturnType<typeof setTimeout> | undefined
  const call = () => {
    timer = undefined
    last = performance.now()
    work()
  }
  return () => {
    if (timer !== undefined) return
    const wait = last + every - performance.now()
    if (wait <= 0) call()
    else timer = setTimeout(call, wait)
  }
}

export class Bell {
  readonly #listeners = new Map<Event, Set<Listener>>()
  readonly ringState = throttled(() => this.ring('state', null), 100)

  on(event: Event, listener: Listener): () => void {
    const found = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, found.add(listener))
    return () => void found.delete(listener)
  }

  ring(event: Event, model: ModelIndex | null): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(model)
  }
}

/** What the live region says, at most once a second: of what happened the last three, of where the cursor is only the newest. */
export class Voice {
  #waiting: { text: string; passing: boolean }[] = []
  constructor(private readonly tell: (text: string) => void) {}

  say(text: string, passing = false): void {
    const kept = this.#waiting.filter((one) => !one.passing && one.text !== text)
    this.#waiting = [...kept, { text, passing }].slice(-3)
    this.#speak()
  }
  readonly #speak = throttled(() => {
    this.tell(this.#waiting.map(({ text }) => text).join('. '))
    this.#waiting = []
  }, 1000)
}

/** The last 240 drags' delays, as percentiles. */
export class Delays {
  readonly #ring = new Float64Array(240)
  #count = 0

  add(milliseconds: number): void {
    this.#ring[this.#count++ % this.#ring.length] = milliseconds
  }

  get rate(): { p50: number; p95: number; shown: number } {
    const sorted = this.#ring.slice(0, Math.min(this.#count, this.#ring.length)).sort()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
    return { p50: at(0.5), p95: at(0.95), shown: this.#count }
  }
}
