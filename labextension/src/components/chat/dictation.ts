/** Speech to text, where the browser has it. */
import * as React from 'react';

interface Heard {
  results: ArrayLike<{ isFinal: boolean } & ArrayLike<{ transcript: string }>>;
  resultIndex: number;
}
interface Recognition {
  continuous: boolean;
  interimResults: boolean;
  lang: string;
  onresult: ((event: Heard) => void) | null;
  onend: (() => void) | null;
  onerror: (() => void) | null;
  start(): void;
  stop(): void;
}

function recognitionClass(): (new () => Recognition) | null {
  const there = window as unknown as Record<
    string,
    (new () => Recognition) | undefined
  >;
  return there.SpeechRecognition ?? there.webkitSpeechRecognition ?? null;
}

/** `toggle` is null where the browser cannot listen. */
export function useDictation(onWords: (words: string) => void): {
  listening: boolean;
  toggle: (() => void) | null;
} {
  const [listening, setListening] = React.useState(false);
  const held = React.useRef<Recognition | null>(null);
  const say = React.useRef(onWords);
  say.current = onWords;
  React.useEffect(() => () => held.current?.stop(), []);
  const Class = React.useMemo(recognitionClass, []);
  const toggle = React.useCallback(() => {
    if (held.current) {
      held.current.stop();
      return;
    }
    const ear = new Class!();
    ear.continuous = true;
    ear.interimResults = false;
    ear.lang = navigator.language;
    ear.onresult = event => {
      for (let i = event.resultIndex; i < event.results.length; i++) {
        if (event.results[i].isFinal) {
          say.current(event.results[i][0].transcript.trim());
        }
      }
    };
    ear.onend = ear.onerror = () => {
      held.current = null;
      setListening(false);
    };
    held.current = ear;
    setListening(true);
    ear.start();
  }, [Class]);
  return { listening, toggle: Class ? toggle : null };
}
