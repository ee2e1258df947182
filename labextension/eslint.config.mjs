import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-plugin-prettier/recommended';
import globals from 'globals';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig([
  {
    ignores: [
      'node_modules',
      'lib',
      'src/wire.ts',
      '**/*.js',
      '**/*.mjs',
      '**/*.d.ts',
      'vitest.config.ts',
      'src/__tests__'
    ]
  },
  js.configs.recommended,
  tseslint.configs.recommended,
  { plugins: { jupyter } },
  jupyter.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { project: 'tsconfig.json', sourceType: 'module' }
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      // The whole bundle is smaller than one icon font: loading it in parts would cost more than it saves.
      'jupyter/prefer-lazy-imports': 'off',
      curly: ['error', 'all'],
      eqeqeq: 'error'
    }
  },
  {
    // The floors: what is drawn knows nothing of Lab, so the same pictures stand on a page of their own.
    files: ['src/components/**', 'src/models/**', 'src/page.tsx', 'src/hooks.ts', 'src/api.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: ['@jupyterlab/*'] }]
    }
  },
  prettier
]);
