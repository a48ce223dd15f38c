package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gateagent/sim/kiosk"
)

// TestPublish runs the scripts of publishing: the commands of central, and what
// a real kiosk makes of what they published.
func TestPublish(t *testing.T) {
	t.Parallel()
	models, err := filepath.Abs("../models")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *kiosk.Options) { o.Central = nil })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for name, value := range map[string]string{
				"PATH":  bin + string(os.PathListSeparator) + e.Getenv("PATH"),
				"STATE": r.State(), "INCOMING": r.Path("incoming"), "TRUST": trust, "MODELS": models,
			} {
				e.Setenv(name, value)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			_, err := os.Stat(filepath.Join(models, "demo", "pack.json"))
			return name == "models" && err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kiosk": func(ts *testscript.TestScript, _ bool, args []string) { startFrom(ts, r, args[0]) },
			"said": func(ts *testscript.TestScript, _ bool, words []string) {
				_, err := r.Agent.AwaitLine(r.within(startWithin), words...)
				ts.Check(err)
			},
			"notable": func(ts *testscript.TestScript, _ bool, args []string) { dropTables(ts, ts.MkAbs(args[0])) },
		},
	})
}

// startFrom starts the kiosk with a repository's first root.
func startFrom(ts *testscript.TestScript, r *rig, root string) {
	text, err := os.ReadFile(r.ConfigFile())
	ts.Check(err)
	text = append(text, []byte("\n[update]\nroot = '"+ts.MkAbs(root)+"'\nairport = \"SGN\"\n")...)
	ts.Check(os.WriteFile(r.ConfigFile(), text, 0o600))
	ts.Check(r.Start(r.within(startWithin)))
}

// dropTables takes all tables of lists out of a carried repository.
func dropTables(ts *testscript.TestScript, dir string) {
	n := 0
	ts.Check(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".table-") {
			n++
			err = os.Remove(path)
		}
		return err
	}))
	if n == 0 {
		ts.Fatalf("%s holds no table", dir)
	}
}
