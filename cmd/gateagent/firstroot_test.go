package main

import (
	"os"
	"path/filepath"
	"testing"

	"gateagent/config"
	"gateagent/gate/wire"
)

// The first root comes with the bundle or from a file, as update.root says.
func TestFirstRoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(file, []byte("of the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	bundled := &wire.Identity{Root: []byte("of the bundle")}
	for name, tc := range map[string]struct {
		root string
		id   *wire.Identity
		want string
	}{
		"bundle":            {config.RootOfBundle, bundled, "of the bundle"},
		"file":              {file, bundled, "of the file"},
		"file that is gone": {file + "x", bundled, ""},
		"an older bundle":   {config.RootOfBundle, &wire.Identity{}, ""},
		"not enrolled":      {config.RootOfBundle, nil, ""},
	} {
		b := &builder{c: &config.Config{Update: config.Update{Root: tc.root}}, identity: tc.id}
		if got, err := b.firstRoot(); string(got) != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
