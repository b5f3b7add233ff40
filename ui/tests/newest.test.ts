import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Newest, type Current } from '../src/panels/newest'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('work that the newest asker supersedes', () => {
  it('runs once for a burst, after the quiet time', async () => {
    const [newest, done] = [new Newest(200), [] as number[]]
    for (const asked of [1, 2, 3]) newest.ask(async () => void done.push(asked), String)
    await vi.advanceTimersByTimeAsync(199)
    expect(done).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(done).toEqual([3])
  })
  it('tells work under way that it is stale, and keeps its failure quiet', async () => {
    const [newest, seen, failures] = [new Newest(), [] as boolean[], [] as string[]]
    const slow = async (current: Current) => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      seen.push(current())
      throw new Error('too late')
    }
    newest.ask(slow, (line) => failures.push(line))
    await vi.advanceTimersByTimeAsync(10)
    newest.ask(slow, (line) => failures.push(line))
    await vi.advanceTimersByTimeAsync(100)
    expect(seen).toEqual([false, true])
    expect(failures).toEqual(['too late'])
  })
  it('does nothing once stopped', async () => {
    const [newest, done] = [new Newest(10), [] as number[]]
    newest.ask(async () => void done.push(1), String)
    newest.stop()
    await vi.advanceTimersByTimeAsync(100)
    expect(done).toEqual([])
  })
})
