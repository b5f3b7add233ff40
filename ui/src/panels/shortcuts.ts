// Single-key shortcuts: off while a person types, with Ctrl or Alt, under an open dialog, and where they were switched off.
import type { Core } from '../contract'

export type Shortcuts = Record<string, () => void> // by KeyboardEvent.key, letters small

export function shortcuts(core: Core, keys: Shortcuts): () => void {
  const press = (event: KeyboardEvent) => {
    const work = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (!work || event.defaultPrevented || event.repeat || !core.state.keys || typing(event)) return
    event.preventDefault()
    work()
  }
  addEventListener('keydown', press)
  return () => removeEventListener('keydown', press)
}

/** A dialog's key: `?` or `/`. The header's buttons send it to the window itself, and that works with shortcuts off as well. */
export function calls(core: Core, key: string, event: KeyboardEvent): boolean {
  return event.key === key && !event.defaultPrevented && !typing(event) && (core.state.keys || event.target === window)
}

function typing(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return true
  const at = event.target
  if (!(at instanceof HTMLElement)) return false
  return at.isContentEditable || at.matches('textarea, select, input:not([type=range], [type=checkbox], [type=radio])')
}
