// A map's canvases as one picture.

export function savedMap(layers: readonly HTMLCanvasElement[], ground: string): Promise<Blob | null> {
  const whole = document.createElement('canvas')
  const { width, height } = layers.at(-1)!
  ;[whole.width, whole.height] = [width, height]
  const context = whole.getContext('2d')!
  context.fillStyle = ground
  context.fillRect(0, 0, width, height)
  for (const layer of layers) context.drawImage(layer, 0, 0)
  return new Promise((resolve) => whole.toBlob(resolve))
}
