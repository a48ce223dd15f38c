package house

import (
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// readText reads a file of the module.
func readText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// directModules gives, with their versions, what go.mod requires directly, the
// modules of its tools, and whatever else the code imports (a requirement may
// be marked indirect by mistake).
func directModules(goMod string, imports []string) map[string]string {
	all, direct := map[string]string{}, map[string]string{}
	var tools []string
	block := ""
	for line := range strings.Lines(goMod) {
		code, comment, _ := strings.Cut(line, "//")
		f := strings.Fields(code)
		switch {
		case len(f) == 2 && f[1] == "(":
			block = f[0]
			continue
		case len(f) == 1 && f[0] == ")":
			block = ""
			continue
		case len(f) > 0 && block != "":
			f = append([]string{block}, f...)
		}
		switch {
		case len(f) == 3 && f[0] == "require":
			all[f[1]] = f[2]
			if !strings.Contains(comment, "indirect") {
				direct[f[1]] = f[2]
			}
		case len(f) == 2 && f[0] == "tool":
			tools = append(tools, f[1])
		}
	}
	for _, p := range append(tools, imports...) {
		for m, v := range all {
			if below(p, m) {
				direct[m] = v
			}
		}
	}
	return direct
}

// tableRow finds the rows of a Markdown table that name something in code
// font first.
var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|")

type moduleRow struct{ version, licence string }

// documentedModules gives the modules that the page names.
func documentedModules(page string) map[string]moduleRow {
	out := map[string]moduleRow{}
	for _, m := range tableRow.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], ".") {
			out[m[1]] = moduleRow{strings.TrimSpace(m[2]), strings.TrimSpace(m[3])}
		}
	}
	return out
}

// packageRow finds the packages that the page names: a name without a dot.
var packageRow = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|")

// setupPackage finds the packages of scripts/setup.
var setupPackage = regexp.MustCompile(`(?m)^  "([a-z0-9.+-]+):`)

func names(re *regexp.Regexp, text string) []string {
	var out []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

// dependencyFaults compares go.mod with the page.
func dependencyFaults(goMod, page string, imports []string) []string {
	var out []string
	want, got := directModules(goMod, imports), documentedModules(page)
	for m, v := range want {
		switch row, ok := got[m]; {
		case !ok:
			out = append(out, m+" is required and not on the page")
		case row.version != v:
			out = append(out, m+" has version "+v+", the page says "+row.version)
		}
	}
	for m := range got {
		if _, ok := want[m]; !ok {
			out = append(out, m+" is on the page and not required")
		}
	}
	slices.Sort(out)
	return out
}

func TestDependenciesPage(t *testing.T) {
	goMod, page := readText(t, "go.mod"), readText(t, "docs/dependencies.md")
	var imports []string
	for _, f := range loadTree(t).files {
		imports = slices.AppendSeq(imports, maps.Keys(f.imports()))
	}
	for _, f := range dependencyFaults(goMod, page, imports) {
		t.Error(f)
	}
	if got, want := names(packageRow, page), names(setupPackage, readText(t, "scripts/setup")); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("packages on the page: %q, in scripts/setup: %q", got, want)
	}
	made := "module m\n\nrequire (\n\ta.example/x v1.0.0\n\ta.example/y v1.0.0\n\ta.example/t v1.0.0 // indirect\n\ta.example/i v1.0.0 // indirect\n\ta.example/u v1.0.0 // indirect\n)\n\nrequire a.example/z v2.0.0\n\ntool (\n\ta.example/t/cmd/t\n)\n"
	wrong := "| `a.example/x` | v1.0.0 | MIT |\n| `a.example/y` | v1.0.1 | MIT |\n| `a.example/i` | v1.0.0 | MIT |\n"
	if got := dependencyFaults(made, wrong, []string{"a.example/u/sub"}); len(got) != 5 {
		t.Errorf("on a wrong page only these faults were found: %q", got)
	}
}

// licenceMarks are words that only the text of one licence has.
func licenceMarks() map[string]string {
	return map[string]string{
		"MIT":          "Permission is hereby granted, free of charge, to any person",
		"BSD-2-Clause": "Redistributions in binary form must reproduce",
		"BSD-3-Clause": "be used to endorse or promote products",
		"Apache-2.0":   "Apache License",
		"EPL-2.0":      "Eclipse Public License - v 2.0",
		"ISC":          "Permission to use, copy, modify, and distribute this software",
		"MPL-2.0":      "Mozilla Public License Version 2.0",
	}
}

// The licences on the page are those in the modules themselves.
func TestLicences(t *testing.T) {
	cache := os.Getenv("GOMODCACHE")
	if cache == "" {
		cache = filepath.Join(build.Default.GOPATH, "pkg/mod")
	}
	seen := 0
	for m, row := range documentedModules(readText(t, "docs/dependencies.md")) {
		text := licenceText(filepath.Join(cache, escaped(m)+"@"+row.version))
		if text == "" {
			continue // not downloaded: a build did not need it
		}
		seen++
		mark := licenceMarks()[row.licence]
		if mark == "" || !strings.Contains(text, mark) {
			t.Errorf("%s: its licence file is not that of %s", m, row.licence)
		}
		if row.licence == "BSD-2-Clause" && strings.Contains(text, licenceMarks()["BSD-3-Clause"]) {
			t.Errorf("%s: the licence has a third clause", m)
		}
	}
	if seen < 10 {
		t.Errorf("only %d licence files were found below %s", seen, cache)
	}
}

// licenceText reads the licence of a module, its line breaks as spaces.
func licenceText(dir string) string {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md", "COPYING"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return strings.Join(strings.Fields(string(b)), " ")
		}
	}
	return ""
}

// escaped is how the module cache writes capital letters.
func escaped(m string) string {
	var b strings.Builder
	for _, r := range m {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
