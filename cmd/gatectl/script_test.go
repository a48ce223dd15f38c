package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// program is gatectl as it ships, built once: the scripts start it some
// hundred times, open keys under scrypt and compare faces, which takes ten
// times as long under the race detector, and each is one thread of work that
// other tests run under it.
var program struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.dir != "" {
		if err := os.RemoveAll(program.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// withProgram puts gatectl on the path of a script.
func withProgram(e *testscript.Env) error {
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "gatectl-"); program.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", program.dir+"/", ".").CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	e.Setenv("PATH", program.dir+string(os.PathListSeparator)+e.Getenv("PATH"))
	return program.err
}

// TestScripts runs every script in testdata/script, each in a fresh folder.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: withProgram})
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
			if err := withProgram(e); err != nil {
				return err
			}
			e.Setenv("MODELS", models)
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
