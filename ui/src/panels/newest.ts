// Work that only its newest asker still wants: a later call supersedes an earlier one, between any two of its slices.

export type Current = () => boolean

/** Runs `work` after `quiet` milliseconds without another call; `current()` turns false once it is superseded or stopped. */
export class Newest {
  private turn = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly quiet = 0) {}

  ask(work: (current: Current) => Promise<void>, failed: (line: string) => void): void {
    const mine = ++this.turn
    const current = () => mine === this.turn
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      work(current).catch((error: unknown) => current() && failed(lineOf(error)))
    }, this.quiet)
  }

  stop(): void {
    this.turn++
    clearTimeout(this.timer)
  }
}

export function lineOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
