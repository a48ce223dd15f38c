package house

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room says what the code of a folder may import of the project besides its
// own folder; "..." stands for everything.
type room struct {
	folder string
	// siblings: each subfolder is a room of its own.
	siblings bool
	may      []string
}

// rooms is the table of architecture.md: cmd wires everything; drivers, match,
// offline, uplink, update and web import gate and never each other; gate and
// config import none of their siblings; sim is for tests and cmd/gatesim.
func rooms() []room {
	domain := []string{"gate", "internal"}
	return []room{
		{"cmd/gateagent", false, []string{"config", "drivers", "match", "offline", "uplink", "update", "web", "gate", "internal"}},
		{"cmd/gatectl", false, []string{"config", "match", "offline", "central", "update", "gate", "internal"}},
		{"cmd/gatecentral", false, []string{"central", "gate", "internal"}},
		{"cmd/gatesim", false, []string{"..."}},
		{"gate", false, []string{"internal"}},
		{"config", false, []string{"internal"}},
		{"drivers", true, domain},
		{"match", true, domain},
		{"offline", false, domain},
		{"uplink", false, domain},
		{"update", false, domain},
		{"web", false, domain},
		{"central", false, domain},
		{"sim", false, []string{"internal", "gate/mrz"}},
		{"internal", false, nil},
		{"systemd", false, nil},
		{"e2e", false, nil},    // tests of the whole
		{"faults", false, nil}, // tests of what may not get lost
	}
}

// homes says where a module from outside may be imported by code that is no
// test. One home for each keeps it replaceable.
func homes() map[string][]string {
	return map[string][]string{
		"github.com/ebfe/scard":                             {"drivers/pcsc"},
		"go.bug.st/serial":                                  {"drivers/serial"},
		"github.com/mattn/go-sqlite3":                       {"offline", "central/store"},
		"github.com/eclipse/paho.mqtt.golang":               {"uplink", "central"},
		"github.com/nats-io/nats-server/v2":                 {"central/broker"},
		"github.com/pelletier/go-toml/v2":                   {"config"},
		"github.com/spf13/cobra":                            {"cmd"},
		"github.com/coreos/go-systemd/v22":                  {"cmd"},
		"github.com/yalue/onnxruntime_go":                   {"match/face"},
		"github.com/ajroetker/go-jpeg2000":                  {"match/face"},
		"github.com/vladimirvivien/go4vl":                   {"drivers/camera"},
		"github.com/coder/websocket":                        {"web"},
		"github.com/creack/pty":                             {"sim"},
		"github.com/theupdateframework/go-tuf/v2":           {"central/repo", "update"},
		"github.com/sigstore/sigstore":                      {"central/repo"},
		"github.com/secure-systems-lab/go-securesystemslib": {"central/keys"},
		"github.com/ThalesGroup/crypto11":                   {"central/keys"},
		"github.com/google/go-tpm":                          {"internal/tpm"},
		"github.com/psanford/sqlite3vfs":                    {"sim/disk"},
		"github.com/chromedp":                               {"cmd/gatesim"}, // its travellers use the real page
		"golang.org/x":                                      {"."},
	}
}

func importRules() []rule {
	return []rule{
		{
			name: "rooms import only what they may",
			find: roomImports,
			bad: map[string]string{
				"drivers/a/a.go":  "package a\nimport _ \"gateagent/drivers/b\"\n",
				"match/a/a.go":    "package a\nimport (\n\t_ \"gateagent/gate\"\n\t_ \"gateagent/offline\"\n)\n",
				"gate/g.go":       "package gate\nimport _ \"gateagent/config\"\n",
				"internal/i/i.go": "package i\nimport _ \"gateagent/gate\"\n",
				"lounge/l.go":     "package lounge\n",
				"utils/u.go":      "package utils\n",
			},
			want: []string{"drivers/a/a.go:2", "gate/g.go:2", "internal/i/i.go:2", "lounge/l.go:1", "match/a/a.go:4", "utils/u.go:1"},
			good: map[string]string{
				"drivers/a/a.go":        "package a\nimport (\n\t_ \"gateagent/drivers/a/sub\"\n\t_ \"gateagent/gate/wire\"\n\t_ \"gateagent/internal/ber\"\n)\n",
				"drivers/a/a_test.go":   "package a\nimport _ \"gateagent/drivers/b\"\n",
				"cmd/gateagent/main.go": "package main\nimport _ \"gateagent/uplink\"\n",
			},
		},
		{
			name: "nothing that ships imports the simulator",
			find: simulatorImports,
			bad: map[string]string{
				"web/w.go":              "package web\nimport _ \"gateagent/sim/doc\"\n",
				"cmd/gateagent/main.go": "package main\nimport _ \"gateagent/cmd/gatesim\"\n",
			},
			want: []string{"cmd/gateagent/main.go:2", "web/w.go:2"},
			good: map[string]string{
				"web/w_test.go":       "package web\nimport _ \"gateagent/sim/doc\"\n",
				"cmd/gatesim/main.go": "package main\nimport _ \"gateagent/sim/doc\"\n",
				"sim/doc/d.go":        "package doc\nimport _ \"gateagent/sim/chip\"\n",
			},
		},
		{
			name: "modules from outside stay in their rooms",
			find: strayModules,
			bad: map[string]string{
				"gate/g.go":      "package gate\nimport _ \"github.com/mattn/go-sqlite3\"\n",
				"web/w.go":       "package web\nimport _ \"github.com/chromedp/chromedp\"\n",
				"offline/o.go":   "package offline\nimport _ \"github.com/creack/pty\"\n",
				"central/c/c.go": "package c\nimport _ \"github.com/nats-io/nats-server/v2/server\"\n",
			},
			want: []string{"central/c/c.go:2", "gate/g.go:2", "offline/o.go:2", "web/w.go:2"},
			good: map[string]string{
				"web/w_test.go":      "package web\nimport _ \"github.com/chromedp/chromedp\"\n",
				"offline/o.go":       "package offline\nimport (\n\t\"os\"\n\t_ \"github.com/mattn/go-sqlite3\"\n)\n",
				"gate/g.go":          "package gate\nimport _ \"golang.org/x/text/unicode/norm\"\n",
				"central/store/s.go": "package store\nimport _ \"github.com/mattn/go-sqlite3\"\n",
			},
		},
	}
}

