package chip

import (
	"bytes"
	"testing"
)

// TestPrepared: what was prepared is what would have been made at that count,
// and is used for nothing else.
func TestPrepared(t *testing.T) {
	for _, u := range []suite{suite3DES, suiteAES128, suiteAES256} {
		session := func() *secure { return newSecure(u, []byte("a shared secret"), nil) }
		first, then := readAt(0, 200), readAt(200, 100)
		for name, c := range map[string]struct {
			answered bool
			wanted   command
			used     bool
		}{
			"as foreseen":     {true, then, true},
			"another command": {true, readAt(200, 64), false},
			"another count":   {false, then, false},
		} {
			m, plain := session(), session()
			m.protect(first)
			plain.wrap(first)
			m.prepare(then)
			if c.answered {
				m.count()
				plain.count()
			}
			ready := m.ready
			got, want := m.protect(c.wanted), plain.wrap(c.wanted)
			if !bytes.Equal(got, want) || !bytes.Equal(m.ssc, plain.ssc) || m.ready != nil {
				t.Errorf("%s, %s: %X at %X, not %X at %X", u, name, got, m.ssc, want, plain.ssc)
			}
			if used := &got[0] == &ready.apdu[0]; used != c.used {
				t.Errorf("%s, %s: prepared command used: %v", u, name, used)
			}
			m.prepare(then)
			m.wipe()
		}
	}
}

// BenchmarkAnswer is what stands between an answer of 4 KiB and the next
// command.
func BenchmarkAnswer(b *testing.B) {
	for _, u := range []suite{suite3DES, suiteAES128} {
		b.Run(u.String(), func(b *testing.B) {
			m := newSecure(u, []byte("a shared secret"), nil)
			b.Run("wrap", func(b *testing.B) {
				for b.Loop() {
					m.wrap(readAt(4096, 4096))
				}
			})
			b.Run("mac", func(b *testing.B) {
				answer := make([]byte, 4112)
				for b.Loop() {
					m.sum(answer)
				}
			})
		})
	}
}
