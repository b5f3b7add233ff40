// The map on WebGL2: a picture, clouds added up in half floats, as coarsely as they are smooth, points. Everything it holds can be
// uploaded again from the scene, so a lost context costs one frame.
import type { Camera, Extent } from '../contract'
import { seen } from '../maths/camera'
import { grainOf } from '../maths/clouds'
import { Pace, SLICE } from './pace'
import type { Frame, Picture, Renderer, Scene } from './scene'
import { CLOUD, PICTURE, POINT } from './shaders'

type Gl = WebGL2RenderingContext
interface Program { use(): void; at(name: string): WebGLUniformLocation | null }
// `?patient` in the page's address: however long clouds take, so that a test's picture hangs on no clock.
const PATIENT = new URLSearchParams(globalThis.location?.search).has('patient')
interface Sum { key: string; pace: Pace; grain: number; width: number; height: number; extent: Extent; into: WebGLTexture }

export class GlRenderer implements Renderer {
  readonly kind = 'WebGL2'
  readonly floatBlend: boolean
  disposed = false
  readonly #programs: Record<'picture' | 'cloud' | 'point', Program>
  readonly #buffers: Record<'xy' | 'other' | 'cov' | 'colours', WebGLBuffer>
  readonly #pointArrays: WebGLVertexArrayObject
  readonly #cloudArrays: WebGLVertexArrayObject
  readonly #bare: WebGLVertexArrayObject
  readonly #textures: Record<'ground' | 'veil', WebGLTexture>
  #spare: WebGLTexture // clouds are added up here while the former sum is shown
  readonly #sums: WebGLFramebuffer
  readonly #uploaded = { points: 0, colours: 0, ground: 0, veil: 0 }
  #shown: Sum | null = null
  #warm = false
  #sum: Sum | null = null // the one that is added up, or was last

  constructor(readonly canvas: HTMLCanvasElement, private readonly gl: Gl) {
    this.floatBlend = gl.getExtension('EXT_color_buffer_float') !== null && gl.getExtension('EXT_float_blend') !== null
    this.#programs = { picture: compile(gl, PICTURE), cloud: compile(gl, CLOUD), point: compile(gl, POINT) }
    const [xy, other, cov, colours] = [1, 2, 3, 4].map(() => gl.createBuffer()!) as [WebGLBuffer, WebGLBuffer, WebGLBuffer, WebGLBuffer]
    this.#buffers = { xy, other, cov, colours }
    this.#textures = { ground: texture(gl), veil: texture(gl) }
    this.#spare = texture(gl)
    this.#sums = gl.createFramebuffer()!
    this.#bare = gl.createVertexArray()!
    this.#pointArrays = this.#attributes(gl.createVertexArray()!, 0)
    this.#cloudArrays = this.#attributes(gl.createVertexArray()!, 1)
    gl.disable(gl.DEPTH_TEST)
    gl.enable(gl.BLEND)
  }

