// Time for a path: t runs from 0 to 1, two seconds a leg. Who asked for less motion gets one frame at each press instead.

const LEG = 2000 // milliseconds

export class Player {
  private frame = 0

  constructor(private readonly put: (t: number, last: boolean) => void, private readonly ended: () => void) {}

  get still(): boolean {
    return typeof matchMedia === 'function' && matchMedia('(prefers-reduced-motion: reduce)').matches
  }

  /** Plays from t, or from the start where t is the end; true if something moves now. */
  start(from: number, legs: number, frames: number): boolean {
    if (this.still) {
      this.put(nextFrame(from, frames), true)
      return false
    }
    const [first, began] = [from >= 1 ? 0 : from, performance.now()]
    const tick = (now: number) => {
      const t = Math.min(1, first + Math.max(0, now - began) / (LEG * legs))
      this.put(t, t === 1)
      if (t < 1) this.frame = requestAnimationFrame(tick)
      else this.ended()
    }
    this.frame = requestAnimationFrame(tick)
    return true
  }

  stop(): void {
    cancelAnimationFrame(this.frame)
    this.ended()
  }
}

/** The next of `frames` equal places in 0 … 1; after the last, the first. */
export function nextFrame(t: number, frames: number): number {
  const next = Math.floor(t * (frames - 1) + 1 + 1e-9)
  return next > frames - 1 ? 0 : next / (frames - 1)
}
