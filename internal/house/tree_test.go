package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the module's path.
const module = "gateagent"

// root leads from this package to the module's root.
const root = "../.."

// source is one parsed Go file.
type source struct {
	path  string // from the module's root, with slashes
	room  string // its folder
	test  bool
	lines int
	tree  *ast.File
}

// tree is the module as far as the rules look at it.
type tree struct {
	fset  *token.FileSet
	files []*source
}

// finding is one breach of a rule.
type finding struct {
	path string
	line int
	name string // what an exception is granted to: a function, an import
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// parseTree parses a small module that a test made up.
func parseTree(t testing.TB, files map[string]string) *tree {
	t.Helper()
	tr := &tree{fset: token.NewFileSet()}
	for name, text := range files {
		if err := tr.add(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	tr.sort()
	return tr
}

// loadTree parses the module, once for all tests.
func loadTree(t testing.TB) *tree {
	t.Helper()
	tr, err := parsedModule()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

var parsedModule = sync.OnceValues(func() (*tree, error) {
	tr := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), "/"))
		if d.IsDir() {
			if base := d.Name(); name != "" && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return tr.add(name, text)
	})
	if err == nil && len(tr.files) < 50 {
		err = fmt.Errorf("only %d files were found below %s: the rules would hold for nothing", len(tr.files), root)
	}
	tr.sort()
	return tr, err
})

func (tr *tree) add(name string, text []byte) error {
	f, err := parser.ParseFile(tr.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	tr.files = append(tr.files, &source{
		path: name, room: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(string(text), "\n"), tree: f,
	})
	return nil
}

func (tr *tree) sort() {
	slices.SortFunc(tr.files, func(a, b *source) int { return strings.Compare(a.path, b.path) })
}

func (tr *tree) line(n ast.Node) int { return tr.fset.Position(n.Pos()).Line }

func (tr *tree) at(f *source, n ast.Node, name, format string, args ...any) finding {
	return finding{f.path, tr.line(n), name, fmt.Sprintf(format, args...)}
}

// shipping lists the files that are no tests.
func (tr *tree) shipping() []*source {
	var out []*source
	for _, f := range tr.files {
		if !f.test {
			out = append(out, f)
		}
	}
	return out
}

// imports lists the paths that a file imports.
func (f *source) imports() map[string]*ast.ImportSpec {
	out := map[string]*ast.ImportSpec{}
	for _, s := range f.tree.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil {
			out[p] = s
		}
	}
	return out
}

// calledName is the name under which a file uses an import; empty when it
// does not import it.
func (f *source) calledName(importPath string) string {
	s := f.imports()[importPath]
	switch {
	case s == nil:
		return ""
	case s.Name != nil:
		return s.Name.Name
	}
	return path.Base(importPath)
}

// below says whether p is the folder or lies in it.
func below(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// enclosing names the function that holds a position.
func enclosing(f *source, pos token.Pos) string {
	for _, d := range f.tree.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Pos() <= pos && pos < fn.End() {
			return funcName(fn)
		}
	}
	return "package level"
}

// funcName is "Name" or "Receiver.Name".
func funcName(fn *ast.FuncDecl) string {
	if r := receiver(fn); r != "" {
		return r + "." + fn.Name.Name
	}
	return fn.Name.Name
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	e := fn.Recv.List[0].Type
	for {
		switch v := e.(type) {
		case *ast.StarExpr:
			e = v.X
		case *ast.IndexExpr:
			e = v.X
		case *ast.IndexListExpr:
			e = v.X
		case *ast.Ident:
			return v.Name
		default:
			return ""
		}
	}
}
