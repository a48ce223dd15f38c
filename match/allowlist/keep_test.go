package allowlist

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keeper keeps secrets as an agent does; it counts what it gave.
type keeper struct {
	held  map[uint32]string
	gave  int
	broke error
}

func (k *keeper) options() Options {
	return Options{Keys: []ed25519.PublicKey{testPublic}, Log: quiet(),
		Keep: func(s *GenerationSecret) error {
			if k.broke == nil {
				k.held[s.Generation] = string(s.Reveal())
			}
			return k.broke
		},
		Secret: func(generation uint32) (*GenerationSecret, error) {
			if text, ok := k.held[generation]; ok && k.broke == nil {
				k.gave++
				return ParseSecret([]byte(text))
			}
			return nil, k.broke
		}}
}

func (k *keeper) store(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir, k.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func beside(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", SecretFile))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Lists from before secrets were kept elsewhere go on, and their secrets are
// taken away from beside them, the previous list's too.
func TestSecretsBesideListsAreTakenAway(t *testing.T) {
	dir := t.TempDir()
	s := mustStore(t, dir)
	for version, generation := range []uint32{1, 2} {
		if err := s.Load(t.Context(), build(t, testConfig(generation, uint64(version+1)), row(vnm(version+1))), at(testNow)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil || len(beside(t, dir)) != 2 {
		t.Fatalf("beside lists: %v, %v", beside(t, dir), err)
	}
	broken := &keeper{broke: errors.New("synthetic fault")}
	if s := broken.store(t, dir); s.table != nil || !strings.Contains(s.Status().Problem, "synthetic fault") || len(beside(t, dir)) != 2 {
		t.Errorf("nothing can be kept: %+v, beside lists %v", s.Status(), beside(t, dir))
	}
	k := &keeper{held: map[uint32]string{}}
	s = k.store(t, dir)
	allows(t, s, vnm(2), 2)
	if len(beside(t, dir)) != 0 || len(k.held) != 2 {
		t.Errorf("beside lists: %v; %d kept", beside(t, dir), len(k.held))
	}
	if err := s.Rollback(at(testNow)); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(1), 1)
}

// A list without its secret waits for it, and is not copied meanwhile.
func TestListWaitsForItsSecret(t *testing.T) {
	dir, from := t.TempDir(), build(t, testConfig(1, 1), row(vnm(1)))
	if err := os.Remove(filepath.Join(from, SecretFile)); err != nil {
		t.Fatal(err)
	}
	k := &keeper{held: map[uint32]string{}}
	s := k.store(t, dir)
	steps := 0
	s.reached = func(step string) {
		if step == "files staged" {
			steps++
		}
	}
	for range 3 {
		if err := s.Load(t.Context(), from, at(testNow)); !errors.Is(err, ErrSecret) || final(err) || steps > 0 {
			t.Fatalf("%v, %d times copied", err, steps)
		}
	}
	k.held[1] = string(testSecret(1).Reveal())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Load(ctx, from, at(testNow)); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(1), 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	delete(k.held, 1)
	s = k.store(t, dir)
	if s.table != nil || s.Reopen() == nil {
		t.Error("a list opens without its secret")
	}
	k.held[1] = string(testSecret(2).Reveal()) // generation 2's under the wrong name
	if s.Reopen() == nil {
		t.Error("a list opens with another generation's secret")
	}
	k.held[1] = string(testSecret(1).Reveal())
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(1), 1)
}
