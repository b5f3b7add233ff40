// The lines of a run's metrics, read once and, while it trains and the page is looked at, every two seconds from where it was.
import type { Backend, Curves, ModelIndex } from '../contract'
import { lineOf } from './newest'

const EVERY = 2000

export class Following {
  lines: Record<string, unknown>[] = []
  private next = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private stopped = false

  constructor(
    private readonly backend: Pick<Backend, 'curves'>, private readonly model: ModelIndex,
    private readonly told: (answer: Curves, lines: Record<string, unknown>[]) => void, private readonly failed: (line: string) => void,
    private readonly visible: () => boolean = () => document.visibilityState === 'visible',
  ) {}

  /** Reads on; asks again while the run is in training. */
  async read(): Promise<void> {
    clearTimeout(this.timer)
    let again = true
    try {
      if (this.visible()) again = await this.once()
    } catch (error) {
      this.failed(lineOf(error))
    }
    if (again && !this.stopped) this.timer = setTimeout(() => void this.read(), EVERY)
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  private async once(): Promise<boolean> {
    let answer = await this.backend.curves(this.model, this.next)
    if (answer.next < this.next) { // the run was cut back to its checkpoint: what followed is written anew
      this.lines = []
      answer = await this.backend.curves(this.model, 0)
    }
    if (this.stopped) return false
    this.lines = [...this.lines, ...answer.lines]
    this.next = answer.next
    this.told(answer, this.lines)
    return answer.state === 'training'
  }
}
