package face

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
)

// lockedBuffer is a log that goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.N(256))
	}
	return b
}

// withComment plants bytes in a JPEG where decoders skip them.
func withComment(raw, comment []byte) []byte {
	head := []byte{0xFF, 0xD8, 0xFF, 0xFE, 0, 0}
	binary.BigEndian.PutUint16(head[4:], uint16(2+len(comment)))
	return append(append(head, comment...), raw[2:]...)
}

// needle finds a planted secret in the forms that careless code writes.
func holds(hay, secret []byte) string {
	for form, b := range map[string][]byte{
		"raw": secret, "hex": []byte(hex.EncodeToString(secret)),
		"a list": []byte(strings.Trim(fmt.Sprint(secret), "[]")),
		"base64": []byte(base64.StdEncoding.EncodeToString(secret[:len(secret)/3*3])),
	} {
		if bytes.Contains(hay, b) {
			return form
		}
	}
	return ""
}

// Nothing of a face outlives the attempt: not in files, logs or the memory that
// was handed over, and the worker that saw it is gone, whatever the outcome.
func TestNoTraces(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	inPortrait, inFrame := noise(48), noise(48)
	cam := show(t, 5)
	for _, s := range cam.scenes { // a strip of the wall
		copy(s.Pix[3*640*470:], inFrame)
	}
	log := &lockedBuffer{}
	r := newRig(t, cam, func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Pack = openPack(t, pack.Options{Demo: true})
	})
	good, bad := jpegOf(t, rgba(person(t, 5, 1))), jpegOf(t, rgba(person(t, 9, 1)))
	for _, p := range [][]byte{good, bad, good[:len(good)/2]} {
		before := r.pid()
		r.attempt(withComment(p, inPortrait), "jpeg", 5*time.Second)
		if syscall.Kill(before, 0) == nil {
			t.Error("the worker lives on")
		}
	}
	left := r.Begin(context.Background(), "tx") // leaves in the middle
	<-left.Guidance()
	left.Close()

	for what, secret := range map[string][]byte{"portrait": inPortrait, "frame": inFrame} {
		if form := holds(log.bytes(), secret); form != "" {
			t.Errorf("the log holds the %s as %s", what, form)
		}
		for _, dir := range []string{temp, "."} {
			searchFiles(t, dir, what, secret)
		}
		if n := inMemory(t, r.pid(), secret); n > 0 {
			t.Errorf("the worker's memory holds the %s, %d times", what, n)
		}
	}
	cam.mu.Lock()
	defer cam.mu.Unlock()
	for i, f := range cam.given {
		if !bytes.Equal(f, make([]byte, len(f))) {
			t.Fatalf("frame %d of %d was not wiped", i, len(cam.given))
		}
	}
}

// The search of the worker's memory finds what is there.
func TestMemorySearchFinds(t *testing.T) {
	secret := noise(48)
	r := at(t, show(t, 5))
	one := r.Begin(t.Context(), "tx")
	defer one.Close()
	<-one.Guidance()
	// A request that never comes back keeps its body.
	p, err := r.process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		p.Portrait(ctx, "jpeg", withComment(jpegOf(t, rgba(scene(person(t, 5, 1)))), bytes.Repeat(secret, 100)))
		cancel()
		if found = inMemory(t, p.PID(), secret); found > 0 {
			return
		}
	}
	t.Error("a portrait that is being looked at was never seen in memory")
}

func searchFiles(t *testing.T, dir, what string, secret []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, ".onnx") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if form := holds(raw, secret); form != "" {
			t.Errorf("%s holds the %s as %s", path, what, form)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// inMemory counts a secret in the writable memory of another process.
func inMemory(t *testing.T, pid int, secret []byte) (found int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Skipf("the worker's memory cannot be read without privileges: %v", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("the worker's memory cannot be read without privileges: %v", err)
	}
	defer mem.Close()
	block := make([]byte, 1<<20)
	for _, line := range strings.Split(string(maps), "\n") {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n < 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		if to-from > 256<<20 && !strings.Contains(line, "[heap]") {
			to = from + 256<<20 // reserved, the beginning is what is used
		}
		for at := from; at < to; at += int64(len(block) - len(secret)) {
			n, _ := mem.ReadAt(block[:min(int64(len(block)), to-at)], at)
			found += bytes.Count(block[:n], secret)
			if n < len(secret) {
				break
			}
		}
	}
	return found
}

var _ gate.FaceAttempt = (*attempt)(nil)
