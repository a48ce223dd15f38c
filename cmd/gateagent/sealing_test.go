package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"gateagent/config"
	"gateagent/gate/wire"
)

// A kiosk without central seals to the key that its configuration names; a
// file that holds none is an error, and no file at all leaves results in clear.
func TestOwnSealKey(t *testing.T) {
	key, err := wire.NewOpenKey(wire.SuiteHybrid)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := filepath.Join(t.TempDir(), "seal.pub"), filepath.Join(t.TempDir(), "bad.pub")
	for path, text := range map[string]string{good: key.Public().Text(), bad: "x25519 00\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]struct{ fails, sealed bool }{
		good: {false, true}, bad: {true, false}, bad + "none": {true, false}, "": {false, false},
	} {
		b := &builder{c: &config.Config{Record: config.Record{SealKey: path}}, log: slog.New(slog.DiscardHandler)}
		if err := b.ownSealKey(); (err != nil) != want.fails || (b.sealTo != nil) != want.sealed {
			t.Errorf("%s: %v, key %v", path, err, b.sealTo)
		}
	}
}
