// A large map appears in parts: the points' order is random, so that any first part of them is the whole, thinner.
const FEW = 4000 // at most so many appear at once
const FIRST = 2500

export class Growing {
  shown = 0
  #asked = 0

  /** Shows n points; `at once`, or twice as many at each frame. */
  to(n: number, atOnce: boolean, redraw: () => void): void {
    cancelAnimationFrame(this.#asked)
    this.shown = atOnce || n <= FEW ? n : Math.min(n, FIRST)
    redraw()
    if (this.shown < n) this.#asked = requestAnimationFrame(() => this.#more(n, redraw))
  }

  #more(n: number, redraw: () => void): void {
    this.shown = Math.min(n, 2 * this.shown)
    redraw()
    if (this.shown < n) this.#asked = requestAnimationFrame(() => this.#more(n, redraw))
  }

  stop(): void { cancelAnimationFrame(this.#asked) }
}

export const calm = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches
