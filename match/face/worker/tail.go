package worker

import (
	"bytes"
	"sync"
)

// tail keeps the beginning of what the child says on its standard error, so
// that a start that fails can be explained. What comes later is dropped.
type tail struct {
	mu   sync.Mutex
	said []byte
}

const maxSaid = 2048

// Write takes everything and keeps a little.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, b[:min(len(b), maxSaid-len(t.said))]...)
	return len(b), nil
}

// first gives the first line in printable characters.
func (t *tail) first() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line, _, _ := bytes.Cut(bytes.TrimSpace(t.said), []byte("\n"))
	return printable(line, 300)
}

// String gives the first line as the end of a sentence.
func (t *tail) String() string {
	if s := t.first(); s != "" {
		return ": " + s
	}
	return ""
}

// printable keeps ASCII letters, digits and signs: the child's words may come
// from a picture.
func printable(b []byte, most int) string {
	b = bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, b)
	return string(b[:min(len(b), most)])
}
