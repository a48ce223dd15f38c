package face

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/match/face/pack"
	"gateagent/match/face/worker"
)

// Every pack that is at hand passes; one that cannot tell people apart, or that
// the library cannot load, does not.
func TestSelfTest(t *testing.T) {
	cfg := func(p *pack.Pack) worker.Config {
		return worker.Config{Command: []string{workerProgram(t), "worker"}, Pack: p, Library: library, Log: slog.New(slog.DiscardHandler)}
	}
	good := openPack(t, pack.Options{})
	if err := SelfTest(t.Context(), cfg(good)); err != nil {
		t.Errorf("%s: %v", good.Title(), err)
	}
	small := demoPack(t, pack.Options{})
	if err := SelfTest(t.Context(), cfg(small)); err != nil {
		t.Errorf("%s: %v", small.Title(), err)
	}
	deaf := cfg(small)
	deaf.Library = filepath.Join(t.TempDir(), "none.so")
	if err := SelfTest(t.Context(), deaf); !errors.Is(err, worker.ErrStart) {
		t.Errorf("without a library: %v", err)
	}
	for name, change := range map[string]func(m *pack.Manifest){
		"one person": func(m *pack.Manifest) { m.Embedder.StartThreshold = 0.999 },
		"two people": func(m *pack.Manifest) { m.Embedder.StartThreshold = 0.001 },
	} {
		blind := *small
		change(&blind.Manifest)
		if err := SelfTest(t.Context(), cfg(&blind)); !errors.Is(err, ErrSelfTest) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(small.Dir(), SelfTestFiles()[0]), selfTestOne, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SelfTest(t.Context(), cfg(small)); err == nil || !strings.Contains(err.Error(), "all or none") {
		t.Errorf("one picture of three: %v", err)
	}
	for i, raw := range [][]byte{selfTestOne, selfTestOther, selfTestAgain} { // in the wrong order
		if err := os.WriteFile(filepath.Join(small.Dir(), SelfTestFiles()[i]), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := SelfTest(t.Context(), cfg(small)); !errors.Is(err, ErrSelfTest) {
		t.Errorf("its own pictures: %v", err)
	}
}
