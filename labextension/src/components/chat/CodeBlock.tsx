import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import { familyOf, highlight } from '../../markdown/highlight';
import { CopyButton } from '../CopyButton';
import { IconButton } from '../Icon';

/** Code with its verbs. While it is being written it has none, but their line is there: nothing jumps. */
export const CodeBlock = React.memo(function CodeBlock(props: {
  code: string;
  language: string;
  open: boolean;
}): JSX.Element {
  const { bench, trans } = useHost();
  const { code, language, open } = props;
  const [said, setSaid] = React.useState('');
  const doing = useDoing();
  const pieces = React.useMemo(
    () => highlight(code, language),
    [code, language]
  );
  const insert = (run: boolean) =>
    doing.run(async () => {
      const source = familyOf(language) === 'shell' ? `%%bash\n${code}` : code;
      const there = await bench!.insert(source, run);
      setSaid(
        there
          ? run
            ? trans.__('Put into the notebook and run')
            : trans.__('Put into the notebook')
          : trans.__('No notebook is in front')
      );
    });
  React.useEffect(() => {
    if (said) {
      const timer = setTimeout(() => setSaid(''), 3000);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [said]);
  return (
    <div className="rg-code-block">
      <div className="rg-code-head">
        <span className="rg-dim rg-name">
          {language.trim().split(/\s/)[0] || trans.__('text')}
        </span>
        <span className="rg-dim" role="status">
          {said}
        </span>
        {!open && (
          <span className="rg-code-verbs">
            {bench && (
              <>
                <IconButton
                  icon="insert"
                  label={trans.__('Insert below the active cell')}
                  disabled={doing.busy}
                  onClick={() => insert(false)}
                />
                <IconButton
                  icon="play"
                  label={trans.__('Insert and run')}
                  disabled={doing.busy}
                  onClick={() => insert(true)}
                />
              </>
            )}
            <CopyButton text={code} label={trans.__('Copy code')} icon />
          </span>
        )}
      </div>
      <pre tabIndex={0} aria-label={trans.__('Code')} role="group">
        <code>
          {pieces.map(([kind, text], i) =>
            kind === 'plain' ? (
              text
            ) : (
              <span key={i} className={`rg-hl-${kind}`}>
                {text}
              </span>
            )
          )}
        </code>
      </pre>
    </div>
  );
});