// internalImport gives the folder of an import of the project.
func internalImport(p string) (string, bool) {
	return strings.CutPrefix(p, module+"/")
}

func roomImports(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		r, own, ok := roomOf(f.room)
		if !ok {
			out = append(out, tr.at(f, f.tree.Name, f.room, "folder %s is no room of the house: give it a place in the table or move it", f.room))
			continue
		}
		for p, spec := range f.imports() {
			to, ok := internalImport(p)
			if !ok || below(to, own) {
				continue
			}
			if !slices.ContainsFunc(r.may, func(m string) bool { return m == "..." || below(to, m) }) {
				out = append(out, tr.at(f, spec, p, "%s may not import %s", f.room, p))
			}
		}
	}
	return out
}

// roomOf finds the room of a folder and what counts as its own.
func roomOf(folder string) (r room, own string, ok bool) {
	for _, r := range rooms() {
		if !below(folder, r.folder) {
			continue
		}
		own = r.folder
		if r.siblings {
			rest, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(folder, r.folder), "/"), "/")
			own += "/" + rest
		}
		return r, own, true
	}
	return room{}, "", false
}

func simulatorImports(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		if below(f.room, "sim") || below(f.room, "cmd/gatesim") {
			continue
		}
		for p, spec := range f.imports() {
			if to, ok := internalImport(p); ok && (below(to, "sim") || below(to, "cmd/gatesim")) {
				out = append(out, tr.at(f, spec, p, "%s ships and imports the simulator %s: at a gate that is a bypass", f.room, p))
			}
		}
	}
	return out
}

func strayModules(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		for p, spec := range f.imports() {
			first, _, _ := strings.Cut(p, "/")
			if !strings.Contains(first, ".") {
				continue // the project or the standard library
			}
			if !atHome(p, f.room) {
				out = append(out, tr.at(f, spec, p, "%s may not import %s: it has its place elsewhere, or in tests only", f.room, p))
			}
		}
	}
	return out
}

func atHome(p, folder string) bool {
	for mod, where := range homes() {
		if below(p, mod) {
			return slices.ContainsFunc(where, func(w string) bool { return w == "." || below(folder, w) })
		}
	}
	return false
}

// What the linker gets, seen through every import of every module.
func TestShippedBinaries(t *testing.T) {
	g := loadGraph(t)
	never := []string{
		module + "/sim", module + "/cmd/gatesim", "testing",
		"github.com/creack/pty", "github.com/psanford/sqlite3vfs", "github.com/chromedp", "pgregory.net/rapid",
		"github.com/rogpeppe/go-internal", "github.com/ProtonMail/go-crypto", "honnef.co/go/tools", "gotest.tools",
	}
	for command, more := range map[string][]string{
		"gateagent":   {module + "/central", "github.com/nats-io"},
		"gatectl":     {"github.com/nats-io"},
		"gatecentral": {module + "/drivers", module + "/match"},
	} {
		linked := g.reach(module + "/cmd/" + command)
		if !linked["runtime"] {
			t.Fatalf("%s links not even the runtime: the question proves nothing", command)
		}
		for p := range linked {
			for _, n := range append(more, never...) {
				if below(p, n) {
					t.Errorf("%s links %s", command, p)
				}
			}
		}
	}
	// The other way round: the question is able to find the simulator.
	if sim := g.reach(module + "/cmd/gatesim"); !sim[module+"/sim/chip"] || !sim["github.com/creack/pty"] {
		t.Error("gatesim does not even link the simulator: the question proves nothing")
	}
}

// graph holds the imports of every package that a command needs.
type graph map[string][]string

// loadGraph asks the go command. Its answer depends on the files that this
// test opens for that reason, and on modules that go.sum pins.
func loadGraph(t *testing.T) graph {
	t.Helper()
	loadTree(t)
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := os.ReadFile(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,ImportMap", "./cmd/...")
	cmd.Dir = root
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, errs.String())
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
			ImportMap  map[string]string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Imports {
			if real, ok := p.ImportMap[i]; ok {
				i = real
			}
			g[p.ImportPath] = append(g[p.ImportPath], i)
		}
	}
	return g
}

// reach gives everything that a package links.
func (g graph) reach(from string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, i := range g[p] {
			visit(i)
		}
	}
	visit(from)
	return seen
}
