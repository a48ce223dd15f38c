package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

func stateRules() []rule { return append(endRules(), globalRules()...) }

func endRules() []rule {
	return []rule{
		{
			name: "no panics across packages",
			find: panics,
			bad: map[string]string{"gate/a.go": `package gate

func f() {
	defer func() { recover() }()
	panic("no")
}
`},
			want: []string{"gate/a.go:4", "gate/a.go:5"},
			good: map[string]string{"gate/a_test.go": "package gate\n\nfunc f() { panic(1) }\n"},
			except: map[string]string{
				"cmd/gatectl/kiosk.go required": "a flag that the same file does not define: a mistake in the program, met at its first start",
				"update/refusal.go guard":       "the library dereferences what a hostile file may leave empty; the panic becomes a refusal where it arises",
				"web/web.go Server.handler":     "the folder is compiled in: it cannot be missing at run time",
			},
		},
		{
			name: "only main ends the process",
			find: exits,
			bad: map[string]string{
				"gate/a.go":     "package gate\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n",
				"cmd/x/more.go": "package main\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n",
			},
			want: []string{"cmd/x/more.go:5", "gate/a.go:5"},
			good: map[string]string{"cmd/x/main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(1) }\n"},
		},
		{
			name: "logs are passed in, standard output belongs to commands",
			find: globalLogs,
			bad: map[string]string{"gate/a.go": `package gate

import (
	"fmt"
	"log"
	"log/slog"
	"os"
)

func f() {
	log.Print("a")
	slog.Info("a")
	slog.SetDefault(nil)
	fmt.Println("a")
	fmt.Fprintln(os.Stderr, "a")
	println("a")
}
`},
			want: []string{"gate/a.go:12", "gate/a.go:13", "gate/a.go:14", "gate/a.go:15", "gate/a.go:16", "gate/a.go:5"},
			good: map[string]string{
				"gate/a.go":     "package gate\n\nimport \"log/slog\"\n\nfunc f(l *slog.Logger) { l.Info(\"a\", slog.String(\"b\", \"c\")) }\n",
				"cmd/x/main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n",
			},
		},
	}
}

func globalRules() []rule {
	return []rule{
		{
			name: "importing a package does nothing",
			find: initEffects,
			bad: map[string]string{"gate/a.go": `package gate

import _ "net/http/pprof"

func init() {}

var started = func() bool { go f(); return true }()

var ch = start()

func f() {}
func start() chan int { go f(); return nil }
`},
			want: []string{"gate/a.go:3", "gate/a.go:5", "gate/a.go:7"},
			good: map[string]string{"gate/a.go": `package gate

import (
	_ "embed"
	"regexp"
)

var name = regexp.MustCompile("a")
`},
		},
		{
			name: "no package holds state",
			find: globalState,
			bad: map[string]string{
				"gate/a.go": `package gate

import "sync"

var count int
var table = map[string]int{}
var once sync.Once
var cell struct{ n int }

func f() {
	count++
	table["a"] = 1
	cell.n = 2
}
`,
				"gate/b.go": "package gate\n\nfunc g() { count = 3 }\n",
			},
			want: []string{"gate/a.go:11", "gate/a.go:12", "gate/a.go:13", "gate/a.go:7", "gate/b.go:3"},
			good: map[string]string{"gate/a.go": `package gate

var table = map[string]int{"a": 1}

func f() int {
	table := map[string]int{}
	table["b"] = 2
	return table["b"]
}
`},
		},
	}
}

// calls visits every call in a file.
func calls(f *source, visit func(*ast.CallExpr)) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			visit(c)
		}
		return true
	})
}

// selects says whether e is pkg.Name of the given import and gives the name.
func (f *source) selects(e ast.Expr, importPath string) (string, bool) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil || x.Name == "" || x.Name != f.calledName(importPath) {
		return "", false
	}
	return sel.Sel.Name, true
}

func panics(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		calls(f, func(c *ast.CallExpr) {
			if id, ok := c.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "panic" || id.Name == "recover") {
				out = append(out, tr.at(f, c, enclosing(f, c.Pos()), "%s in %s: return an error", id.Name, enclosing(f, c.Pos())))
			}
		})
	}
	return out
}

func exits(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		calls(f, func(c *ast.CallExpr) {
			where := enclosing(f, c.Pos())
			if name, ok := f.selects(c.Fun, "os"); ok && name == "Exit" && (f.tree.Name.Name != "main" || where != "main") {
				out = append(out, tr.at(f, c, where, "os.Exit in %s: only main ends the process", where))
			}
		})
	}
	return out
}

