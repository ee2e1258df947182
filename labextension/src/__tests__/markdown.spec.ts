/** Answers as blocks: what is finished stays as it is, and nothing hostile comes through. */
import { describe, expect, it } from 'vitest';
import { grow, NOTHING, steady, type Blocks } from '../markdown/blocks';
import { highlight } from '../markdown/highlight';
import { harmless, imageWords, openable, ours } from '../markdown/safe';

const TEXT = `The best run is **run_1**.

| a | b |
|---|---|
| 1 | 2 |

1. one

   still one
2. two

$$
\\eta
- \\lambda
$$

\`\`\`python
x = 1

y = "# no"
\`\`\`

End with $x^2$ and $5 or $6.
`;

const kinds = (blocks: Blocks) =>
  [...blocks.done, ...blocks.open].map(block => block.token.type);

describe('blocks', () => {
  it.each([1, 3, 7, 50])(
    'come to the same in pieces of %i as at once, and never change once finished',
    size => {
      let blocks = NOTHING;
      let seen: Blocks['done'] = [];
      for (let end = size; end < TEXT.length + size; end += size) {
        blocks = grow(blocks, TEXT.slice(0, end), false);
        seen.forEach((block, i) => expect(blocks.done[i]).toBe(block));
        seen = blocks.done;
        expect(blocks.open.length).toBeLessThanOrEqual(1);
      }
      const streamed = grow(blocks, TEXT, true);
      const whole = grow(NOTHING, TEXT, true);
      expect(kinds(streamed)).toEqual(kinds(whole));
      expect(streamed.done.map(b => b.raw)).toEqual(whole.done.map(b => b.raw));
      expect(kinds(whole)).toEqual([
        'paragraph',
        'table',
        'list',
        'math',
        'code',
        'paragraph'
      ]);
    }
  );

  it('parses only the tail again', () => {
    const long = 'A paragraph.\n\n'.repeat(2000);
    const before = grow(NOTHING, long, false);
    const next = grow(before, `${long}tail`, false);
    expect(next.done[0]).toBe(before.done[0]);
    expect(next.from).toBeGreaterThan(long.length - 40);
  });

  it('begins anew when the text is another one', () => {
    const before = grow(NOTHING, 'one\n\ntwo', false);
    expect(kinds(grow(before, 'other', true))).toEqual(['paragraph']);
  });

  it.each([
    ['a **bol', 'strong'],
    ['a `cod', 'codespan'],
    ['an *empha', 'em']
  ])('draw %j as it will be', (raw, kind) => {
    const [paragraph] = steady(raw);
    expect(JSON.stringify(paragraph)).toContain(`"type":"${kind}"`);
  });

  it.each(['Text\n-', 'Text\n=', 'Text\n1.', 'Text ![pic](http', 'Text [wor'])(
    'hold back what is half written: %j',
    raw => {
      const tokens = steady(raw);
      expect(tokens).toHaveLength(1);
      expect(tokens[0].type).toBe('paragraph');
      expect(tokens[0].raw).not.toMatch(/[=![]|-$|1\.$/);
    }
  );

  it('keep money out of formulas', () => {
    const [{ token }] = grow(NOTHING, 'It costs $5 and then $6.', true).done;
    expect(JSON.stringify(token)).not.toContain('"math"');
  });
});

describe('addresses', () => {
  it.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\nscript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,<script>1</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:http://x/y',
    '//evil.example',
    'lab?reset',
    ''
  ])('%j is dead', href => expect(openable(href)).toBeNull());

  it('of the web open', () => {
    expect(openable('https://a.example/x?y=1')).toBe('https://a.example/x?y=1');
  });

  it('of pictures are words without what they would send', () => {
    expect(imageWords('https://t.example/p.png?secret=1')).toBe(
      't.example/p.png'
    );
  });

  it('of ours are known', () => {
    expect(ours('run_ab12')).toEqual({ kind: 'run', id: 'run_ab12' });
    expect(ours('https://x/run_ab12')).toBeNull();
  });

  it.each([
    '\\href{javascript:x}{y}',
    '\\require{html}',
    '\\class{x}{y}',
    '\\def\\a{\\a}\\a'
  ])('in formulas are not drawn: %s', tex => expect(harmless(tex)).toBe(false));
  it.each(['\\theta_{t+1}', '\\left( x \\right)', '\\defeq', '\\text{url}'])(
    'are no reason to refuse %s',
    tex => expect(harmless(tex)).toBe(true)
  );
});

describe('colours of code', () => {
  it.each(['python', 'bash', 'ts', 'sql', 'json', 'unknown'])(
    'lose no character of %s',
    language => {
      const code =
        'def f(x): # "no"\n  return \'a\\\'b\' + 3.1e-4 // 2\n"""open';
      expect(
        highlight(code, language)
          .map(([, text]) => text)
          .join('')
      ).toBe(code);
    }
  );

  it('know a comment from a string', () => {
    expect(highlight('x = "# no"  # yes', 'python')).toContainEqual([
      'comment',
      '# yes'
    ]);
  });
});
