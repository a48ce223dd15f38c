package house

import (
	"go/ast"
	"strings"
)

// Bounds: beyond them a reader loses the thread. Tests may be longer by a
// third, for the sake of their tables.
const (
	maxFunction     = 60
	maxTestFunction = 120
	maxFile         = 400
	maxTestFile     = 530
	maxMain         = 150
	maxInterface    = 3
)

func sizeRules() []rule {
	lines := func(n int) string { return strings.Repeat("\t_ = 0\n", n) }
	return []rule{
		{
			name: "functions are short",
			find: longFunctions,
			bad: map[string]string{
				"gate/a.go":      "package gate\n\nfunc f() {\n" + lines(maxFunction) + "}\n",
				"gate/a_test.go": "package gate\n\nfunc g() {\n" + lines(maxTestFunction) + "}\n",
			},
			want: []string{"gate/a.go:3", "gate/a_test.go:3"},
			good: map[string]string{"gate/a.go": "package gate\n\nfunc f() {\n" + lines(maxFunction-2) + "}\n"},
		},
		{
			name: "files are short",
			find: longFiles,
			bad: map[string]string{
				"gate/a.go":      "package gate\n" + strings.Repeat("\n", maxFile),
				"gate/a_test.go": "package gate\n" + strings.Repeat("\n", maxTestFile),
				"cmd/x/main.go":  "package main\n" + strings.Repeat("\n", maxMain),
			},
			want: []string{"cmd/x/main.go:1", "gate/a.go:1", "gate/a_test.go:1"},
			good: map[string]string{
				"gate/a.go":     "package gate\n" + strings.Repeat("\n", maxFile-1),
				"cmd/x/main.go": "package main\n" + strings.Repeat("\n", maxMain-1),
			},
		},
		{
			name: "interfaces are small",
			find: wideInterfaces,
			bad: map[string]string{"gate/a.go": `package gate

type wide interface {
	A()
	B()
	C()
	D()
}
`},
			want: []string{"gate/a.go:3"},
			good: map[string]string{"gate/a.go": "package gate\n\ntype slim interface {\n\tA()\n\tB()\n\tC()\n}\n"},
			except: map[string]string{
				"gate/chip.go Chip":                 "the steps of one chip session: cut up, they would still all be one object",
				"gate/document.go Case":             "the judgement of one document in its order, shared state between all steps",
				"uplink/uplink.go Store":            "the outbox as its only consumer sees it",
				"match/face/worker/serve.go models": "the whole of what happens to a picture, replaced as one by tests of native code that breaks",
			},
		},
	}
}

func longFunctions(tr *tree) []finding {
	var out []finding
	for _, f := range tr.files {
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit := maxFunction
			if f.test {
				limit = maxTestFunction
			}
			if n := tr.fset.Position(fn.End()).Line - tr.line(fn) + 1; n > limit {
				out = append(out, tr.at(f, fn, funcName(fn), "%s has %d lines, %d are the bound", funcName(fn), n, limit))
			}
		}
	}
	return out
}

func longFiles(tr *tree) []finding {
	var out []finding
	for _, f := range tr.files {
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		if f.tree.Name.Name == "main" && strings.HasSuffix(f.path, "/main.go") {
			limit = maxMain
		}
		if f.lines > limit {
			out = append(out, tr.at(f, f.tree, "file", "%d lines, %d are the bound", f.lines, limit))
		}
	}
	return out
}

func wideInterfaces(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if i, ok := s.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxInterface {
				out = append(out, tr.at(f, s, s.Name.Name, "interface %s has %d methods, %d are the bound", s.Name.Name, i.Methods.NumFields(), maxInterface))
			}
			return true
		})
	}
	return out
}
