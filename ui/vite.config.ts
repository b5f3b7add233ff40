import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

/** A script in a file has no address beside which a binary could lie: the page hands it over, and no bundler need inline 14 MB. */
const placeless: Plugin = {
  name: 'placeless',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('onnxruntime-web')
      ? code.replace(/new URL\("ort-wasm[^"]*",\s*import\.meta\.url\)\.href/g, '""').replaceAll('import.meta.url', '"blob:"')
      : undefined,
}
const built = '../src/legato/explorer/_ui'

/** `vite build`: the page that `legato explore` serves. `--mode report`: one script and one style to put into a file;
 *  `--mode ort`: what decodes in such a file, another script. */
export default defineConfig(({ mode }) => ({
  base: './',
  plugins: [svelte(), placeless],
  test: { include: ['tests/**/*.test.ts'] },
  build: {
    outDir: built,
    emptyOutDir: mode !== 'report' && mode !== 'ort',
    target: 'es2022',
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 250,
    ...(mode === 'report'
      ? {
          lib: { entry: 'src/report.ts', formats: ['iife' as const], name: 'LegatoReport', fileName: () => 'report.js', cssFileName: 'report' },
        }
      : mode === 'ort'
      ? { lib: { entry: 'src/backends/runtime.ts', formats: ['iife' as const], name: 'LegatoRuntime', fileName: () => 'runtime.js' } }
      : {
          rolldownOptions: {
            output: { entryFileNames: 'assets/app.js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/app[extname]' },
          },
        }),
  },
}))
