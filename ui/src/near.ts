// Who asks what lies near the cursor: one question under way for each model, at most five a second, the newest last.
import type { ModelIndex } from './contract'

export class Near {
  readonly #wanted = new Set<ModelIndex>()
  readonly #busy = new Set<ModelIndex>()

  constructor(private readonly question: (model: ModelIndex) => Promise<void>, private readonly every = 200) {}

  ask(model: ModelIndex): void {
    this.#wanted.add(model)
    if (!this.#busy.has(model)) void this.#work(model)
  }

  async #work(model: ModelIndex): Promise<void> {
    this.#busy.add(model)
    while (this.#wanted.has(model)) {
      await new Promise((resume) => setTimeout(resume, this.every))
      this.#wanted.delete(model)
      await this.question(model)
    }
    this.#busy.delete(model)
  }
}
