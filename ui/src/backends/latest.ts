// One piece of work under way and one that waits, the newest: what it replaces is never done.

export class Latest {
  #busy = false
  #next: (() => Promise<void>) | null = null

  async run(work: () => Promise<void>): Promise<void> {
    this.#next = work
    if (this.#busy) return
    this.#busy = true
    while (this.#next) {
      const now: () => Promise<void> = this.#next
      this.#next = null
      await now().catch(() => {}) // a place that fails is no reason not to decode the next one
    }
    this.#busy = false
  }
}
