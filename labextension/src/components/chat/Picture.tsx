import * as React from 'react';
import { useHost } from '../../hooks';

/** An attachment or an output as a picture. Its bytes come through our own route, never from elsewhere. */
export function Picture({
  id,
  name
}: {
  id: string;
  name: string;
}): JSX.Element {
  const { desk, trans } = useHost();
  const [url, setUrl] = React.useState('');
  const [gone, setGone] = React.useState(false);
  React.useEffect(() => {
    let made = '';
    let left = false;
    desk.api.attachment(id).then(
      blob => {
        // Only what cannot run: an SVG is a program.
        if (!left && /^image\/(png|jpeg|gif|webp)$/.test(blob.type)) {
          made = URL.createObjectURL(blob);
          setUrl(made);
        } else if (!left) {
          setGone(true);
        }
      },
      () => !left && setGone(true)
    );
    return () => {
      left = true;
      if (made) {
        URL.revokeObjectURL(made);
      }
    };
  }, [desk, id]);
  return url ? (
    <img className="rg-picture" src={url} alt={name} />
  ) : (
    <span className="rg-dim">
      {gone ? trans.__('%1 cannot be shown here', name) : name}
    </span>
  );
}
