package house

import (
	"go/ast"
	"go/token"
	"strings"
)

func docRules() []rule {
	return []rule{
		{
			name: "every package has a doc",
			find: packageDocs,
			bad: map[string]string{
				"gate/a.go": "package gate\n",
				"web/a.go":  "// Web serves pages.\npackage web\n",
			},
			want: []string{"gate/a.go:1", "web/a.go:2"},
			good: map[string]string{
				"gate/a.go":      "package gate\n",
				"gate/b.go":      "// Package gate is the domain.\npackage gate\n",
				"cmd/x/main.go":  "// X does something.\npackage main\n",
				"gate/a_test.go": "package gate_test\n",
			},
		},
		{
			name: "exported identifiers are documented",
			find: exportedDocs,
			bad: map[string]string{"gate/a.go": `package gate

type Thing struct{}

func (Thing) Do() {}

func New() Thing { return Thing{} }

const Limit = 3

var (
	ErrA error
)

// Said is documented.
type Said interface{ Do() }
`},
			want: []string{"gate/a.go:12", "gate/a.go:3", "gate/a.go:5", "gate/a.go:7", "gate/a.go:9"},
			good: map[string]string{"gate/a.go": `package gate

// Kinds of things.
const (
	One = iota
	Two
)

var (
	ErrA error // it is so
)

type hidden struct{}

func (hidden) Do() {}
`},
		},
	}
}

func packageDocs(tr *tree) []finding {
	first := map[string]*source{}
	said := map[string]bool{}
	var wrong []finding
	for _, f := range tr.shipping() {
		if first[f.room] == nil {
			first[f.room] = f
		}
		if f.tree.Doc == nil {
			continue
		}
		name := f.tree.Name.Name
		if name != "main" && !strings.HasPrefix(f.tree.Doc.Text(), "Package "+name+" ") {
			wrong = append(wrong, tr.at(f, f.tree.Name, name, "the package doc must begin with \"Package %s\"", name))
		}
		said[f.room] = true
	}
	for folder, f := range first {
		if !said[folder] {
			wrong = append(wrong, tr.at(f, f.tree.Name, f.tree.Name.Name, "package %s has no doc: say in a sentence what the room is for", folder))
		}
	}
	return wrong
}

func exportedDocs(tr *tree) []finding {
	var out []finding
	for _, f := range tr.shipping() {
		for _, d := range f.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				r := receiver(d)
				if d.Name.IsExported() && d.Doc == nil && (r == "" || token.IsExported(r)) {
					out = append(out, tr.at(f, d, funcName(d), "%s has no doc", funcName(d)))
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if name := undocumented(d, s); name != "" {
						out = append(out, tr.at(f, s, name, "%s has no doc", name))
					}
				}
			}
		}
	}
	return out
}

// undocumented gives the exported name in s that has no doc; empty when there
// is none. The doc of a group of constants or variables serves them all.
func undocumented(d *ast.GenDecl, s ast.Spec) string {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
			return s.Name.Name
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				return n.Name
			}
		}
	}
	return ""
}
