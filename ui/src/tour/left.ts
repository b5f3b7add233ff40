// A step that was left: what it waited for never comes, so that nothing is read or pointed at in its name.
import { onDestroy } from 'svelte'

export type Kept = <T>(answer: Promise<T>) => Promise<T>

/** Called while a component begins: answers pass until it ends. */
export function whileHere(): Kept {
  let here = true
  onDestroy(() => (here = false))
  return (answer) => new Promise((resolve, reject) => answer.then((value) => here && resolve(value), (error: unknown) => here && reject(error)))
}
