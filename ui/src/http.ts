// The routes of `legato explore`, one function each way: JSON or bytes; an error is its one line.
const TIMEOUT = 120_000
const PATIENCE = 1_800_000 // of who can leave: a layout waits for the one before it
export type Told = (bytes: number, total: number) => void

/** The bytes, told as they come. */
async function streamed(answer: Response, told: Told): Promise<ArrayBuffer> {
  const total = Number(answer.headers.get('content-length')) || 0
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  const reader = answer.body!.getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value)
    told((bytes += part.value.length), total)
  }
  return new Blob(parts).arrayBuffer()
}

async function ask(url: URL, options: RequestInit, left?: AbortSignal): Promise<Response> {
  const signal = left ? AbortSignal.any([left, AbortSignal.timeout(PATIENCE)]) : AbortSignal.timeout(TIMEOUT)
  const answer = await fetch(url, { ...options, signal }).catch((error: unknown) => {
    throw new Error(error instanceof DOMException && error.name === 'TimeoutError' ? 'the server took too long' : 'the server does not answer')
  })
  if (answer.ok) return answer
  const told = (await answer.json().catch(() => null)) as { error?: string } | null
  throw new Error(told?.error ?? `the server answered ${answer.status}`)
}

export class Http {
  constructor(private readonly base: URL) {}

  address(path: string): URL { return new URL(path, this.base) }

  async read<T>(path: string): Promise<T> { return (await (await ask(this.address(path), {})).json()) as T }
  async load(path: string): Promise<ArrayBuffer> { return (await ask(this.address(path), {})).arrayBuffer() }

  async post<T>(path: string, body: unknown): Promise<T> { return (await (await this.#post(path, body)).json()) as T }
  async bytes(path: string, body: unknown, told?: Told, left?: AbortSignal): Promise<ArrayBuffer> {
    const answer = await this.#post(path, body, left)
    return told ? streamed(answer, told) : answer.arrayBuffer()
  }
  async blob(path: string, body: unknown): Promise<Blob> { return (await this.#post(path, body)).blob() }
  async upload<T>(path: string, body: Blob): Promise<T> {
    return (await (await ask(this.address(path), { method: 'POST', body })).json()) as T
  }

  #post(path: string, body: unknown, left?: AbortSignal): Promise<Response> {
    return ask(this.address(path), { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }, left)
  }
}
