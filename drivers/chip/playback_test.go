package chip

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"gateagent/gate"
)

// playback answers a fixed conversation. It fails on a command that is not
// the next one and on commands that were never sent.
type playback struct {
	t     *testing.T
	lines []string // "command > answer", hexadecimal
}

func newPlayback(t *testing.T, lines ...string) *playback {
	p := &playback{t, lines}
	t.Cleanup(func() {
		if len(p.lines) > 0 {
			t.Errorf("never sent: %s", p.lines[0])
		}
	})
	return p
}

func (p *playback) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if len(p.lines) == 0 {
		p.t.Errorf("after the end: %X", apdu)
		return nil, gate.ErrCardGone
	}
	want, answer, _ := strings.Cut(p.lines[0], ">")
	if got := strings.ToUpper(hex.EncodeToString(apdu)); got != strings.TrimSpace(want) {
		p.t.Errorf("sent %s, want %s", got, want)
		return nil, gate.ErrCardGone
	}
	p.lines = p.lines[1:]
	return unhex(p.t, strings.TrimSpace(answer)), nil
}

// transmitFunc is a Transmitter made of a function.
type transmitFunc func(ctx context.Context, apdu []byte) ([]byte, error)

func (f transmitFunc) Transmit(ctx context.Context, apdu []byte) ([]byte, error) { return f(ctx, apdu) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

func wantBytes(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s: %X, want %s", what, got, want)
	}
}
