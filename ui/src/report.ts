// The part of a report that answers to the hand: the explorer's own map over what the file holds. It lives in a shadow tree,
// so that the page's look and its own leave each other alone. Everything but this script comes from the page itself.
import './theme.css'
import { mount } from 'svelte'
import type { Embedded } from './backends/embedded'
import { OrtBackend } from './backends/ort'
import type { Runtime } from './backends/runtime'
import { hosted } from './backends/style'
import { TileBackend } from './backends/tiles'
import Space from './Space.svelte'
import { ViewerCore } from './core'

async function begin(host: HTMLElement): Promise<void> {
  const text = (name: string) => document.getElementById(`legato-space-${name}`)?.textContent ?? ''
  const tree = host.attachShadow({ mode: 'open' })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(hosted(JSON.parse(text('style')) as string))
  tree.adoptedStyleSheets = [sheet]
  const embedded = JSON.parse(text('data')) as Embedded
  const { LegatoRuntimeOpen: runtime } = globalThis as { LegatoRuntimeOpen?: Runtime['open'] }
  const backend = runtime
    ? await OrtBackend.openLive(embedded, runtime, text('wasm'), JSON.parse(text('decoders')) as string[])
    : await TileBackend.open(embedded)
  const core = await ViewerCore.open(backend, { address: false })
  host.querySelector('p')?.remove()
  mount(Space, { target: tree, props: { core, host } })
}

const host = document.getElementById('legato-space')
if (host)
  begin(host).catch((error: unknown) => {
    host.textContent = `This part of the page could not be opened: ${error instanceof Error ? error.message : String(error)}`
  })
