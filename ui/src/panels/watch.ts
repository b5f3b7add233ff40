// The core's state as something that Svelte follows: a panel that reads it runs again when the core rings.
import { createSubscriber } from 'svelte/reactivity'
import type { Core, State } from '../contract'

export interface Watched { readonly state: Readonly<State>; readonly connected: boolean }

export function watch(core: Core): Watched {
  const follow = createSubscriber((update) => {
    const silence = [core.on('state', update), core.on('connection', update)]
    return () => silence.forEach((stop) => stop())
  })
  return {
    get state() { follow(); return core.state },
    get connected() { follow(); return core.connected },
  }
}