func globalLogs(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		if s := f.imports()["log"]; s != nil {
			out = append(out, tr.at(f, s, "log", "package log is global: take a *slog.Logger"))
		}
		command := below(f.room, "cmd")
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "println" || id.Name == "print") {
					out = append(out, tr.at(f, n, enclosing(f, n.Pos()), "%s writes past every log", id.Name))
				}
			case *ast.SelectorExpr:
				where := enclosing(f, n.Pos())
				if name, ok := f.selects(n, "log/slog"); ok && globalSlog(name) {
					out = append(out, tr.at(f, n, where, "slog.%s is the global log: take a *slog.Logger", name))
				}
				if name, ok := f.selects(n, "fmt"); ok && !command && strings.HasPrefix(name, "Print") {
					out = append(out, tr.at(f, n, where, "fmt.%s in a room: standard output belongs to commands", name))
				}
				if name, ok := f.selects(n, "os"); ok && !command && (name == "Stdout" || name == "Stderr") {
					out = append(out, tr.at(f, n, where, "os.%s in a room: it belongs to commands", name))
				}
			}
			return true
		})
	}
	return out
}

func globalSlog(name string) bool {
	switch strings.TrimSuffix(name, "Context") {
	case "Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "Default", "SetDefault", "With", "SetLogLoggerLevel":
		return true
	}
	return false
}

// blank lists what may be imported for its effect alone: it enters itself
// into a table of the standard library and does nothing else.
func blank() []string {
	return []string{
		"embed", "time/tzdata", "github.com/mattn/go-sqlite3",
		"crypto/sha1", "crypto/sha256", "crypto/sha512",
	}
}

func initEffects(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		for p, s := range f.imports() {
			if s.Name != nil && s.Name.Name == "_" && !slices.Contains(blank(), p) {
				out = append(out, tr.at(f, s, p, "%s is imported for its effect", p))
			}
		}
		for _, d := range f.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					out = append(out, tr.at(f, d, "init", "init runs before anybody asked: let a constructor do it"))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				ast.Inspect(d, func(n ast.Node) bool {
					if g, ok := n.(*ast.GoStmt); ok {
						out = append(out, tr.at(f, g, "go", "a goroutine starts when the package is imported"))
					}
					return true
				})
			}
		}
	}
	return out
}

// globalState finds variables of a package that are changed after they were
// declared, or that are made to be: locks, counters, pools.
func globalState(tr *tree) []finding {
	var out []finding
	globals := map[string]map[string]bool{} // by folder
	for _, f := range tr.shipping() {
		for _, v := range packageVars(f) {
			if globals[f.room] == nil {
				globals[f.room] = map[string]bool{}
			}
			for _, n := range v.Names {
				globals[f.room][n.Name] = true
			}
			if p := stateful(f, v.Type); p != "" {
				out = append(out, tr.at(f, v, v.Names[0].Name, "%s is a %s of the whole package", v.Names[0].Name, p))
			}
		}
	}
	for _, f := range tr.shipping() {
		free := map[*ast.Ident]bool{}
		for _, id := range f.tree.Unresolved {
			free[id] = true
		}
		changed := func(e ast.Expr) {
			id := base(e)
			if id == nil || !globals[f.room][id.Name] {
				return
			}
			if free[id] || id.Obj != nil && id.Obj == f.tree.Scope.Lookup(id.Name) {
				out = append(out, tr.at(f, e, id.Name, "%s is changed, and belongs to the whole package", id.Name))
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						changed(e)
					}
				}
			case *ast.IncDecStmt:
				changed(n.X)
			}
			return true
		})
	}
	return out
}

func packageVars(f *source) []*ast.ValueSpec {
	var out []*ast.ValueSpec
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				out = append(out, s.(*ast.ValueSpec))
			}
		}
	}
	return out
}

// stateful names a type of package sync or sync/atomic.
func stateful(f *source, e ast.Expr) string {
	for _, p := range []string{"sync", "sync/atomic"} {
		if name, ok := f.selects(e, p); ok {
			return p + "." + name
		}
	}
	return ""
}

// base is the variable at the root of x.y[z].
func base(e ast.Expr) *ast.Ident {
	for {
		switch v := e.(type) {
		case *ast.Ident:
			return v
		case *ast.SelectorExpr:
			e = v.X
		case *ast.IndexExpr:
			e = v.X
		case *ast.StarExpr:
			e = v.X
		case *ast.ParenExpr:
			e = v.X
		default:
			return nil
		}
	}
}
