/** What jsdom lacks and a browser has. A canvas that draws nothing: pictures are looked at in tests/e2e. */
import { cleanup } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

class NoResize {
  observe() {}
  unobserve() {}
  disconnect() {}
}
vi.stubGlobal('ResizeObserver', NoResize);
vi.stubGlobal('matchMedia', (query: string) => ({
  matches: false,
  media: query,
  addEventListener() {},
  removeEventListener() {}
}));
vi.stubGlobal('Path2D', class {});
HTMLCanvasElement.prototype.getContext = (() => null) as never;

afterEach(() => cleanup());
