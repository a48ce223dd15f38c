package house

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gateagent/gate"
)

var update = flag.Bool("update", false, "write docs/codes.md anew")

// codeRooms are the ranges of codes; every code lies in one.
var codeRooms = []struct {
	title       string
	first, last gate.Code
}{
	{"Access to the chip and the chip protocol", 1000, 1299},
	{"Judgement of the document", 1300, 1999},
	{"Allowlist", 2000, 2999},
	{"Face comparison", 3000, 3999},
	{"Decision, lane and devices", 6000, 6999},
}

const codesIntro = `# Codes

Every check of the inspection report, every reason of a decision and every passage carries a stable number that says why.
0 means that there is nothing to say. Numbers and names never change their meaning and are never used again; programs
should go by the number. The staff page and the journal show the name or the text; travellers never see either.

This file is generated from ` + "`gate.Codes()`" + `: ` + "`go test ./internal/house -run Codes -update`" + `.
`

const retiredIntro = `
## Retired

Numbers that no version of the agent says any more. They are not given again.

| code | name | what it was | what to do |
| --- | --- | --- | --- |
`

// codesPage writes docs/codes.md.
func codesPage(codes, retired []gate.CodeInfo) string {
	var b strings.Builder
	b.WriteString(codesIntro)
	for _, r := range codeRooms {
		fmt.Fprintf(&b, "\n## %s (%d to %d)\n\n| code | name | what happened | what to do |\n| --- | --- | --- | --- |\n", r.title, r.first, r.last)
		for _, c := range codes {
			if c.Code >= r.first && c.Code <= r.last {
				fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", c.Code, c.Name, cell(c.Text), cell(c.Remedy))
			}
		}
	}
	b.WriteString(retiredIntro)
	for _, c := range retired {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", c.Code, c.Name, cell(c.Text), cell(c.Remedy))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func TestCodesPage(t *testing.T) {
	path := filepath.Join(root, "docs/codes.md")
	want := codesPage(gate.Codes(), gate.RetiredCodes())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/codes.md is not what gate.Codes() says: write it anew with -update")
	}
}

var codeName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// codeFaults says what is wrong with a list of codes.
func codeFaults(codes []gate.CodeInfo) []string {
	var out []string
	numbers, names := map[gate.Code]bool{}, map[string]bool{}
	room, before := 0, gate.Code(0)
	for _, c := range codes {
		bad := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("%d %s: ", c.Code, c.Name)+fmt.Sprintf(format, args...))
		}
		for room < len(codeRooms) && c.Code > codeRooms[room].last {
			room++
		}
		switch {
		case numbers[c.Code] || names[c.Name]:
			bad("number or name is there twice")
		case c.Code <= before:
			bad("comes after %d", before)
		case room == len(codeRooms) || c.Code < codeRooms[room].first:
			bad("lies in no room's range")
		case !codeName.MatchString(c.Name):
			bad("the name is not in lower_snake_case")
		case c.Text == "":
			bad("says nothing")
		}
		numbers[c.Code], names[c.Name], before = true, true, c.Code
	}
	return out
}

func TestCodes(t *testing.T) {
	for _, f := range codeFaults(gate.Codes()) {
		t.Error(f)
	}
	for _, c := range gate.RetiredCodes() {
		one := append(gate.Codes(), c)
		slices.SortStableFunc(one, func(a, b gate.CodeInfo) int { return int(a.Code) - int(b.Code) })
		for _, f := range codeFaults(one) {
			t.Errorf("retired: %s", f)
		}
	}
	for _, c := range declaredCodes(loadTree(t)) {
		if !c.listed {
			t.Errorf("%s: %s is declared and not in the list of its file", c.where, c.name)
		}
	}
	bad := []gate.CodeInfo{
		{Code: 1001, Name: "a", Text: "t"}, {Code: 1001, Name: "b", Text: "t"}, {Code: 1000, Name: "c", Text: "t"},
		{Code: 5000, Name: "d", Text: "t"}, {Code: 6001, Name: "NotSnake", Text: "t"}, {Code: 6002, Name: "e"}, {Code: 7000, Name: "f", Text: "t"},
	}
	if got := codeFaults(bad); len(got) != 6 {
		t.Errorf("of a bad list only these faults were found: %q", got)
	}
	made := parseTree(t, map[string]string{"gate/codes_x.go": "package gate\n\nconst (\n\tCodeA Code = 1\n\tCodeB Code = 2\n)\n\nvar x = []CodeInfo{{CodeA, \"a\", \"a\", \"\"}}\n"})
	if got := declaredCodes(made); len(got) != 2 || !got[0].listed || got[1].listed {
		t.Errorf("declared codes of a made-up file: %+v", got)
	}
}

type declared struct {
	name, where string
	listed      bool
}

// declaredCodes finds the constants of type Code and whether a list of
// CodeInfo in the same file holds them.
func declaredCodes(tr *tree) []declared {
	var out []declared
	for _, f := range tr.shipping() {
		if f.room != "gate" || !strings.HasPrefix(filepath.Base(f.path), "codes_") {
			continue
		}
		listed := map[string]bool{}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if l, ok := n.(*ast.CompositeLit); ok && l.Type == nil && len(l.Elts) > 0 {
				if id, ok := l.Elts[0].(*ast.Ident); ok {
					listed[id.Name] = true
				}
			}
			return true
		})
		ast.Inspect(f.tree, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if typ, ok := s.Type.(*ast.Ident); ok && typ.Name == "Code" {
				out = append(out, declared{s.Names[0].Name, f.path, listed[s.Names[0].Name]})
			}
			return true
		})
	}
	return out
}