  get drawsClouds(): boolean { return this.floatBlend && !this.#sum?.pace.hopeless }
  get unfinished(): boolean { return this.#sum !== null && !this.#sum.pace.finished }
  get clouds(): number { return this.#sum?.pace.finished ? this.#sum.pace.done : Infinity }

  draw(scene: Scene, frame: Frame): void {
    const { gl } = this
    if (gl.isContextLost()) return
    this.#upload(scene)
    const between = frame.morph > 0 && frame.morph < 1
    const clouds = frame.clouds > 0 && scene.cov !== null && scene.n > 0 && this.floatBlend && frame.morph === 0
    if (clouds && frame.resting) this.#addUp(scene, frame)
    else if (!clouds) this.#forget()
    this.#target(null, Math.round(frame.width * frame.ratio), Math.round(frame.height * frame.ratio))
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    if (scene.ground && !between) this.#picture(this.#textures.ground, scene.ground.extent, frame, 0)
    if (frame.clouds > 0 && !between) {
      const sum = this.#shown
      if (clouds && sum) this.#picture(sum.into, sum.extent, frame, (frame.gain * scene.n) / sum.pace.done)
      else if (scene.veil && !this.drawsClouds) this.#picture(this.#textures.veil, scene.veil.extent, frame, 0)
    }
    this.#points(scene, frame)
  }

  dispose(): void {
    this.disposed = true
    this.gl.getExtension('WEBGL_lose_context')?.loseContext()
  }

  /** `from`: the point that comes first; a draw of instances has no other way to say so. */
  #attributes(arrays: WebGLVertexArrayObject, divisor: 0 | 1, from = 0): WebGLVertexArrayObject {
    const { gl } = this
    gl.bindVertexArray(arrays)
    const attribute = (at: number, buffer: WebGLBuffer, size: number, type: number, bytes: number, normalised = false) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
      gl.enableVertexAttribArray(at)
      gl.vertexAttribPointer(at, size, type, normalised, 0, from * bytes)
      gl.vertexAttribDivisor(at, divisor)
    }
    attribute(0, this.#buffers.xy, 2, gl.FLOAT, 8)
    attribute(2, this.#buffers.colours, 4, gl.UNSIGNED_BYTE, 4, true)
    if (divisor) attribute(1, this.#buffers.cov, 3, gl.HALF_FLOAT, 6)
    else attribute(3, this.#buffers.other, 2, gl.FLOAT, 8)
    return arrays
  }

  #upload(scene: Scene): void {
    const { gl } = this
    const done = this.#uploaded
    const fill = (buffer: WebGLBuffer, data: ArrayBufferView) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW)
    }
    if (done.points !== scene.version.points) {
      fill(this.#buffers.xy, scene.xy)
      fill(this.#buffers.other, scene.other ?? scene.xy)
      if (scene.cov) fill(this.#buffers.cov, scene.cov)
    }
    if (done.colours !== scene.version.colours) fill(this.#buffers.colours, scene.colours)
    if (done.points !== scene.version.points || done.colours !== scene.version.colours) this.#forget()
    if (done.ground !== scene.version.ground && scene.ground) this.#image(this.#textures.ground, scene.ground)
    if (done.veil !== scene.version.veil && scene.veil) this.#image(this.#textures.veil, scene.veil)
    Object.assign(done, scene.version)
  }

  #image(into: WebGLTexture, { image, smooth }: Picture): void {
    const { gl } = this
    gl.bindTexture(gl.TEXTURE_2D, into)
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true)
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, smooth ? gl.LINEAR : gl.NEAREST)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR)
  }

  #forget(): void {
    if (this.#shown) this.gl.deleteTexture(this.#shown.into)
    ;[this.#shown, this.#sum] = [null, null]
  }

  /** Adds up some more of the clouds of what is seen; begins anew when the camera, the points or k change. */
  #addUp(scene: Scene, frame: Frame): void {
    const key = [frame.width, frame.height, frame.ratio, frame.camera.a, frame.camera.b, frame.camera.scale, frame.clouds].join()
    if (this.#sum?.key !== key) this.#sum = this.#begun(key, scene, frame)
    const { pace } = this.#sum
    const end = performance.now() + SLICE
    while (pace.next && (PATIENT || performance.now() < end)) {
      const [from, count] = [pace.done, pace.next]
      pace.took(count, this.#timed(() => this.#splats(this.#sum!, from, count, frame)))
    }
    if (!pace.ripe || this.#shown === this.#sum) return
    this.#spare = this.#shown?.into ?? texture(this.gl)
    this.#shown = this.#sum
  }

  #begun(key: string, scene: Scene, frame: Frame): Sum {
    const { gl } = this
    const grain = grainOf(scene.cov!, frame.clouds * frame.camera.scale * frame.ratio)
    const [width, height] = [Math.ceil((frame.width * frame.ratio) / grain), Math.ceil((frame.height * frame.ratio) / grain)]
    const into = this.#spare
    gl.bindTexture(gl.TEXTURE_2D, into)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA16F, width, height, 0, gl.RGBA, gl.HALF_FLOAT, null)
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#sums)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, into, 0)
    const sum = { key, grain, width, height, into, extent: seen(frame.camera, frame), pace: new Pace(scene.n, PATIENT) }
    if (!this.#warm) this.#timed(() => this.#splats(sum, 0, 1, frame)) // the first time compiles
    this.#warm = true
    this.#target(this.#sums, width, height)
    return sum
  }

  #splats({ width, height, grain, into }: Sum, from: number, count: number, frame: Frame): void {
    const { gl } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#sums)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, into, 0)
    gl.viewport(0, 0, width, height)
    gl.blendFunc(gl.ONE, gl.ONE)
    const { use, at } = this.#programs.cloud
    use()
    gl.uniform4fv(at('camera'), cameraOf(frame.camera, frame))
    gl.uniform1f(at('blur'), (Math.max(0.8, (0.5 * grain) / frame.ratio) / frame.camera.scale) ** 2)
    gl.uniform1f(at('k'), frame.clouds)
    this.#attributes(this.#cloudArrays, 1, from)
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count)
  }

  /** Milliseconds until the GPU is done: reading a pixel waits for it. */
  #timed(work: () => void): number {
    const start = performance.now()
    work()
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.FLOAT, new Float32Array(4))
    return performance.now() - start
  }

