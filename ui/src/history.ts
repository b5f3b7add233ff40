// Undo: states are never changed in place, so that keeping one is keeping a reference.
import type { State } from './contract'

export class History {
  readonly #past: State[] = []
  #reason = ''
  #at = -Infinity

  /** Keeps `state`; the same `reason` again within 800 ms (a slider under the hand) is one change. */
  keep(state: State, reason: string): void {
    const now = performance.now()
    const same = reason === this.#reason && now - this.#at < 800
    this.#reason = reason
    this.#at = now
    if (same) return
    this.#past.push(state)
    if (this.#past.length > 200) this.#past.shift()
  }

  take(): State | undefined {
    this.#reason = ''
    return this.#past.pop()
  }

  get length(): number {
    return this.#past.length
  }
}
