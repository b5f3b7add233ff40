// What rows are called: their ids (file names), each asked for once and many at a time.
import type { Backend } from './contract'

const MOST = 200 // of one question

export class Names {
  readonly #known = new Map<number, string>()

  constructor(private readonly backend: Pick<Backend, 'rows'>) {}

  learn(rows: readonly number[], ids: readonly string[]): void { rows.forEach((row, i) => ids[i] && this.#known.set(row, ids[i])) }

  /** The row's name where it is known, else its number. */
  known(row: number): string { return this.#known.get(row) ?? String(row) }

  async of(rows: readonly number[]): Promise<string[]> {
    const missing = rows.filter((row) => !this.#known.has(row))
    for (let from = 0; from < missing.length; from += MOST) {
      const { rows: found, ids } = await this.backend.rows(missing.slice(from, from + MOST))
      this.learn(found, ids)
    }
    return rows.map((row) => this.known(row))
  }
}