  #target(framebuffer: WebGLFramebuffer | null, width: number, height: number): void {
    const { gl } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer)
    if (!framebuffer && (this.canvas.width !== width || this.canvas.height !== height)) {
      this.canvas.width = width
      this.canvas.height = height
    }
    gl.viewport(0, 0, width, height)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
  }

  #picture(image: WebGLTexture, { a0, a1, b0, b1 }: Extent, frame: Frame, gain: number): void {
    const { gl } = this
    const { use, at } = this.#programs.picture
    use()
    gl.bindTexture(gl.TEXTURE_2D, image)
    gl.uniform4fv(at('camera'), cameraOf(frame.camera, frame))
    gl.uniform4f(at('extent'), a0, b0, a1, b1)
    gl.uniform1f(at('gain'), gain)
    gl.bindVertexArray(this.#bare)
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4)
  }

  #points(scene: Scene, frame: Frame): void {
    if (!scene.n || !frame.opacity) return
    const { gl } = this
    const { use, at } = this.#programs.point
    use()
    gl.uniform4fv(at('camera'), cameraOf(frame.camera, frame))
    gl.uniform4fv(at('other'), cameraOf(frame.otherCamera, frame))
    gl.uniform1f(at('morph'), scene.other ? frame.morph : 0)
    gl.uniform1f(at('size'), frame.dot * frame.ratio)
    gl.uniform1f(at('diamond'), frame.diamond ? 1 : 0)
    gl.uniform3fv(at('outline'), frame.outline)
    gl.uniform1f(at('opacity'), frame.opacity)
    gl.bindVertexArray(this.#pointArrays)
    gl.drawArrays(gl.POINTS, 0, Math.min(scene.n, frame.shown))
  }
}

const cameraOf = ({ a, b, scale }: Camera, { width, height }: Frame): [number, number, number, number] =>
  [a, b, (2 * scale) / width, (2 * scale) / height]

function texture(gl: Gl): WebGLTexture {
  const made = gl.createTexture()!
  gl.bindTexture(gl.TEXTURE_2D, made)
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE)
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR)
  return made
}

function compile(gl: Gl, { vertex, fragment }: { vertex: string; fragment: string }): Program {
  const program = gl.createProgram()!
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(type)!
    gl.shaderSource(shader, source)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`WebGL2: ${gl.getProgramInfoLog(program)}`)
  const found = new Map<string, WebGLUniformLocation | null>()
  const at = (name: string) => found.get(name) ?? (found.set(name, gl.getUniformLocation(program, name)), found.get(name) ?? null)
  return { use: () => gl.useProgram(program), at }
}
