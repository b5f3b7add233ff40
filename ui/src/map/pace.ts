// Clouds are added up some at a time, so that no frame takes long however many there are: their order is random, so that any
// first part of them is the whole, thinner.

export const SLICE = 24 // ms of one frame's share
export const LONG = 3000 // ms after which the rest is left out: what has been added up by then is shown
export const ENOUGH = 2000 // clouds that show what all of them would, or that a picture is shown with before all are added up
const PROBE = 64 // clouds of the first share
const FEW = 200 // clouds without which there is nothing to see
const GROWTH = 8 // a share is at most so many times the one before it: the first ones tell little of what a cloud takes

export class Pace {
  done = 0
  spent = 0
  #each = Infinity // ms for a cloud
  #last = 0

  /** `patient`: all at once, however long it takes. */
  constructor(readonly n: number, private readonly patient = false) {}

  /** How many clouds come next; 0: no more. */
  get next(): number {
    const left = this.n - this.done
    if (this.patient || !left) return left
    if (!this.done) return Math.min(left, PROBE)
    if (this.spent >= LONG) return 0
    return Math.min(left, GROWTH * this.#last, Math.max(1, Math.floor(SLICE / this.#each)))
  }

  took(count: number, milliseconds: number): void {
    this.done += count
    this.spent += milliseconds
    this.#last = count
    this.#each = milliseconds / count || 1e-6
  }

  /** Whether not even a few were done in time. */
  get hopeless(): boolean { return !this.patient && this.spent >= LONG && this.done < Math.min(this.n, FEW) }
  get finished(): boolean { return this.next === 0 }
  /** Whether what is added up may be shown. */
  get ripe(): boolean { return !this.hopeless && (this.finished || this.done >= ENOUGH) }
}
