package serial

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// run feeds text in pieces of n bytes and lists the frames and the drops.
func run(f Framing, max, n int, text string, idle bool) (frames []string, drops int) {
	s := newSplitter(f, max, func(b []byte) { frames = append(frames, string(b)) }, func(string) { drops++ })
	for b := []byte(text); len(b) > 0; {
		k := min(n, len(b))
		s.feed(b[:k])
		b = b[k:]
	}
	if idle {
		s.idle()
	}
	return frames, drops
}

func TestFraming(t *testing.T) {
	for _, c := range []struct {
		name, in string
		framing  Framing
		want     string // joined by |
		drops    int
	}{
		{"cr", "one\rtwo\r", FrameCR, "one|two", 0},
		{"cr keeps lf", "one\r\ntwo\r", FrameCR, "one|\ntwo", 0},
		{"lf", "one\ntwo\n", FrameLF, "one|two", 0},
		{"crlf keeps inner ends", "l1\rl2\r\nsecond\r\n", FrameCRLF, "l1\rl2|second", 0},
		{"line", "one\r\ntwo\rthree\n", FrameLine, "one|two|three", 0},
		{"empty frames are nothing", "\r\n\r\n", FrameCRLF, "", 0},
		{"unfinished", "one\r\ntwo", FrameCRLF, "one", 1},
		{"overlong, then good", strings.Repeat("x", 40) + "\r\ngood\r\n", FrameCRLF, "good", 1},
		{"overlong at the edge", strings.Repeat("x", 16) + "\rgood\r", FrameCR, strings.Repeat("x", 16) + "|good", 0},
		{"overlong by one", strings.Repeat("x", 17) + "\rgood\r", FrameCR, "good", 1},
		{"stx", "noise\x02l1\rl2\r\x03more\x02x\x03", FrameSTX, "l1\rl2\r|x", 0},
		{"stx anew inside", "\x02half\x02whole\x03", FrameSTX, "whole", 1},
		{"stx overlong", "\x02" + strings.Repeat("x", 40) + "\x03\x02ok\x03", FrameSTX, "ok", 1},
		{"stx unfinished", "\x02half", FrameSTX, "", 1},
		{"soh", "\x01\x40\x00OU\x02Fl1\rl2\rl3\r\x03\x55", FrameSOH, "l1\rl2\rl3\r", 0},
		{"soh, one length byte", "\x01\x40OU\x02Fl1\r\x03\x55", FrameSOH, "l1\r", 0},
		{"soh, check byte like SOH", "\x01\x40\x00OU\x02Fa\x03\x01\x01\x40\x00OU\x02Fb\x03\x02", FrameSOH, "a|b", 0},
		{"soh lost header", "OU\x02Fl1\r\x03\x55\x01\x40\x00OU\x02Fok\x03\x55", FrameSOH, "ok", 0},
		{"soh long header", "\x01aaaaaaaaaa\x02Fl1\x03", FrameSOH, "", 0},
		{"idle", "whatever\r\n", FrameIdle, "whatever\r\n", 0},
		{"idle overlong", strings.Repeat("x", 40), FrameIdle, "", 1},
	} {
		for _, n := range []int{1, 3, 1000} {
			frames, drops := run(c.framing, 16, n, c.in, true)
			if got := strings.Join(frames, "|"); got != c.want || drops != c.drops {
				t.Errorf("%s in pieces of %d: %q with %d drops, want %q with %d", c.name, n, got, drops, c.want, c.drops)
			}
		}
	}
}

func TestRawKeepsEverything(t *testing.T) {
	in := strings.Repeat("0123456789", 10)
	for _, n := range []int{1, 7, 100} {
		if frames, _ := run(FrameRaw, 16, n, in, false); strings.Join(frames, "") != in {
			t.Errorf("pieces of %d: %q", n, frames)
		}
	}
}

// TestFlood: a megabyte of noise never makes a frame longer than the bound or
// the buffer larger, and the next good frame is found.
func TestFlood(t *testing.T) {
	noise := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	good := map[Framing]string{
		FrameCR: "\rgood\r", FrameLF: "\ngood\n", FrameCRLF: "\r\ngood\r\n", FrameLine: "\ngood\n",
		FrameSTX: "\x02good\x03", FrameSOH: "\x03.\x01\x40\x00OU\x02Fgood\x03!", FrameIdle: "good", FrameRaw: "good",
	}
	for f, text := range good {
		var last string
		s := newSplitter(f, 300, func(b []byte) {
			if len(b) > 300 {
				t.Fatalf("%s: a frame of %d bytes", f, len(b))
			}
			last = string(b)
		}, func(string) {})
		s.feed(noise)
		s.idle()
		s.feed([]byte(text))
		s.idle()
		if last != "good" || cap(s.buf) != 300 {
			t.Errorf("%s: last frame %q, buffer %d", f, last, cap(s.buf))
		}
	}
}

func TestWiped(t *testing.T) {
	s := newSplitter(FrameCR, 64, func(b []byte) { clear(b) }, func(string) {})
	s.feed([]byte("very secret\rhalf a secret"))
	s.idle()
	if !bytes.Equal(s.buf[:cap(s.buf)], make([]byte, cap(s.buf))) {
		t.Error("the buffer still holds a frame")
	}
}

func FuzzSplitter(f *testing.F) {
	for _, k := range []string{"a\rb\n", "\x02x\x03", "\x01\x40\x00OU\x02Fl1\r\x03\x55"} {
		f.Add([]byte(k))
	}
	all := []Framing{FrameCR, FrameLF, FrameCRLF, FrameLine, FrameSTX, FrameSOH, FrameIdle, FrameRaw}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, k := range all {
			whole, _ := run(k, 16, max(len(in), 1), string(in), true)
			bytewise, _ := run(k, 16, 1, string(in), true)
			if k != FrameRaw && strings.Join(whole, "|") != strings.Join(bytewise, "|") {
				t.Errorf("%s: pieces change the frames: %q, %q", k, whole, bytewise)
			}
		}
	})
}
