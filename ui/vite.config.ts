import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

const built = '../src/legato/explorer/_ui'

/** `vite build`: the page that `legato explore` serves. `--mode report`: one script and one style to put into a file. */
export default defineConfig(({ mode }) => ({
  base: './',
  plugins: [svelte()],
  test: { include: ['tests/**/*.test.ts'] },
  build: {
    outDir: built,
    emptyOutDir: mode !== 'report',
    target: 'es2022',
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 250,
    ...(mode === 'report'
      ? {
          lib: { entry: 'src/report.ts', formats: ['iife' as const], name: 'LegatoReport', fileName: () => 'report.js', cssFileName: 'report' },
        }
      : {
          rolldownOptions: {
            output: { entryFileNames: 'assets/app.js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/app[extname]' },
          },
        }),
  },
}))
