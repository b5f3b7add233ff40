// Whether the page is dark now, as something that Svelte follows: canvases take their colours from it.
import { createSubscriber } from 'svelte/reactivity'

const follow = createSubscriber((update) => {
  const seen = new MutationObserver(update)
  seen.observe(document.documentElement, { attributeFilter: ['data-theme'] })
  return () => seen.disconnect()
})

export function isDark(): boolean {
  follow()
  return document.documentElement.dataset.theme === 'dark'
}
