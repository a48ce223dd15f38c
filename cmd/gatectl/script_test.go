package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatectl": main})
}

// TestScripts runs every script in testdata/script, each in a fresh folder.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: prompt})
}

// prompt keeps the race detector from holding up each command for a second at
// its end.
func prompt(e *testscript.Env) error {
	e.Setenv("GORACE", "atexit_sleep_ms=10")
	return nil
}

// TestFaceScripts runs the scripts that need what scripts/setup installs
// ($MODELS) and public pictures of faces: people/pNN/N.pgm, 25 people, two
// pictures of each, which is what an FMR of 1 % takes.
func TestFaceScripts(t *testing.T) {
	models, err := filepath.Abs("../../models")
	if err != nil {
		t.Fatal(err)
	}
	const faces = "../../../shared/data/faces"
	for what, path := range map[string]string{"the demo model pack": filepath.Join(models, "demo"), "the AT&T faces": faces} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s: not here: %v", what, err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/face", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			e.Setenv("GORACE", "atexit_sleep_ms=10")
			for i := range 25 {
				to := filepath.Join(e.WorkDir, "people", fmt.Sprintf("p%02d", i))
				if err := os.MkdirAll(to, 0o755); err != nil {
					return err
				}
				for _, n := range []string{"1.pgm", "2.pgm"} {
					raw, err := os.ReadFile(filepath.Join(faces, fmt.Sprintf("s%d", i+1), n))
					if err != nil {
						return err
					}
					if err := os.WriteFile(filepath.Join(to, n), raw, 0o644); err != nil {
						return err
					}
				}
			}
			return nil
		},
	})
}
